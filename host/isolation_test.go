package host_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// death is one way in which the nasty guest can end.
type death struct {
	event string
	kind  string // of the trap; "" is none: the host objected afterwards
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
	{"badjson", "", "not JSON", ""},
}

// loopDeadline ends loops. It is wall time, and holds for all that a guest does, so
// that slow machines need a generous one.
var loopDeadline = scaled(2*time.Second, 6*time.Second)

// nastyTable has little memory, so that to fill it takes no time.
var nastyTable = fmt.Sprintf("[plugin.nasty]\nmax_restarts = 1000\ndeadline = %q\nmemory = 16777216\n", loopDeadline)

// scaled returns the second value under the race detector.
func scaled[T any](usual, slow T) T {
	if raced {
		return slow
	}
	return usual
}

// Guests die in every way while 100 clients of another plugin chat. Nobody
// notices but those who asked for it.
func TestDeathsDisturbNobody(t *testing.T) {
	const killers = 3
	chatters := scaled(100, 30)
	s := start(t, setup{
		plugins: map[string][]byte{"chat": chatGuest(t), "nasty": nastyGuest(t)},
		config:  patientChat + nastyTable,
	})
	chat := startChatter(t, s, "room:lobby", chatters, 200*time.Millisecond)

	begin := time.Now()
	var all sync.WaitGroup
	var failed firstError
	bystander := s.connect(t) // in the killers' topic
	bystander.mustJoin(t, "nasty:pit", "{}")
	for k := range killers {
		killer := s.connect(t)
		killer.mustJoin(t, "nasty:pit", "{}")
		all.Go(func() {
			for i := range deaths {
				failed.set(die(killer, deaths[(i+k)%len(deaths)]))
			}
		})
	}
	within(t, "the deaths", func() error { all.Wait(); return failed.get() })
	if rest := 3*time.Second - time.Since(begin); rest > 0 {
		time.Sleep(rest)
	}
	messages := chat.stop(t)
	t.Logf("%d messages to %d clients each in %v, slowest round trip %v", messages, chatters, time.Since(begin).Round(time.Millisecond),
		time.Duration(chat.slowest.Load()).Round(time.Millisecond))
	if messages < int64(chatters) {
		t.Errorf("only %d messages: that is no chat", messages)
	}

	bystander.wantReply(t, "nasty:pit", "count", "{}", `ok {"handled":1}`)
	if bystander.has("ghost") {
		t.Error("a guest that died has broadcast")
	}
	deathsInAll := float64(killers * len(deaths))
	if got := s.metric(t, "rtd_crashes_total", `plugin="nasty"`); got != deathsInAll {
		t.Errorf("crashes = %v, want %v", got, deathsInAll)
	}
	if got := s.metric(t, "rtd_restarts_total", `plugin="nasty"`); got != deathsInAll {
		t.Errorf("restarts = %v, want %v", got, deathsInAll)
	}
	if got := s.metric(t, "rtd_crashes_total", `plugin="chat"`); got != 0 {
		t.Errorf("crashes of chat = %v", got)
	}
	if got := s.metric(t, "rtd_traps_total", `plugin="nasty"`, `kind="deadline"`); got != killers {
		t.Errorf("deadline traps = %v, want %v", got, killers)
	}
	for _, d := range deaths {
		wantCrashLine(t, s, d)
	}
}

// die has a guest die and checks what its client notices: an error reply, a
// fresh memory, and nothing else.
func die(c *client, d death) error {
	const topic = "nasty:pit"
	if _, err := c.push(topic, "count", "{}"); err != nil {
		return err
	}
	begin := time.Now()
	r, err := c.push(topic, d.event, "{}")
	took := time.Since(begin)
	if err != nil {
		return err
	}
	if r.String() != `error {"reason":"crashed"}` {
		return fmt.Errorf("%s: reply %v", d.event, r)
	}
	if d.event == "loop" && (took < loopDeadline || took > loopDeadline+10*time.Second) {
		return fmt.Errorf("the loop ended after %v, its deadline is %v", took, loopDeadline)
	}
	r, err = c.push(topic, "count", "{}")
	if err != nil {
		return err
	}
	if r.String() != `ok {"handled":1}` {
		return fmt.Errorf("after %s: reply %v, want a fresh memory", d.event, r)
	}
	if c.has("phx_error") || c.has("phx_close") {
		return fmt.Errorf("after %s: the client was told of the end of its channel", d.event)
	}
	return nil
}

func wantCrashLine(t *testing.T, s *server, d death) {
	t.Helper()
	lines := s.log.all("channel crashed", "event", d.event)
	if len(lines) == 0 {
		t.Errorf("%s: no log line", d.event)
		return
	}
	line := lines[0]
	if line.text("plugin") != "nasty" || len(line.text("version")) != 12 || line.text("topic") != "nasty:pit" || line.text("then") != "restarts" {
		t.Errorf("%s: log line %v", d.event, line)
	}
	if line.text("trap") != d.kind {
		t.Errorf("%s: trap is %q, want %q", d.event, line.text("trap"), d.kind)
	}
	if !strings.Contains(line.text("cause"), d.cause) {
		t.Errorf("%s: cause is %q, want %q in it", d.event, line.text("cause"), d.cause)
	}
	if !strings.Contains(line.text("stack"), d.stack) {
		t.Errorf("%s: stack is %s, want %s in it", d.event, line.text("stack"), d.stack)
	}
}

