package presence

import "time"

// lingering is an entry whose owner has ended, for the time of grace. It is the only
// entry of its key: with another one there would be nothing to wait for, and an owner who
// comes with the key takes its place, or ends it from another node.
type lingering struct {
	x     *tracked
	until int64
}

// linger keeps x, which has no owner any more, for the time of grace. The time
// is the same for all, so that one queue and one timer serve a shard.
func (s *shard) linger(x *tracked) {
	x.until = s.tracker.since() + int64(s.tracker.opts.Grace)
	s.lingering = append(s.lingering, lingering{x, x.until})
	if s.timer == nil {
		s.timer = time.AfterFunc(s.tracker.opts.Grace, s.expire)
	}
}

// expire lets entries leave that are due, unless an owner has taken them over.
func (s *shard) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now, due := s.tracker.since(), 0
	for ; due < len(s.lingering) && s.lingering[due].until <= now; due++ {
		// The entry may have been taken over, and even linger again after that.
		l := s.lingering[due]
		if l.x.owner == nil && l.x.person != nil && l.x.until == l.until {
			s.leave(l.x)
		}
	}
	clear(s.lingering[:due])
	s.lingering = s.lingering[due:]
	if len(s.lingering) == 0 {
		s.lingering, s.timer = nil, nil
		return
	}
	s.timer = time.AfterFunc(time.Duration(s.lingering[0].until-now), s.expire)
}
