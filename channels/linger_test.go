package channels_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// linger has the plugin's handlers linger.
func (s *server) linger(l channels.Lingering) {
	v := *s.plugin.current.Load()
	w := channels.Version{
		ID: v.ID, Restart: v.Restart, Mailbox: v.Mailbox, Exports: v.Exports, New: v.New, Scope: v.Scope, Linger: l,
	}
	s.plugin.current.Store(&w)
}

const lingerFor = 30 * time.Second

func runLingering(t *testing.T, o options, test func(*testing.T, *server)) {
	t.Helper()
	run(t, o, func(t *testing.T, s *server) {
		s.linger(channels.Lingering{For: lingerFor})
		test(t, s)
		if n := s.Stats().Lingering; n != 0 {
			time.Sleep(lingerFor)
			settle()
			if n := s.Stats().Lingering; n != 0 {
				t.Errorf("%d handlers linger longer than they may", n)
			}
		}
	})
}

// key waits until all is quiet, and takes the key from what the client got, in which K stands for it then.
func (c *client) key(frames ...string) (key string) {
	c.t.Helper()
	settle()
	got := c.take()
	for i, f := range got {
		if _, tail, found := strings.Cut(f, `{"key":"`); found {
			key = tail[:26]
			got[i] = strings.Replace(f, key, "K", 1)
		}
	}
	if !slices.Equal(got, frames) {
		c.t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(frames, "\n"))
	}
	return key
}

func resume(resumed bool) string {
	return fmt.Sprintf(`["1",null,"room:a","resume",{"key":"K","resumed":%t}]`, resumed)
}

// entersWith joins room:a with a payload.
func (c *client) entersWith(payload string) *client {
	c.t.Helper()
	c.send(`["1","1","room:a","phx_join",` + payload + `]`)
	return c
}

// resumes joins room:a with a key, and says what its guest is to do.
func (c *client) resumes(key, do string) *client {
	c.t.Helper()
	return c.entersWith(fmt.Sprintf(`{"resume":%q,"do":%q}`, key, do))
}

// breaks ends the connection.
func (c *client) breaks() { c.Close(); settle(); c.take() }

func TestLinger(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connectWith(channels.SocketOptions{Assigns: []byte("ann")}).entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.send(`["1","2","room:a","echo",{}]`)
		a.want(ok("1", "2", "room:a"))
		a.breaks()
		s.wantJoins("{} with ann", "away closed")
		if n := s.Stats().Lingering; n != 1 {
			t.Errorf("%d linger, want 1", n)
		}
		if n := s.Hub.Members("room:a"); n != 0 {
			t.Errorf("%d members, want none", n)
		}

		time.Sleep(lingerFor / 2)
		b := s.connectWith(channels.SocketOptions{Assigns: []byte("ann later")}).resumes(key, "count")
		next := b.key(`["1","1","room:a","phx_reply",{"status":"ok","response":1}]`, resume(true), `["1",null,"room:a","hello",{}]`)
		if next == key {
			t.Error("the key is the old one")
		}
		s.wantJoins("back count with ann later")
		time.Sleep(lingerFor)
		b.send(`["1","2","room:a","count",{}]`)
		b.want(`["1","2","room:a","phx_reply",{"status":"ok","response":2}]`)

		b.send(`["1","3","room:a","phx_leave",{}]`)
		b.want(ok("1", "3", "room:a"), `["1","1","room:a","phx_close",{}]`)
		if n := s.Stats().Lingering; n != 0 {
			t.Errorf("%d linger after a leave, want none", n)
		}
	})
}

// Nobody comes: the handler ends as it would have before.
func TestLingerEnds(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`"wants"`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		s.wantJoins(`"wants"`, "away closed")
		time.Sleep(lingerFor - time.Second)
		s.wantJoins()
		time.Sleep(time.Second)
		s.wantJoins("terminate shutdown closed")
		b := s.connect().resumes(key, "")
		b.key(joinedA, resume(false))
		s.wantJoins(fmt.Sprintf(`{"resume":%q,"do":""}`, key))
	})
}

