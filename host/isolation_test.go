package host_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/hosttest"
)

// death is one way in which the nasty guest can end.
type death struct {
	event string
	kind  string // of the trap
	cause string
	stack string // a function in it; "" where wazero or the language has none
}

var deaths = []death{
	{"panic", "trap", "told to panic", "main.(*Nasty).HandleIn"},
	{"error", "abort", "told to fail", "rtd_sdk_go.receive"},
	{"exit", "exit", "exit status 3", "main.die"},
	{"recurse", "memory", "the limit is 16 MiB", ""},
	{"allocate", "memory", "the limit is 16 MiB", "main.allocate"},
	{"loop", "deadline", "took longer than " + loopDeadline.String(), "main.loop"},
	{"huge", "abort", "too many effects", "main.die"},
	{"badjson", "effect", "not JSON", ""},
}

// loopDeadline ends loops. It is processor time, which all that a guest does has to keep;
// beside forty clients who chat it takes many times as long.
var loopDeadline = scaled(500*time.Millisecond, 3*time.Second)

// nastyTable has little memory, so that to fill it takes no time.
var nastyTable = fmt.Sprintf("[plugin.nasty]\nmax_restarts = 1000\ndeadline = %q\nmemory = 16777216\n", loopDeadline)

// scaled returns the second value under the race detector.
func scaled[T any](usual, slow T) T {
	if raced {
		return slow
	}
	return usual
}

// Guests die in every way while 40 clients of another plugin chat. Nobody
// notices but those who asked for it.
func TestDeathsDisturbNobody(t *testing.T) {
	t.Parallel()
	const killers = 3
	chatters := scaled(40, 30)
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"chat": chatGuest(t), "nasty": nastyGuest(t)},
		Config:  patientChat + nastyTable,
	})
	chat := startChatter(t, s, "room:lobby", chatters, 500*time.Millisecond)

	begin := time.Now()
	var all sync.WaitGroup
	var failed hosttest.FirstError
	bystander := s.Connect(t) // in the killers' topic
	bystander.MustJoin(t, "nasty:pit", "{}")
	for k := range killers {
		killer := s.Connect(t)
		killer.MustJoin(t, "nasty:pit", "{}")
		all.Go(func() {
			for i := range deaths {
				failed.Set(die(killer, deaths[(i+k)%len(deaths)]))
			}
		})
	}
	hosttest.Within(t, "the deaths", func() error { all.Wait(); return failed.Get() })
	if rest := 3*time.Second - time.Since(begin); rest > 0 {
		time.Sleep(rest)
	}
	messages := chat.stop(t)
	t.Logf("%d messages to %d clients each in %v, slowest round trip %v", messages, chatters, time.Since(begin).Round(time.Millisecond),
		time.Duration(chat.slowest.Load()).Round(time.Millisecond))
	if messages < int64(chatters) {
		t.Errorf("only %d messages: that is no chat", messages)
	}

	bystander.WantReply(t, "nasty:pit", "count", "{}", `ok {"handled":1}`)
	if bystander.Has("ghost") {
		t.Error("a guest that died has broadcast")
	}
	deathsInAll := float64(killers * len(deaths))
	if got := s.Metric(t, "rtd_crashes_total", `plugin="nasty"`); got != deathsInAll {
		t.Errorf("crashes = %v, want %v", got, deathsInAll)
	}
	if got := s.Metric(t, "rtd_restarts_total", `plugin="nasty"`); got != deathsInAll {
		t.Errorf("restarts = %v, want %v", got, deathsInAll)
	}
	if got := s.Metric(t, "rtd_crashes_total", `plugin="chat"`); got != 0 {
		t.Errorf("crashes of chat = %v", got)
	}
	if got := s.Metric(t, "rtd_traps_total", `plugin="nasty"`, `kind="deadline"`); got != killers {
		t.Errorf("deadline traps = %v, want %v", got, killers)
	}
	for _, d := range deaths {
		wantCrashLine(t, s, d)
	}
}

// die has a guest die and checks what its client notices: an error reply, a
// fresh memory, and nothing else.
func die(c *hosttest.Client, d death) error {
	const topic = "nasty:pit"
	if _, err := c.Call(topic, "count", "{}"); err != nil {
		return err
	}
	begin := time.Now()
	r, err := c.Call(topic, d.event, "{}")
	took := time.Since(begin)
	if err != nil {
		return err
	}
	if r.String() != `error {"reason":"crashed"}` {
		return fmt.Errorf("%s: reply %v", d.event, r)
	}
	if d.event == "loop" && took < loopDeadline {
		return fmt.Errorf("the loop ended after %v, its deadline is %v", took, loopDeadline)
	}
	r, err = c.Call(topic, "count", "{}")
	if err != nil {
		return err
	}
	if r.String() != `ok {"handled":1}` {
		return fmt.Errorf("after %s: reply %v, want a fresh memory", d.event, r)
	}
	if c.Has("phx_error") || c.Has("phx_close") {
		return fmt.Errorf("after %s: the client was told of the end of its channel", d.event)
	}
	return nil
}

func wantCrashLine(t *testing.T, s *server, d death) {
	t.Helper()
	line := s.Log.Wait(t, "channel crashed", "event", d.event)
	if line.Text("plugin") != "nasty" || len(line.Text("version")) != 12 || line.Text("topic") != "nasty:pit" || line.Text("then") != "restarts" {
		t.Errorf("%s: log line %v", d.event, line)
	}
	if line.Text("trap") != d.kind {
		t.Errorf("%s: trap is %q, want %q", d.event, line.Text("trap"), d.kind)
	}
	if !strings.Contains(line.Text("cause"), d.cause) {
		t.Errorf("%s: cause is %q, want %q in it", d.event, line.Text("cause"), d.cause)
	}
	if !strings.Contains(line.Text("stack"), d.stack) {
		t.Errorf("%s: stack is %s, want %s in it", d.event, line.Text("stack"), d.stack)
	}
}

