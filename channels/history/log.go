package history

import (
	"iter"
	"time"
)

// Bounds say how much of a log is kept. Zero is no bound.
type Bounds struct {
	Messages int
	Bytes    int64 // sizes as given to Append
	Age      time.Duration
}

// Gap says why what is missing cannot be told, or not all of it. None is "".
type Gap string

const (
	GapEpoch  Gap = "epoch"  // the position is of another life of the topic
	GapGone   Gap = "gone"   // what follows the position is not kept any more
	GapFuture Gap = "future" // the position has yet to come: it is of a life whose end was lost
	GapLimit  Gap = "limit"  // more is missing than is told at a time
)

// Log has the last messages of a topic. It must not be copied, and is for one goroutine at a time.
type Log[M any] struct {
	epoch string
	last  uint64 // offset of the newest message there ever was
	kept  []entry[M]
	first int // in kept, of the oldest one; those before are gone
	bytes int64
}

type entry[M any] struct {
	message M
	size    int64
	at      time.Time
}

// New returns an empty log, that goes on behind a position.
func New[M any](behind Position) *Log[M] { return &Log[M]{epoch: behind.Epoch, last: behind.Offset} }

// Position is that of the newest message.
func (l *Log[M]) Position() Position { return Position{l.epoch, l.last} }

// Renew gives the log another epoch: to who has a position of the former one, it cannot tell what is missing. The messages stay.
func (l *Log[M]) Renew(epoch string) { l.epoch = epoch }

// Len is how many messages are kept, and Bytes their sizes together.
func (l *Log[M]) Len() int     { return len(l.kept) - l.first }
func (l *Log[M]) Bytes() int64 { return l.bytes }

// Next is the position that the next message will have.
func (l *Log[M]) Next() Position { return Position{l.epoch, l.last + 1} }

// Append adds a message, and lets go of those that are beyond the bounds. A message that is beyond them alone is not kept.
func (l *Log[M]) Append(m M, size int64, now time.Time, b Bounds) {
	l.last++
	l.kept = append(l.kept, entry[M]{m, size, now})
	l.bytes += size
	l.Trim(now, b)
}

// Trim lets go of what is beyond the bounds.
func (l *Log[M]) Trim(now time.Time, b Bounds) {
	for l.Len() > 0 {
		oldest := &l.kept[l.first]
		if !(b.Messages > 0 && l.Len() > b.Messages || b.Bytes > 0 && l.bytes > b.Bytes || b.Age > 0 && now.Sub(oldest.at) > b.Age) {
			return
		}
		l.drop()
	}
}

// Purge lets go of all messages before an offset.
func (l *Log[M]) Purge(before uint64) {
	for l.Len() > 0 && l.oldest() < before {
		l.drop()
	}
}

func (l *Log[M]) drop() {
	l.bytes -= l.kept[l.first].size
	l.kept[l.first] = entry[M]{}
	l.first++
	switch n := l.Len(); {
	case n == 0:
		l.kept, l.first = nil, 0
	case l.first >= 16 && l.first >= n: // the room before is as large as what is kept
		copy(l.kept, l.kept[l.first:])
		clear(l.kept[n:])
		l.kept, l.first = l.kept[:n], 0
	}
}

// oldest is the offset of the oldest message, which there must be.
func (l *Log[M]) oldest() uint64 { return l.last + 1 - uint64(l.Len()) }

// Most bounds what is told at a time. Zero is no bound.
type Most struct {
	Messages int
	Bytes    int64
}

// After yields what has come behind a position, with the offsets, and says how many these are. With a gap it yields the newest
// that there are.
func (l *Log[M]) After(p Position, most Most) (missed iter.Seq2[uint64, M], n int, gap Gap) {
	missing := uint64(l.Len())
	switch {
	case p.Epoch != l.epoch:
		gap = GapEpoch
	case p.Offset > l.last:
		gap = GapFuture
	case l.last-p.Offset > missing:
		gap = GapGone
	default:
		missing = l.last - p.Offset
	}
	for bytes := int64(0); uint64(n) < missing; n++ {
		bytes += l.kept[len(l.kept)-1-n].size
		if most.Messages > 0 && n == most.Messages || most.Bytes > 0 && bytes > most.Bytes {
			break
		}
	}
	if uint64(n) < missing && gap == "" {
		gap = GapLimit
	}
	return l.newest(n), n, gap
}

// Page yields at most most messages behind an offset, oldest first.
func (l *Log[M]) Page(after uint64, most int) iter.Seq2[uint64, M] {
	return func(yield func(uint64, M) bool) {
		for offset, m := range l.newest(l.Len()) {
			if offset <= after {
				continue
			}
			if most--; most < 0 || !yield(offset, m) {
				return
			}
		}
	}
}

func (l *Log[M]) newest(n int) iter.Seq2[uint64, M] {
	return func(yield func(uint64, M) bool) {
		for i := len(l.kept) - n; i < len(l.kept); i++ {
			if !yield(l.last+1-uint64(len(l.kept)-i), l.kept[i].message) {
				return
			}
		}
	}
}