// What is pushed meanwhile comes behind the reply; what the guest says in public does not.
func TestPushesWhileAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.plugin.onAway = "push"
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		for _, m := range []told{{"push", `{"n":1}`}, {"say", `{"n":2}`}, {"push", `{"n":3}`}} {
			s.plugin.latest().Send(m)
		}
		settle()
		if s.plugin.kept.Load() == 0 {
			t.Error("nobody pays for the pushes")
		}
		b := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		b.send(fmt.Sprintf(`{"topic":"room:a","event":"phx_join","payload":{"resume":%q},"ref":"7"}`, key))
		b.key(`{"topic":"room:a","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"7"}`,
			`{"topic":"room:a","event":"resume","payload":{"key":"K","resumed":true},"ref":null}`,
			`{"topic":"room:a","event":"meanwhile","payload":{},"ref":null}`,
			`{"topic":"room:a","event":"pushed","payload":{"n":1},"ref":null}`,
			`{"topic":"room:a","event":"pushed","payload":{"n":3},"ref":null}`)
		if n := s.plugin.kept.Load(); n != 0 {
			t.Errorf("%d bytes of pushes are still paid for", n)
		}
	})
}

// More pushes than are kept end the handler; its client joins anew.
func TestTooManyPushesWhileAway(t *testing.T) {
	for name, push := range map[string]told{
		"number": {"push", `{"n":1}`},
		"bytes":  {"push", `{"n":"` + strings.Repeat("x", 1000) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			runLingering(t, options{}, func(t *testing.T, s *server) {
				var told []string // on a process of the plugin
				s.Overflowed = func(plugin, topic string) { told = append(told, plugin+" "+topic) }
				a := s.connect().entersWith(`"wants"`)
				key := a.key(joinedA, resume(false))
				a.breaks()
				for range 101 {
					s.plugin.latest().Send(push)
				}
				s.wantJoins(`"wants"`, "away closed", "terminate shutdown overflow")
				if n := s.Stats().LingerOverflows; n != 1 || !slices.Equal(told, []string{"rooms room:a"}) {
					t.Errorf("%d overflows, told %q, want 1", n, told)
				}
				s.connect().resumes(key, "").key(joinedA, resume(false))
			})
		})
	}
}

// Who is there stays so, and is shown again to whom it was shown.
func TestPresenceWhileAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`"present"`)
		key := a.key(joinedA, resume(false), `["1",null,"room:a","presence_state",{}]`, `["1",null,"room:a","hello",{}]`)
		ann := s.present(t, s.plugin.latest().Actor(), "room:a", "ann")
		a.want(`[null,null,"room:a","presence_diff",{"joins":{` + ann + `},"leaves":{}}]`)
		handler := s.plugin.latest()
		watch := s.connect().entersWith(`{}`)
		watch.key(joinedA, resume(false))
		a.breaks()
		handler.Send(told{"present", `""`}) // for later
		eve := s.present(t, 3, "room:a", "eve")
		watch.want(`[null,null,"room:a","presence_diff",{"joins":{` + eve + `},"leaves":{}}]`)

		b := s.connect().resumes(key, "")
		b.key(joinedA, resume(true), `["1",null,"room:a","presence_state",{`+ann+`,`+eve+`}]`)
		watch.want()
		b.breaks()
		time.Sleep(lingerFor)
		watch.want(`[null,null,"room:a","presence_diff",{"joins":{},"leaves":{` + ann + `}}]`)
	})
}

// What a guest intercepts it gets while its client is away, once.
func TestInterceptWhileAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.keep(10)
		a := s.connect().entersWith(`{"intercept":true}`)
		settle()
		key := keyIn(t, a.take())
		say := s.connect().entersWith(`{}`)
		settle()
		say.take()
		a.breaks()
		s.wantJoins(`{"intercept":true}`, `{}`, "away closed")
		say.send(`["1","2","room:a","say",{"n":1}]`, `["1","3","room:a","shout",{"n":2}]`)
		s.wantJoins(`out said {"n":1}`)
		b := s.connect().entersWith(fmt.Sprintf(`{"resume":%q,"since":""}`, key))
		settle()
		got := b.take()
		keyIn(t, got)
		if !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, `"said out",{"n":1}`) }) {
			t.Errorf("the push is missing: %q", got)
		}
		s.wantJoins("back ")
		say.send(`["1","2","room:a","say",{"n":3}]`)
		s.wantJoins(`out said {"n":3}`)
		settle()
		if got := b.take(); len(got) != 1 || !strings.Contains(got[0], `"said out",{"n":3}`) {
			t.Errorf("got %q", got)
		}
	})
}

