package bus

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// Status is the state of a bus, as those see it who operate it.
type Status struct {
	Embedded bool
	Where    string    // the folder, or the URL
	Cause    error     // why it does not work; nil: it does
	Since    time.Time // when that began
	Server   string    // version of the server, if it was ever reached

	Bytes   int64 // stored, about: what was removed in the last seconds may be among it
	Limit   int64 // of Bytes; 0: none is known
	Streams int   // logs and stores, of all who use the server

	Reconnects uint64 // times that the connection was made again

	// Operations counts writes by kind (append, put, batch, delete), and then by result (ok, down, unknown, full,
	// conflict, too_large, other). Kinds and results without any are left out.
	Operations map[string]map[string]uint64
}

// usage is how full a server is.
type usage struct {
	bytes, limit int64
	streams      int
}

// counts are what has happened.
type counts struct {
	reconnects                      atomic.Uint64
	appends, puts, batches, deletes results
}

// results counts operations of a kind by their result.
type results [len(words)]atomic.Uint64

// words are the results, and errs the errors that they stand for.
var (
	words = [...]string{"ok", "down", "unknown", "full", "conflict", "too_large", "other"}
	errs  = [...]error{nil, ErrDown, ErrUnknown, ErrFull, ErrConflict, ErrTooLarge}
)

func (r *results) add(err error) {
	if err == nil {
		r[0].Add(1)
		return
	}
	for i := 1; i < len(errs); i++ {
		if errors.Is(err, errs[i]) {
			r[i].Add(1)
			return
		}
	}
	r[len(errs)].Add(1)
}

func (r *results) by() map[string]uint64 {
	list := map[string]uint64{}
	for i, word := range words {
		if n := r[i].Load(); n > 0 {
			list[word] = n
		}
	}
	return list
}

// Status returns the state of the bus. It does not wait.
func (b *Bus) Status() Status {
	s, u, c := b.state.Load(), b.usage.Load(), &b.counts
	status := Status{
		Embedded: b.engine != nil, Where: b.at, Cause: s.cause, Since: s.since, Server: b.conn.ConnectedServerVersion(),
		Bytes: u.bytes + b.written.Load(), Limit: u.limit, Streams: u.streams,
		Reconnects: c.reconnects.Load(), Operations: map[string]map[string]uint64{},
	}
	for kind, r := range map[string]*results{"append": &c.appends, "put": &c.puts, "batch": &c.batches, "delete": &c.deletes} {
		if by := r.by(); len(by) > 0 {
			status.Operations[kind] = by
		}
	}
	return status
}

// Room returns how many bytes may be stored before Options.MaxBytes, or the limit of an account, is reached, about: it may be less than 0, and
// is [math.MaxInt64] without any limit, which is 0 then. What was removed counts within seconds.
func (b *Bus) Room() (room, limit int64) {
	u := b.usage.Load()
	if u.limit == 0 {
		return math.MaxInt64, 0
	}
	return u.limit - u.bytes - b.written.Load(), u.limit
}

// removed has the bus look at how full it is, if that matters.
func (b *Bus) removed() {
	if room, limit := b.Room(); room < limit/8 {
		b.look()
	}
}
