package process

import (
	"errors"
	"sync"
	"time"

	"rtd/host/durable"
)

// maxTries is how often a timer or post is tried that the guest crashes at.
const maxTries = 2

// maxComplained is how many bytes of an actor's name a line shows.
const maxComplained = 200

// complaints keep one line of each kind and actor in a minute.
type complaints struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// complain writes a line in the log, unless it was written in the last minute.
func (h *Home) complain(a durable.Actor, text string, cause error) {
	c := &h.complaints
	c.mu.Lock()
	defer c.mu.Unlock()
	long := len(a.Name) > maxComplained
	if long {
		a.Name = a.Name[:maxComplained] + "…"
	}
	key, now := a.String()+text, time.Now()
	if errors.Is(cause, durable.ErrFull) || long {
		key = a.Plugin + text // it concerns all of them, or clients make names up
	}
	if now.Sub(c.last[key]) < time.Minute {
		return
	}
	if c.last == nil || len(c.last) >= 1000 {
		c.last = map[string]time.Time{}
	}
	c.last[key] = now
	h.Node.Log.Error(text, "plugin", a.Plugin, "actor", a.String(), "cause", cause)
}

// tries counts how often guests have crashed at a timer or post.
type tries struct {
	mu  sync.Mutex
	all map[string]tried
}

// tried is how often, and of what the last time.
type tried struct {
	times int
	cause string
}

// maxTried bounds what is counted at a time. If it is too much, counting begins anew: some are tried once more.
const maxTried = 10_000

// add notes a crash, and returns how many there were.
func (t *tries) add(a durable.Actor, id, cause string) (times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxTried {
		t.all = map[string]tried{}
	}
	key := a.String() + " " + id
	times = t.all[key].times + 1
	t.all[key] = tried{times, cause}
	return times
}

// tired says of what guests have crashed at a timer or post, if that is not tried any more.
func (t *tries) tired(a durable.Actor, id string) (cause string, is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return "", false
	}
	was := t.all[a.String()+" "+id]
	return was.cause, was.times >= maxTries
}

func (t *tries) forget(a durable.Actor, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) > 0 {
		delete(t.all, a.String()+" "+id)
	}
}