func keyIn(t *testing.T, frames []string) string {
	t.Helper()
	for _, f := range frames {
		if _, tail, found := strings.Cut(f, `{"key":"`); found {
			return tail[:26]
		}
	}
	t.Fatalf("no key in %q", frames)
	return ""
}

// Resumed first, then recovered: without what the handler has said to all but its own client.
func TestResumeAndRecover(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.keep(10)
		a := s.connect().entersWith(`{}`)
		settle()
		frames := a.take()
		key, epoch := keyIn(t, frames), epochs.FindString(strings.Join(frames, ""))[1:11]
		other := s.connect().entersWith(`{}`)
		settle()
		other.take()
		a.send(`["1","2","room:a","shout",{"n":1}]`)
		a.breaks()
		other.send(`["1","2","room:a","say",{"n":2}]`, `["1","3","room:a","shout",{"n":3}]`)
		settle()
		b := s.connect().entersWith(fmt.Sprintf(`{"resume":%q,"since":"%s:0"}`, key, epoch))
		settle()
		got := b.take()
		next := keyIn(t, got)
		for i := range got {
			got[i] = epochs.ReplaceAllString(strings.Replace(got[i], next, "K", 1), `"E:`)
		}
		want := []string{joinedA, resume(true), said2, `[null,"E:3","room:a","shouted",{"n":3}]`, recovered(3, 2)}
		if !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Each of these ends a handler at once, as without linger.
func TestNoLinger(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *server, c *client)
		want string
	}{
		"leave": {func(_ *server, c *client) { c.send(`["1","9","room:a","phx_leave",{}]`) }, "left"},
		"leave and close": {func(_ *server, c *client) {
			c.send(`["1","9","room:a","phx_leave",{}]`)
			c.Close()
		}, "closed"},
		"drain":     {func(_ *server, c *client) { c.Drain() }, "draining"},
		"malformed": {func(_ *server, c *client) { _ = c.Receive([]byte("{"), false); c.Close() }, "closed"},
		"kick":      {func(s *server, c *client) { s.Disconnect("user:1"); c.Close() }, "closed"},
		"duplicate": {func(_ *server, c *client) { c.send(`["2","2","room:a","phx_join","refuse"]`) }, "duplicate_join"},
		"wrong key": {func(_ *server, c *client) {
			c.send(`["2","2","room:a","phx_join",{"refuse":true,"resume":"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}]`)
		}, "duplicate_join"},
	} {
		t.Run(name, func(t *testing.T) {
			runLingering(t, options{}, func(t *testing.T, s *server) {
				a := s.connectWith(channels.SocketOptions{ID: "user:1"}).entersWith(`"wants"`)
				key := a.key(joinedA, resume(false))
				s.wantJoins(`"wants"`)
				c.end(s, a)
				settle()
				s.plugin.mu.Lock()
				got := slices.Clone(s.plugin.joins)
				s.plugin.mu.Unlock()
				if len(got) == 0 || got[0] != "terminate shutdown "+c.want {
					if !(name == "leave and close" && got[0] == "terminate shutdown left") { // which comes first
						t.Errorf("got %q", got)
					}
				}
				if n := s.Stats().Lingering; n != 0 {
					t.Errorf("%d linger", n)
				}
				b := s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(key, "")
				b.key(joinedA, resume(false))
			})
		})
	}
}

// Without it nothing is on the wire, and a key means nothing.
func TestWithoutLinger(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().resumes("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "")
		a.want(joinedA)
		a.breaks()
		s.wantJoins(`{"resume":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","do":""}`)
		if n := s.plugin.tree.Len(); n != 0 {
			t.Errorf("%d handlers, want none", n)
		}
	})
}

