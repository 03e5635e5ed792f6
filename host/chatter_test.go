package host_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/hosttest"
)

// chatter is clients that chat in one room in closed loop: each sends its next
// message when the last one was answered. Every client checks, for every sender,
// that messages arrive once and in order.
type chatter struct {
	topic   string
	clients []*hosttest.Client
	sent    []atomic.Int64 // messages acknowledged, by sender
	ears    []ear
	stopped chan struct{}
	sending sync.WaitGroup
	failed  hosttest.FirstError
	slowest atomic.Int64 // round trip of a message, in ns
}

// ear is what one client has heard.
type ear struct {
	mu     sync.Mutex
	heard  []int64          // messages, by sender
	user   map[int]string   // that the latest message of a sender had
	by     map[string]int64 // messages, by user
	failed *hosttest.FirstError
}

// startChatter connects n clients and lets them chat, with a rest between two messages
// of each.
func startChatter(t testing.TB, s *server, topic string, n int, rest time.Duration) *chatter {
	t.Helper()
	return startChatterAs(t, s, topic, `{"token":"demo"}`, n, rest)
}

// startChatterAs has them join with params.
func startChatterAs(t testing.TB, s *server, topic, params string, n int, rest time.Duration) *chatter {
	t.Helper()
	c := &chatter{topic: topic, sent: make([]atomic.Int64, n), ears: make([]ear, n), stopped: make(chan struct{})}
	c.clients = s.ConnectAll(t, n, topic, params)
	for i, client := range c.clients {
		e := &c.ears[i]
		e.heard, e.user, e.by, e.failed = make([]int64, n), map[int]string{}, map[string]int64{}, &c.failed
		client.Hear(e.hear)
	}
	for i := range c.clients {
		c.sending.Go(func() { c.failed.Set(c.talk(i, rest)) })
	}
	return c
}

// talk is the life of sender i.
func (c *chatter) talk(i int, rest time.Duration) error {
	for n := int64(1); ; n++ {
		select {
		case <-c.stopped:
			return nil
		case <-time.After(rest):
		}
		begin := time.Now()
		r, err := c.clients[i].Call(c.topic, "new_message", fmt.Sprintf(`{"body":"%d-%d"}`, i, n))
		if err != nil {
			return fmt.Errorf("sender %d, message %d: %w", i, n, err)
		}
		if r.Status != "ok" {
			return fmt.Errorf("sender %d, message %d: reply %v", i, n, r)
		}
		c.sent[i].Store(n)
		for took := int64(time.Since(begin)); took > c.slowest.Load(); {
			c.slowest.Store(took)
		}
	}
}

// hear takes what a client receives besides replies.
func (e *ear) hear(m hosttest.Message) {
	if strings.HasPrefix(m.Event, "presence_") {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var p struct{ Body, User string }
	if err := json.Unmarshal(m.Payload, &p); err != nil || m.Event != "new_message" {
		e.failed.Set(fmt.Errorf("unexpected message %s %s", m.Event, m.Payload))
		return
	}
	from, number, _ := strings.Cut(p.Body, "-")
	sender, err1 := strconv.Atoi(from)
	n, err2 := strconv.ParseInt(number, 10, 64)
	if err1 != nil || err2 != nil || sender < 0 || sender >= len(e.heard) {
		e.failed.Set(fmt.Errorf("unexpected body %q", p.Body))
		return
	}
	if want := e.heard[sender] + 1; n != want {
		e.failed.Set(fmt.Errorf("message %d of sender %d arrived when %d was due", n, sender, want))
	}
	e.heard[sender] = n
	e.user[sender] = p.User
	e.by[p.User]++
}

// stop ends the talk, waits until all is delivered and checks the sum.
func (c *chatter) stop(t testing.TB) (messages int64) {
	t.Helper()
	close(c.stopped)
	hosttest.Within(t, "the last acknowledgements", func() error { c.sending.Wait(); return nil })
	must(t, c.failed.Get())
	for i := range c.sent {
		messages += c.sent[i].Load()
	}
	for i := range c.ears {
		e := &c.ears[i]
		hosttest.Eventually(t, fmt.Sprintf("delivery of all messages to client %d", i), func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			for sender := range c.sent {
				if e.heard[sender] < c.sent[sender].Load() {
					return false
				}
			}
			return true
		})
	}
	time.Sleep(50 * time.Millisecond) // for what is doubled
	must(t, c.failed.Get())
	for i := range c.ears {
		for sender, heard := range c.ears[i].heard {
			if sent := c.sent[sender].Load(); heard != sent {
				t.Errorf("client %d heard %d messages of sender %d, which sent %d", i, heard, sender, sent)
			}
		}
	}
	hosttest.WantAllOpen(t, c.clients)
	return messages
}
