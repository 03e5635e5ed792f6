package presence_test

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"

	"rtd/channels/presence"
)

// payload is the metas by key in a presence_state or one side of a diff.
type payload map[string]struct {
	Metas []map[string]any `json:"metas"`
}

type diffPayload struct{ Joins, Leaves payload }

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%v in %.300s", err, text)
	}
	return v
}

func ref(meta map[string]any) string { s, _ := meta["phx_ref"].(string); return s }

// client has the presences of a topic by key and ref, as a client that applies
// states and diffs: the joins of a diff first, then its leaves.
type client struct {
	present map[string]map[string]bool
	waiting bool     // for its first state; diffs are kept until then
	kept    [][]byte // diffs
	diffs   int
	surplus int // leaves of refs that it does not have
}

func newClient(t *testing.T, list []byte) *client {
	t.Helper()
	c := &client{}
	c.state(t, list)
	return c
}

func (c *client) state(t *testing.T, list []byte) {
	t.Helper()
	c.present, c.waiting = map[string]map[string]bool{}, false
	c.join(decode[payload](t, list))
	for _, diff := range c.kept {
		c.apply(t, diff)
	}
	c.kept = nil
}

func (c *client) apply(t *testing.T, text []byte) {
	t.Helper()
	if c.waiting {
		c.kept = append(c.kept, text)
		return
	}
	d := decode[diffPayload](t, text)
	c.diffs++
	c.join(d.Joins)
	for key, p := range d.Leaves {
		for _, m := range p.Metas {
			if !c.present[key][ref(m)] {
				c.surplus++
			}
			delete(c.present[key], ref(m))
		}
		if len(c.present[key]) == 0 {
			delete(c.present, key)
		}
	}
}

func (c *client) join(p payload) {
	for key, p := range p {
		if c.present[key] == nil {
			c.present[key] = map[string]bool{}
		}
		for _, m := range p.Metas {
			c.present[key][ref(m)] = true
		}
	}
}

// agrees reports whether the client has what the list says.
func (c *client) agrees(t *testing.T, list []byte) bool {
	return maps.EqualFunc(c.present, newClient(t, list).present, maps.Equal[map[string]bool])
}

// log is the diffs that a tracker has broadcast, in order.
type log struct {
	mu    sync.Mutex
	diffs map[string][]presence.Diff
}

func (l *log) broadcast(topic string, d presence.Diff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.diffs == nil {
		l.diffs = map[string][]presence.Diff{}
	}
	l.diffs[topic] = append(l.diffs[topic], d)
}

// take returns the diffs of a topic as JSON and forgets them.
func (l *log) take(topic string) (texts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.diffs[topic] {
		texts = append(texts, string(d.JSON()))
	}
	delete(l.diffs, topic)
	return texts
}

func (l *log) want(t *testing.T, topic string, texts ...string) {
	t.Helper()
	if got := l.take(topic); !slices.Equal(got, texts) {
		t.Errorf("diffs\n%q, not\n%q", got, texts)
	}
}