// One handler for a topic never lingers: it has its own life.
func TestSharedDoesNotLinger(t *testing.T) {
	runLingering(t, options{shared: true}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		a.want(joinedA)
		a.breaks()
		s.wantJoins("{} as 1", "1 closed")
	})
}

// The connection that the client has given up may still seem open.
func TestTakeOver(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","echo",{}]`)
		b := s.connect().resumes(key, "count")
		settle()
		a.send(`["1","4","room:a","echo",{}]`)
		close(s.plugin.gate)
		// What came before the take-over is answered, what came after it is told that the topic is not joined.
		settle()
		got := a.take()
		want := []string{ok("1", "2", "room:a"), ok("1", "3", "room:a"), ok("1", "4", "room:a"), `["1","1","room:a","phx_close",{}]`}
		if !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		b.key(`["1","1","room:a","phx_reply",{"status":"ok","response":3}]`, resume(true), `["1",null,"room:a","hello",{}]`)
		s.wantJoins("{}", "away taken_over", "back count")
		a.send(`["1","5","room:a","echo",{}]`)
		a.want(`[null,"5","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
		a.breaks() // it is nobody's any more
		b.send(`["1","2","room:a","count",{}]`)
		b.want(`["1","2","room:a","phx_reply",{"status":"ok","response":4}]`)
		s.wantJoins()
	})
}

// A client that joins again by the same connection, as one does whose join timed out.
func TestResumeInPlace(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.send(`["1","2","room:a","echo",{}]`)
		a.want(ok("1", "2", "room:a"))
		a.send(fmt.Sprintf(`["3","3","room:a","phx_join",{"resume":%q,"do":"count"}]`, key), `["3","4","room:a","count",{}]`)
		a.key(`["3","3","room:a","phx_reply",{"status":"ok","response":1}]`, `["1","1","room:a","phx_close",{}]`,
			`["3",null,"room:a","resume",{"key":"K","resumed":true}]`, `["3",null,"room:a","hello",{}]`,
			`["3","4","room:a","phx_reply",{"status":"ok","response":2}]`)
		s.wantJoins("{}", "away taken_over", "back count")
	})
}

// A guest may refuse who comes back, and be asked again.
func TestRefuseBack(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		b := s.connect().resumes(key, "refuse")
		b.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"no"}}]`)
		b.resumes(key, "large")
		b.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"too_large"}}]`)
		b.resumes(key, "")
		b.key(joinedA, resume(true), `["1",null,"room:a","kept",{}]`)
		s.wantJoins("{}", "away closed", "back refuse", "back large", "back ")
		b.breaks()
		c := s.connect().resumes(key, "refuse")
		c.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"no"}}]`)
		time.Sleep(lingerFor)
		c.resumes(key, "")
		c.key(joinedA, resume(false))
	})
}

// A guest that does not want to wait stops.
func TestStopWhenAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.plugin.onAway = "stop"
		a := s.connect().entersWith(`"wants"`)
		a.key(joinedA, resume(false))
		a.breaks()
		s.wantJoins(`"wants"`, "away closed", "terminate normal ")
	})
}

