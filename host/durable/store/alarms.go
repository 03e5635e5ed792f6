package store

import (
	"container/heap"
	"time"

	"rtd/host/durable"
)

// noTime is when no alarm rings.
var noTime time.Time

// alarms are the times at which actors want to be woken. The keeper's lock guards them.
type alarms struct {
	heap   []*alarm
	byWho  map[durable.Actor]*alarm
	looked time.Time     // when they were looked at last
	sooner chan struct{} // the first one has changed
}

type alarm struct {
	who   durable.Actor
	at    int64 // µs since 1970
	rung  bool  // at is when it rings again
	index int
}

func (h *alarms) init() {
	h.byWho = map[durable.Actor]*alarm{}
	h.sooner = make(chan struct{}, 1)
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (h *alarms) Len() int           { return len(h.heap) }
func (h *alarms) Less(i, j int) bool { return h.heap[i].at < h.heap[j].at }
func (h *alarms) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].index, h.heap[j].index = i, j
}
func (h *alarms) Push(x any) {
	a := x.(*alarm)
	a.index = len(h.heap)
	h.heap = append(h.heap, a)
}
func (h *alarms) Pop() any {
	n := len(h.heap) - 1
	a := h.heap[n]
	h.heap[n] = nil
	h.heap = h.heap[:n]
	return a
}

// set sets when an actor is woken; the zero time: never.
func (h *alarms) set(who durable.Actor, at time.Time) {
	a := h.byWho[who]
	switch {
	case a == nil && at.IsZero():
		return
	case at.IsZero():
		heap.Remove(h, a.index)
		delete(h.byWho, who)
		return
	case a == nil:
		a = &alarm{who: who, at: at.UnixMicro()}
		h.byWho[who] = a
		heap.Push(h, a)
	default:
		a.at, a.rung = at.UnixMicro(), false
		heap.Fix(h, a.index)
	}
	if a.index == 0 {
		kick(h.sooner)
	}
}

// ringAt is when the actor of a state is woken. If the clock was set back since the state was written, it waits for no longer than it would have then.
func ringAt(s *durable.State) time.Time {
	if s.Due.IsZero() {
		return noTime
	}
	if now := time.Now(); s.At.After(now) {
		return now.Add(max(0, s.Due.Sub(s.At)))
	}
	return s.Due
}

// How often alarms are looked at although none is due, as the clock may be set; and again when it was.
const (
	lookAtClock = 20 * time.Second
	ringAgain   = time.Minute
)

// ring tells of alarms until the keeper ends.
func (k *Keeper) ring() {
	for {
		due, wait := k.due(time.Now(), time.Since)
		if k.options.Due != nil {
			for _, a := range due {
				k.options.Due(a)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-k.alarms.sooner:
		case <-k.ended.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// due returns who is to be woken now, and how long to wait for the next. since says how much time has passed, whatever the clock says.
func (k *Keeper) due(now time.Time, since func(time.Time) time.Duration) (due []durable.Actor, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := &k.alarms
	h.followClock(now, since)
	for len(h.heap) > 0 && len(due) < 1000 {
		first := h.heap[0]
		if ahead := time.UnixMicro(first.at).Sub(now); ahead > 0 {
			return due, min(ahead, lookAtClock)
		}
		due = append(due, first.who)
		first.at, first.rung = now.Add(ringAgain).UnixMicro(), true
		heap.Fix(h, 0)
	}
	if len(due) > 0 {
		return due, 0
	}
	return due, lookAtClock
}

// clockSlack is by how much the clock may go back unnoticed.
const clockSlack = time.Second

// followClock has all ring sooner by as much as the clock was set back since they were looked at last, so that nobody waits for longer than was
// meant. Those that were set in between ring too soon, which does no harm.
func (h *alarms) followClock(now time.Time, since func(time.Time) time.Duration) {
	if back := since(h.looked) - now.Round(0).Sub(h.looked.Round(0)); !h.looked.IsZero() && back > clockSlack {
		for _, a := range h.heap {
			a.at -= back.Microseconds()
		}
	}
	h.looked = now
}

// Announce implements [durable.Keeper].
func (k *Keeper) Announce(plugin string) {
	k.tellPosted(func(a durable.Actor) bool { return a.Plugin == plugin })
	k.mu.Lock()
	defer k.mu.Unlock()
	h, now := &k.alarms, time.Now().UnixMicro()
	for _, a := range h.heap {
		if a.rung && a.who.Plugin == plugin {
			a.at = now
		}
	}
	heap.Init(h)
	kick(h.sooner)
}
