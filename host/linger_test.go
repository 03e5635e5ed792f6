package host_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"rtd/host/hosttest"
)

// TestLinger has a handler outlast the connections of its client, in a guest that knows nothing of it.
func TestLinger(t *testing.T) {
	config := func(more string) string { return "[plugin.echo]\nlinger = \"10m\"\n" + more }
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: config("max_lingering_address = 2\n")})
	resume := func(c *hosttest.Client, want bool) (key string) {
		t.Helper()
		var told struct {
			Key     string
			Resumed bool
		}
		must(t, json.Unmarshal(c.Expect(t, "echo:lobby", "resume").Payload, &told))
		if told.Resumed != want {
			t.Errorf("resumed is %t, want %t", told.Resumed, want)
		}
		return told.Key
	}
	enter := func(key string, resumed bool) (*hosttest.Client, string) {
		t.Helper()
		c := s.Connect(t)
		c.MustJoin(t, "echo:lobby", fmt.Sprintf(`{"resume":%q}`, key))
		return c, resume(c, resumed)
	}
	wait := func(what string, n float64) {
		t.Helper()
		hosttest.Eventually(t, what, func() bool { return s.Metric(t, "rtd_lingering") == n })
	}
	a, key := enter("", false)
	a.Close()
	wait("it lingers", 1)
	b, next := enter(key, true)
	wait("it does not linger", 0)
	c, last := enter(next, true) // while b still seems open
	b.Expect(t, "echo:lobby", "phx_close")
	b.WantOpen(t)
	c.WantReply(t, "echo:lobby", "echo", `{"n":1}`, `ok {"n":1}`)
	if n := s.Metric(t, "rtd_resumed_total"); n != 2 {
		t.Errorf("%v were resumed, want 2", n)
	}

	// Two of one address linger, the oldest goes for a third.
	c.Close()
	wait("it lingers again", 1)
	for range 2 {
		d, _ := enter("", false)
		d.Close()
		hosttest.Eventually(t, "it has gone", func() bool { return s.Metric(t, "rtd_channels") == 0 })
	}
	hosttest.Eventually(t, "the oldest has gone", func() bool { return s.Metric(t, "rtd_lingered_total", `cause="crowded"`) == 1 })
	wait("two linger", 2)
	d, _ := enter(last, false)

	// Without it nobody is told a key, and those who lingered end: another version begins, which does not take over their states.
	s.Configure(t, "[plugin.echo]\n")
	wait("none lingers", 0)
	d.Close()
	e := s.Connect(t)
	e.MustJoin(t, "echo:lobby", fmt.Sprintf(`{"resume":%q}`, last))
	e.WantReply(t, "echo:lobby", "echo", `{"n":2}`, `ok {"n":2}`)
	if e.Has("resume") {
		t.Error("it was told a key")
	}
}
