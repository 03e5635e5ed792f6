package channels

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// ErrRate is wrapped by the error of [Socket.Receive] for a client that sends
// more than [Limits].Rate.
var ErrRate = errors.New("too many messages per second")

// bucket is a token bucket that holds what a second allows: after a quiet second
// as much may come at once. It needs no timer, and no lock.
type bucket struct {
	full atomic.Int64 // when it is full again, in Unix nanoseconds
}

// admit reports whether one more may come, at so many per second.
func (b *bucket) admit(rate int) bool {
	if rate == math.MaxInt {
		return true
	}
	const second = int64(time.Second)
	each := second / int64(rate)
	now := time.Now().UnixNano()
	for {
		full := b.full.Load()
		from := full
		if full < now || full > now+second { // it is full, or the clock was set back
			from = now
		}
		if from+each > now+second {
			return false
		}
		if b.full.CompareAndSwap(full, from+each) {
			return true
		}
	}
}