// A crash ends a handler that is away, whatever its restart type: its memory was what it stayed for.
func TestCrashWhileAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		s.plugin.latest().Send(told{"crash", `{}`})
		s.wantCrashes("rooms v1 room:a info: trap, ends, 0")
		b := s.connect().resumes(key, "")
		key = b.key(joinedA, resume(false))
		s.plugin.onAway = "crash"
		b.breaks()
		s.wantCrashes("rooms v1 room:a away: trap, ends, 0")

		s.plugin.onAway = ""
		c := s.connect().resumes(key, "")
		key = c.key(joinedA, resume(false))
		c.breaks()
		d := s.connect().resumes(key, "crash")
		d.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`)
		s.wantCrashes("rooms v1 room:a back: back: trap, ends, 0")
		d.resumes(key, "")
		key = d.key(joinedA, resume(false))

		// A crash of one that is there is as ever, and the key is good after it.
		d.send(`["1","2","room:a","crash",{}]`)
		d.want(`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"crashed"}}]`)
		s.wantCrashes("rooms v1 room:a crash: trap, restarts, 0")
		d.breaks()
		s.connect().resumes(key, "count").key(`["1","1","room:a","phx_reply",{"status":"ok","response":0}]`, resume(true), `["1",null,"room:a","hello",{}]`)
	})
}

// A reply that the client of version 1 cannot be sent is a crash, as in a join.
func TestBinaryBack(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		b := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		b.send(fmt.Sprintf(`{"topic":"room:a","event":"phx_join","payload":{"resume":%q,"do":"binary"},"ref":"7"}`, key))
		b.want(`{"topic":"room:a","event":"phx_reply","payload":{"status":"error","response":{"reason":"join crashed"}},"ref":"7"}`)
		settle()
		if len(s.crashes) != 1 {
			t.Errorf("crashes: %q", s.crashes)
		}
	})
}

// A key holds until the client has used the next one, and no longer.
func TestKeys(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key1 := a.key(joinedA, resume(false))
		a.breaks()
		var key2 string
		for range 3 { // the reply with the next one is lost each time
			b := s.connect().resumes(key1, "")
			key2 = b.key(joinedA, resume(true))
			b.breaks()
		}
		c := s.connect().resumes(key2, "")
		key3 := c.key(joinedA, resume(true))
		c.send(`["1","2","room:a","echo",{}]`)
		c.want(ok("1", "2", "room:a"))
		c.breaks()
		for _, old := range []string{key1, key2} {
			d := s.connect().resumes(old, "")
			d.key(joinedA, resume(false))
			d.send(`["1","2","room:a","phx_leave",{}]`)
			settle()
		}
		s.connect().resumes(key3, "").key(joinedA, resume(true))
	})
}

// A key is good for one socket id, one topic and one plugin.
func TestForeignKeys(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connectWith(channels.SocketOptions{ID: "user:1"}).entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		for name, join := range map[string]func() string{
			"another id": func() string {
				return s.connectWith(channels.SocketOptions{ID: "user:2"}).resumes(key, "").joinedAnew()
			},
			"no id": func() string { return s.connect().resumes(key, "").joinedAnew() },
			"another topic": func() string {
				c := s.connectWith(channels.SocketOptions{ID: "user:1"})
				c.send(fmt.Sprintf(`["1","1","room:b","phx_join",{"resume":%q}]`, key))
				return c.joinedAnew()
			},
			"cut": func() string {
				return s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(key[:25], "").joinedAnew()
			},
			"longer": func() string {
				return s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(key+"A", "").joinedAnew()
			},
			"no text": func() string {
				return s.connectWith(channels.SocketOptions{ID: "user:1"}).entersWith(`{"resume":[{"resume":"` + key + `"}]}`).joinedAnew()
			},
			"guessed": func() string {
				return s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(strings.Repeat("A", 26), "").joinedAnew()
			},
		} {
			if got := join(); got != "false" {
				t.Errorf("%s: resumed is %s", name, got)
			}
		}
		s.plugin.mu.Lock()
		s.plugin.joins = nil
		s.plugin.mu.Unlock()
		s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(key, "").key(joinedA, resume(true))
		s.wantJoins("back ")
	})
}

// joinedAnew says whether the client was told that its join was resumed.
func (c *client) joinedAnew() string {
	settle()
	for _, f := range c.take() {
		if _, tail, found := strings.Cut(f, `"resumed":`); found {
			return strings.TrimSuffix(tail, "}]")
		}
	}
	return "not said"
}

// The oldest go first.
func TestMaxLingering(t *testing.T) {
	for name, c := range map[string]struct {
		bound channels.Lingering
		ids   []string
		want  string // which of six are left
	}{
		"plugin":  {channels.Lingering{For: lingerFor, Most: 3}, []string{"a", "b", "c", "d", "e", "f"}, "3 4 5"},
		"id":      {channels.Lingering{For: lingerFor, PerID: 2}, []string{"a", "b", "a", "a", "", ""}, "1 2 3 4 5"},
		"address": {channels.Lingering{For: lingerFor, PerAddress: 1}, []string{"", "", "", "", "", ""}, "4 5"}, // two addresses
		"none":    {channels.Lingering{For: lingerFor}, []string{"", "", "", "", "", ""}, "0 1 2 3 4 5"},
	} {
		t.Run(name, func(t *testing.T) {
			runLingering(t, options{}, func(t *testing.T, s *server) {
				s.linger(c.bound)
				var keys []string
				connect := func(i int) *client {
					box := &outbox{}
					at := addressed{box, fmt.Sprint("10.0.0.", i%2)}
					c := &client{outbox: box, t: t, Socket: s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: at, ID: c.ids[i]})}
					s.clients = append(s.clients, c)
					return c
				}
				for i := range c.ids {
					a := connect(i).entersWith(`{}`)
					keys = append(keys, a.key(joinedA, resume(false)))
					a.breaks()
					time.Sleep(time.Second)
				}
				left := len(strings.Fields(c.want))
				if st := s.Stats(); int(st.Lingering) != left || int(st.LingerCrowded) != len(c.ids)-left {
					t.Errorf("%d linger, %d had to go", st.Lingering, st.LingerCrowded)
				}
				var got []string
				for i, key := range keys {
					if connect(i).resumes(key, "").joinedAnew() == "true" {
						got = append(got, fmt.Sprint(i))
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("left are %q, want %q", got, c.want)
				}
			})
		})
	}
}

type addressed struct {
	*outbox
	address string
}

func (a addressed) Address() string { return a.address }

// A reply to a message of the connection before is nobody's: the next one may use the same ref for another message.
func TestTokensEndWithTheConnection(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.send(`["1","2","room:a","later",{}]`)
		a.breaks()
		b := s.connect().resumes(key, "")
		b.key(joinedA, resume(true))
		s.plugin.latest().Send(told{"answer", `{}`})
		b.want()
	})
}

// A version that takes the state over has the handler wait on, any other ends it.
func TestDeployWhileAway(t *testing.T) {
	for _, exports := range []bool{true, false} {
		t.Run(fmt.Sprint("exports ", exports), func(t *testing.T) {
			id := map[bool]string{true: "v2 exports", false: "v2"}[exports]
			runLingering(t, options{}, func(t *testing.T, s *server) {
				v := s.plugin.version("v1 exports", supervisor.Transient)
				v.Linger = channels.Lingering{For: lingerFor}
				s.plugin.current.Store(v)
				a := s.connect().entersWith(`{}`)
				key := a.key(joinedA, resume(false))
				a.send(`["1","2","room:a","echo",{}]`)
				a.breaks()
				next := s.plugin.version(id, supervisor.Transient)
				next.Linger = v.Linger
				s.plugin.deploy(next)
				settle()
				b := s.connect().resumes(key, "count")
				if exports {
					b.key(`["1","1","room:a","phx_reply",{"status":"ok","response":1}]`, resume(true), `["1",null,"room:a","hello",{}]`)
				} else {
					b.key(joinedA, resume(false))
				}
			})
		})
	}
}

// The channels' sibling crashes, and they begin anew: those that are away end.
func TestSiblingWhileAway(t *testing.T) {
	runLingering(t, options{sibling: true}, func(t *testing.T, s *server) {
		a, b := s.connect().entersWith(`{}`), s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		b.key(joinedA, resume(false))
		a.breaks()
		s.crashSibling()
		s.wantJoins("{}", "{}", "away closed", "{} replayed")
		b.want()
		s.connect().resumes(key, "").key(joinedA, resume(false))
	})
}

// Whatever order breaks, joins and take-overs come in, there is one handler, and the last join has it.
func TestResumeStorm(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		var all []*client
		for i := range 200 {
			c := s.connect().resumes(key, "")
			all = append(all, c)
			if i%3 == 0 {
				go c.Close()
			}
			if i%7 == 0 {
				go a.Close()
			}
		}
		settle()
		resumed := 0
		for _, c := range all {
			c.take()
			c.send(`["1","2","room:a","count",{}]`)
		}
		settle()
		for _, c := range all {
			for _, f := range c.take() {
				var m []json.RawMessage
				if json.Unmarshal([]byte(f), &m) == nil && strings.Contains(f, `"status":"ok"`) {
					resumed++
				}
			}
		}
		if resumed != 1 || s.plugin.tree.Len() != 1 {
			t.Errorf("%d clients are joined, with %d handlers, want one", resumed, s.plugin.tree.Len())
		}
	})
}

// A guest that knows nothing of it waits and accepts.
func TestLingerUnaware(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.plugin.unaware = true
		a := s.connect().entersWith(`{}`)
		key := a.key(joinedA, resume(false))
		a.send(`["1","2","room:a","echo",{}]`)
		a.breaks()
		s.plugin.latest().Send(told{"push", `{"n":1}`})
		b := s.connect().resumes(key, "refuse")
		b.key(joinedA, resume(true), `["1",null,"room:a","pushed",{"n":1}]`)
		b.send(`["1","2","room:a","count",{}]`)
		b.want(`["1","2","room:a","phx_reply",{"status":"ok","response":3}]`)
		s.wantJoins("{}")
	})
}

// A guest that cannot keep up with what it intercepts while its client is away ends: that would never know what it missed.
func TestInterceptTooMuchWhileAway(t *testing.T) {
	for name, limit := range map[string]func(s *server){
		"mailbox": func(s *server) {},
		"bytes":   func(s *server) { s.plugin.room = 2500 },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, options{mailbox: 5}, func(t *testing.T, s *server) {
				s.linger(channels.Lingering{For: lingerFor})
				limit(s)
				var told []string // by who broadcasts, one after the other
				s.Overflowed = func(plugin, topic string) { told = append(told, plugin+" "+topic) }
				a := s.connect().entersWith(`{"intercept":true}`)
				key := a.key(joinedA, resume(false))
				a.breaks()
				say := s.connect().entersWith(`{}`)
				say.key(joinedA, resume(false))
				say.send(`["1","2","room:a","say",{"wait":true}]`)
				settle()
				for n := range 10 {
					say.send(fmt.Sprintf(`["1","3","room:a","say",{"n":%d,"text":%q}]`, n, strings.Repeat("x", 400)))
					settle()
				}
				close(s.plugin.gate)
				settle()
				if n := s.Stats().LingerOverflows; n != 1 || !slices.Equal(told, []string{"rooms room:a"}) {
					t.Errorf("%d overflows, told %q, want 1", n, told)
				}
				b := s.connect().resumes(key, "")
				b.key(joinedA, resume(false))
			})
		})
	}
}

// Who is disconnected by its socket id while it is away does not come back.
func TestKickWhileAway(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		var keys []string
		for _, id := range []string{"user:1", "user:1", "user:2"} {
			a := s.connectWith(channels.SocketOptions{ID: id}).entersWith(`{}`)
			keys = append(keys, a.key(joinedA, resume(false)))
			a.breaks()
		}
		if n := s.Disconnect("user:1"); n != 0 {
			t.Errorf("%d sockets were disconnected, want none", n)
		}
		settle()
		if n := s.Stats().Lingering; n != 1 || s.plugin.tree.Len() != 1 {
			t.Errorf("%d linger, of %d handlers; want 1", n, s.plugin.tree.Len())
		}
		s.connectWith(channels.SocketOptions{ID: "user:1"}).resumes(keys[0], "").key(joinedA, resume(false))
		s.connectWith(channels.SocketOptions{ID: "user:2"}).resumes(keys[2], "").key(joinedA, resume(true))
	})
}

// A thousand that come and break leave as many as may stay, and then none.
func TestThousandLinger(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		s.linger(channels.Lingering{For: lingerFor, Most: 100})
		for range 1000 {
			c := s.connect().entersWith(`{}`)
			go func() {
				time.Sleep(time.Second)
				c.Close()
			}()
		}
		time.Sleep(2 * time.Second)
		settle()
		if n := s.Stats().Lingering; n != 100 || s.plugin.tree.Len() != 100 {
			t.Errorf("%d linger, of %d handlers; want 100", n, s.plugin.tree.Len())
		}
		time.Sleep(lingerFor)
		settle()
		if n := s.plugin.tree.Len(); n != 0 {
			t.Errorf("%d handlers are left", n)
		}
	})
}