// A guest that prints without measure fills neither disk nor log.
func TestFloodOfOutputIsCut(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}})
	c := s.connect(t)
	c.mustJoin(t, "nasty:pit", "{}")
	c.wantReply(t, "nasty:pit", "print", "{}", "ok")
	cut := s.log.wait(t, "guest logs too much in one event", "plugin", "nasty", "topic", "nasty:pit")
	if cut.text("dropped_lines") != "9900" {
		t.Errorf("dropped lines: %v of 10,000, want all but 100", cut["dropped_lines"])
	}
}

// Restart type temporary is what Phoenix does: no reply, phx_error, and the
// client rejoins.
func TestTemporary(t *testing.T) {
	s := start(t, setup{
		plugins: map[string][]byte{"nasty": nastyGuest(t)},
		config:  "[plugin.nasty]\nrestart = \"temporary\"\n",
	})
	c, other := s.connect(t), s.connect(t)
	c.mustJoin(t, "nasty:a", "{}")
	other.mustJoin(t, "nasty:a", "{}")
	c.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	ref, err := c.send("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")
	c.wantReply(t, "nasty:a", "count", "{}", `error {"reason":"unmatched topic"}`)
	c.mu.Lock()
	_, answered := c.replies["nasty:a "+ref]
	c.mu.Unlock()
	if answered {
		t.Error("the push that crashed was answered")
	}

	other.wantReply(t, "nasty:a", "say", `{"n":1}`, "ok") // c is not a member
	c.mustJoin(t, "nasty:a", "{}")
	other.wantReply(t, "nasty:a", "say", `{"n":2}`, "ok")
	if m := c.expect(t, "nasty:a", "say"); string(m.payload) != `{"n":2}` {
		t.Errorf("after its rejoin the client got %s", m.payload)
	}
	c.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	if line := s.log.wait(t, "channel crashed", "event", "panic"); line.text("then") != "ends" {
		t.Errorf("log line %v", line)
	}
	if got := s.metric(t, "rtd_restarts_total", `plugin="nasty"`); got != 0 {
		t.Errorf("restarts = %v", got)
	}
}

// A client that crashes its handler again and again loses its channel, and
// nobody else does.
func TestIntensity(t *testing.T) {
	s := start(t, setup{
		plugins: map[string][]byte{"nasty": nastyGuest(t)},
		config:  "[plugin.nasty]\nmax_restarts = 2\nmax_seconds = 60\n",
	})
	c, other := s.connect(t), s.connect(t)
	c.mustJoin(t, "nasty:a", "{}")
	other.mustJoin(t, "nasty:a", "{}")
	for range 2 {
		c.wantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	}
	_, err := c.send("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")
	c.wantReply(t, "nasty:a", "count", "{}", `error {"reason":"unmatched topic"}`)
	other.wantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	other.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	c.mustJoin(t, "nasty:a", "{}")
	c.wantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	s.log.wait(t, "channel crashed", "then", "gives up")
}

// wantChannelEnd waits for the message that ends a channel and checks its refs.
func wantChannelEnd(t testing.TB, c *client, topic, event string) {
	t.Helper()
	m := c.expect(t, topic, event)
	c.mu.Lock()
	joinRef := c.joinRefs[topic]
	c.mu.Unlock()
	if m.joinRef != joinRef || m.ref != joinRef {
		t.Errorf("%s has refs %q and %q, want the join's %q twice", event, m.joinRef, m.ref, joinRef)
	}
}

// A storm of crashes is a few full lines and a count, and none is missing.
func TestCrashStormInTheLog(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: nastyTable})
	const killers, times = 5, 20
	var all sync.WaitGroup
	var failed firstError
	for _, c := range s.connectAll(t, killers, "nasty:pit", "{}") {
		all.Go(func() {
			for range times {
				failed.set(die(c, deaths[0]))
			}
		})
	}
	within(t, "the crashes", func() error { all.Wait(); return failed.get() })
	s.stop(t) // writes what is left to say
	full, counted := len(s.log.all("channel crashed", "event", "panic")), 0
	for _, line := range s.log.all("crashed again for the same cause", "plugin", "nasty", "cause", "told to panic") {
		counted += int(line["more"].(float64))
	}
	if full < 10 || full == killers*times || full+counted != killers*times {
		t.Errorf("%d full lines and a count of %d, want %d together and not all in full", full, counted, killers*times)
	}
}

// All clients come back at once after a restart of the server. Their guests start
// within the default deadline, which a thousand at a time could not.
func TestCrowdOfJoins(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"chat": chatGuest(t)}, config: chatToken})
	topics, sockets := scaled(50, 15), 6
	var all sync.WaitGroup
	var failed firstError
	for range sockets {
		c := s.connect(t)
		for n := range topics {
			all.Go(func() {
				topic := fmt.Sprintf("room:%d", n)
				r, err := c.join(topic, `{"token":"demo"}`)
				if err == nil && r.Status != "ok" {
					err = fmt.Errorf("join of %s: %v", topic, r)
				}
				failed.set(err)
			})
		}
	}
	within(t, "the joins", func() error { all.Wait(); return failed.get() })
	if n := s.metric(t, "rtd_channels"); n != float64(topics*sockets) {
		t.Errorf("channels = %v, want %v", n, topics*sockets)
	}
}
