package process

import (
	"sync"
	"time"

	"rtd/host/durable"
)

// maxTries is how often a timer or post is tried that the guest crashes at.
const maxTries = 2

// setAside says that a timer or message is not tried any more.
func (h *Home) setAside(a durable.Actor, what, id string) {
	h.tries.forget(a, id)
	h.Node.Log.Error("set aside: the guest has crashed at it twice; rtd crash list has the reports", "plugin", a.Plugin, "actor", a.String(), what, id)
}

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
	key, now := a.String()+text, time.Now()
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
	mu    sync.Mutex
	times map[string]int
}

// maxTried bounds what is counted at a time. If it is too much, counting begins anew: some are tried once more.
const maxTried = 10_000

func (t *tries) add(a durable.Actor, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times == nil || len(t.times) >= maxTried {
		t.times = map[string]int{}
	}
	t.times[a.String()+" "+id]++
}

func (t *tries) of(a durable.Actor, id string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.times[a.String()+" "+id]
}

func (t *tries) forget(a durable.Actor, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.times) > 0 {
		delete(t.times, a.String()+" "+id)
	}
}