// A guest that prints without measure fills neither disk nor log.
func TestFloodOfOutputIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}})
	c := s.Connect(t)
	c.MustJoin(t, "nasty:pit", "{}")
	c.WantReply(t, "nasty:pit", "print", "{}", "ok")
	cut := s.Log.Wait(t, "guest logs too much in one event", "plugin", "nasty", "topic", "nasty:pit")
	if cut.Text("dropped_lines") != "9900" {
		t.Errorf("dropped lines: %v of 10,000, want all but 100", cut["dropped_lines"])
	}
}

// Restart type temporary is what Phoenix does: no reply, phx_error, and the
// client rejoins.
func TestTemporary(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"nasty": nastyGuest(t)},
		Config:  "[plugin.nasty]\nrestart = \"temporary\"\n",
	})
	c, other := s.Connect(t), s.Connect(t)
	c.MustJoin(t, "nasty:a", "{}")
	other.MustJoin(t, "nasty:a", "{}")
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	ref, err := c.Push("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")
	c.WantReply(t, "nasty:a", "count", "{}", `error {"reason":"unmatched topic"}`)
	if c.HasAny(func(m hosttest.Message) bool { return m.Answers(ref) }) {
		t.Error("the push that crashed was answered")
	}

	other.WantReply(t, "nasty:a", "say", `{"n":1}`, "ok") // c is not a member
	c.MustJoin(t, "nasty:a", "{}")
	other.WantReply(t, "nasty:a", "say", `{"n":2}`, "ok")
	if m := c.Expect(t, "nasty:a", "say"); string(m.Payload) != `{"n":2}` {
		t.Errorf("after its rejoin the client got %s", m.Payload)
	}
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	if line := s.Log.Wait(t, "channel crashed", "event", "panic"); line.Text("then") != "ends" {
		t.Errorf("log line %v", line)
	}
	if got := s.Metric(t, "rtd_restarts_total", `plugin="nasty"`); got != 0 {
		t.Errorf("restarts = %v", got)
	}
}

// A client that crashes its handler again and again loses its channel, and
// nobody else does.
func TestIntensity(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"nasty": nastyGuest(t)},
		Config:  "[plugin.nasty]\nmax_restarts = 2\nmax_seconds = 60\n",
	})
	c, other := s.Connect(t), s.Connect(t)
	c.MustJoin(t, "nasty:a", "{}")
	other.MustJoin(t, "nasty:a", "{}")
	for range 2 {
		c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	}
	_, err := c.Push("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")
	c.WantReply(t, "nasty:a", "count", "{}", `error {"reason":"unmatched topic"}`)
	other.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	other.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	c.MustJoin(t, "nasty:a", "{}")
	c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	s.Log.Wait(t, "channel crashed", "then", "gives up")
}

// wantChannelEnd waits for the message that ends a channel and checks its refs.
func wantChannelEnd(t testing.TB, c *hosttest.Client, topic, event string) {
	t.Helper()
	m := c.Expect(t, topic, event)
	joinRef := c.JoinRef(topic)
	if m.JoinRef != joinRef || m.Ref != joinRef {
		t.Errorf("%s has refs %q and %q, want the join's %q twice", event, m.JoinRef, m.Ref, joinRef)
	}
}

// A storm of crashes is a few full lines and a count, and none is missing.
func TestCrashStormInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: nastyTable})
	const killers, times = 5, 20
	var all sync.WaitGroup
	var failed hosttest.FirstError
	for _, c := range s.ConnectAll(t, killers, "nasty:pit", "{}") {
		all.Go(func() {
			for range times {
				failed.Set(die(c, deaths[0]))
			}
		})
	}
	hosttest.Within(t, "the crashes", func() error { all.Wait(); return failed.Get() })
	s.Stop(t) // writes what is left to say
	full, counted := len(s.Log.All("channel crashed", "event", "panic")), 0
	for _, line := range s.Log.All("crashed again for the same cause", "plugin", "nasty", "cause", "told to panic") {
		counted += int(line["more"].(float64))
	}
	if full < 10 || full == killers*times || full+counted != killers*times {
		t.Errorf("%d full lines and a count of %d, want %d together and not all in full", full, counted, killers*times)
	}
}

// All clients come back at once after a restart of the server. Their guests start
// within the default deadline, which a thousand at a time could not.
func TestCrowdOfJoins(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken})
	topics, sockets := scaled(50, 15), 6
	var all sync.WaitGroup
	var failed hosttest.FirstError
	for range sockets {
		c := s.Connect(t)
		for n := range topics {
			all.Go(func() {
				topic := fmt.Sprintf("room:%d", n)
				r, err := c.Join(topic, `{"token":"demo"}`)
				if err == nil && r.Status != "ok" {
					err = fmt.Errorf("join of %s: %v", topic, r)
				}
				failed.Set(err)
			})
		}
	}
	hosttest.Within(t, "the joins", func() error { all.Wait(); return failed.Get() })
	if n := s.Metric(t, "rtd_channels"); n != float64(topics*sockets) {
		t.Errorf("channels = %v, want %v", n, topics*sockets)
	}
}
