package channels_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

const (
	crashedReply = `["1","%s","room:a","phx_reply",{"status":"error","response":{"reason":"crashed"}}]`
	crashed      = `["1","1","room:a","phx_error",{"reason":"channel_crash"}]`
	closed       = `["1","1","room:a","phx_close",{}]`
	unmatched    = `[null,"%s","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`
	said         = `[null,null,"room:a","said",{}]`
)

func counted(ref string, n int) string {
	return fmt.Sprintf(`["1",%q,"room:a","phx_reply",{"status":"ok","response":%d}]`, ref, n)
}

func TestTransientCrashRestartsInPlace(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c, other := s.connect(), s.connect().joined("room:a")
		c.send(`["1","1","room:a","phx_join","greet"]`)
		settle()
		c.take()
		other.take()
		c.send(
			`["1","2","room:a","count",{}]`,
			`["1","3","room:a","crash",{}]`,
			`["1","4","room:a","count",{}]`,
			`["1","5","room:a","count",{}]`,
		)
		c.want(
			counted("2", 1),
			fmt.Sprintf(crashedReply, "3"),
			`["1",null,"room:a","back",{}]`,
			counted("4", 1), counted("5", 2), // a new memory, the old mailbox
		)
		other.want() // nothing of what the crashed one did
		s.wantJoins(`{}`, `"greet"`, `"greet" replayed`)
		s.wantCrashes(`rooms v1 room:a crash: trap, restarts, 0`)
		other.send(`["1","2","room:a","say",{}]`)
		c.want(said) // once
		if n := s.Stats().JoinsAccepted; n != 2 {
			t.Errorf("%d joins were accepted, want 2: a replay is none", n)
		}
	})
}

func TestSubscriptionLastsThroughRestart(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c, other := s.connect(), s.connect().joined("room:a")
		c.send(`["1","1","room:a","phx_join","wait in replay"]`)
		c.want(ok("1", "1", "room:a"))
		c.send(`["1","2","room:a","crash",{}]`, `["1","3","room:a","echo",{}]`)
		c.want(fmt.Sprintf(crashedReply, "2")) // and now it hangs in the replay
		other.send(`["1","2","room:a","say",{}]`)
		c.want(said)
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "3", "room:a"))
	})
}

func TestBugInHandlerIsACrash(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","panic",{}]`, `["1","3","room:a","echo",{}]`)
		c.want(fmt.Sprintf(crashedReply, "2"), ok("1", "3", "room:a"))
	})
}

func TestTemporaryCrashEndsAsInPhoenix(t *testing.T) {
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		c, other := s.connect().joined("room:a", "room:b"), s.connect().joined("room:a")
		c.send(`["1","2","room:a","wait and crash",{}]`, `["1","3","room:a","echo",{}]`)
		c.want()
		s.plugin.gate <- struct{}{}
		c.want(crashed) // no reply, and what waited is lost
		s.wantCrashes(`rooms v1 room:a wait and crash: trap, ends, 0`)
		c.send(`["1","4","room:a","echo",{}]`, `["1","5","room:b","echo",{}]`)
		settle()
		if got := c.take(); len(got) != 2 {
			t.Errorf("got %q", got)
		}
		other.send(`["1","2","room:a","say",{}]`)
		other.want(said)
		c.want()
		c.joined("room:a")
	})
}

func TestLeaveBehindCrash(t *testing.T) {
	test := func(want ...string) func(t *testing.T, s *server) {
		return func(t *testing.T, s *server) {
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","crash in replay"]`)
			c.want(ok("1", "1", "room:a"))
			c.send(`["1","2","room:a","wait and crash",{}]`, `["1","3","room:a","phx_leave",{}]`, `["1","4","room:a","echo",{}]`)
			settle()
			s.plugin.gate <- struct{}{}
			c.want(append(want, fmt.Sprintf(unmatched, "4"))...)
		}
	}
	// phx_error would make the client rejoin what it has left.
	run(t, options{}, test(fmt.Sprintf(crashedReply, "2"), ok("1", "3", "room:a"), closed))
	// In Phoenix the leave is lost with all that waits.
	run(t, options{restart: supervisor.Temporary}, test(crashed))
}

// TestDuplicateJoinInterrupts has a join replace a channel whose guest waits: its
// message gets no reply, as in Phoenix.
func TestDuplicateJoinInterrupts(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Transient, supervisor.Temporary} {
		run(t, options{restart: restart}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","interrupted",{}]`, `["1","3","room:a","echo",{}]`)
			settle()
			c.send(`["4","4","room:a","phx_join",{}]`, `["4","5","room:a","echo",{}]`)
			c.want(ok("4", "4", "room:a"), closed, ok("4", "5", "room:a"))
		})
	}
}

func TestIntensityIsCountedPerChannel(t *testing.T) {
	tree := supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 2, Within: time.Second}}
	run(t, options{tree: tree}, func(t *testing.T, s *server) {
		c, other := s.connect().joined("room:a"), s.connect().joined("room:a")
		for i := range 2 {
			other.send(fmt.Sprintf(`["1","1%d","room:a","crash",{}]`, i))
		}
		c.send(`["1","2","room:a","crash",{}]`, `["1","3","room:a","crash",{}]`, `["1","4","room:a","crash",{}]`)
		c.want(fmt.Sprintf(crashedReply, "2"), fmt.Sprintf(crashedReply, "3"), crashed)
		other.want(fmt.Sprintf(crashedReply, "10"), fmt.Sprintf(crashedReply, "11"))
		time.Sleep(2 * time.Second)
		other.send(`["1","12","room:a","crash",{}]`, `["1","13","room:a","echo",{}]`)
		other.want(fmt.Sprintf(crashedReply, "12"), ok("1", "13", "room:a"))
		c.send(`["1","6","room:a","echo",{}]`)
		c.want(fmt.Sprintf(unmatched, "6"))
	})
}

func TestReplayThatFailsEndsTheChannel(t *testing.T) {
	for payload, cause := range map[string]string{
		`"refuse replay"`:   `replay join: answered "error" with "{\"reason\":\"not again\"}"`,
		`"crash in replay"`: `replay join: trap`,
	} {
		t.Run(payload, func(t *testing.T) {
			run(t, options{}, func(t *testing.T, s *server) {
				c := s.connect()
				c.send(`["1","1","room:a","phx_join",`+payload+`]`, `["1","2","room:a","crash",{}]`)
				settle()
				got := c.take()
				want := []string{ok("1", "1", "room:a"), fmt.Sprintf(crashedReply, "2"), crashed}
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("got %q", got)
				}
				s.wantCrashes(`rooms v1 room:a crash: trap, restarts, 0`, `rooms v1 room:a phx_join: `+cause+`, ends, 1`)
			})
		})
	}
}

func TestFirstJoinIsNeverRestarted(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","crash"]`)
		settle()
		s.wantJoins(`"crash"`)
		s.wantCrashes(`rooms v1 room:a phx_join: join: trap, ends, 0`)
		c.take()
	})
}

func TestStrategyRestartsTheTopic(t *testing.T) {
	run(t, options{tree: supervisor.DynamicConfig{Strategy: supervisor.OneForAll}}, func(t *testing.T, s *server) {
		a, b, elsewhere := s.connect().joined("room:a"), s.connect().joined("room:a"), s.connect().joined("room:b")
		for _, c := range []*client{a, b} {
			c.send(`["1","2","room:a","count",{}]`)
			c.want(counted("2", 1))
		}
		elsewhere.send(`["1","2","room:b","count",{}]`)
		settle()
		elsewhere.take()
		a.send(`["1","3","room:a","crash",{}]`)
		a.want(fmt.Sprintf(crashedReply, "3"))
		b.send(`["1","4","room:a","count",{}]`)
		b.want(counted("4", 1)) // a new life, of which the client knows nothing
		elsewhere.send(`["1","3","room:b","count",{}]`)
		elsewhere.want(`["1","3","room:b","phx_reply",{"status":"ok","response":2}]`)
	})
}

func TestRenew(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","greet"]`, `["1","2","room:a","wait",{}]`, `["1","3","room:a","count",{}]`)
		settle()
		c.take()
		v2 := s.plugin.version("v2", supervisor.Transient)
		s.plugin.deploy(v2)
		s.plugin.deploy(v2) // nothing to do
		settle()
		c.send(`["1","4","room:a","count",{}]`)
		settle()
		s.plugin.gate <- struct{}{}
		c.want(
			ok("1", "2", "room:a"),
			counted("3", 2),
			`["1",null,"room:a","back",{}]`,
			counted("4", 1),
		)
		s.wantJoins(`"greet"`, `"greet" replayed`)
		c.send(`["1","5","room:a","crash",{}]`)
		settle()
		s.wantCrashes(`rooms v2 room:a crash: trap, restarts, 0`)
		c.take()
	})
}

// TestRenewUnderTraffic deploys while messages come in. Each is answered once,
// in order, by one version or the other.
func TestRenewUnderTraffic(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		const messages = 2000
		for i := range messages {
			if i%20 == 0 {
				s.plugin.deploy(s.plugin.version(fmt.Sprint("v", i), supervisor.Transient))
			}
			c.send(fmt.Sprintf(`["1","%d","room:a","echo",{}]`, i))
			if i%100 == 0 {
				settle()
			}
		}
		settle()
		got := c.take()
		if len(got) != messages {
			t.Fatalf("%d answers to %d messages", len(got), messages)
		}
		for i, f := range got {
			if f != ok("1", fmt.Sprint(i), "room:a") {
				t.Fatalf("answer %d is %s", i, f)
			}
		}
	})
}

func TestRenewToVersionThatFails(t *testing.T) {
	for name, spoil := range map[string]func(*channels.Version){
		"no guest": func(v *channels.Version) {
			v.New = func(*supervisor.Process, string) (channels.Guest, error) { return nil, errors.New("no memory") }
		},
		"refused": func(*channels.Version) {},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, options{}, func(t *testing.T, s *server) {
				c := s.connect()
				c.send(`["1","1","room:a","phx_join","refuse replay"]`)
				c.want(ok("1", "1", "room:a"))
				v := s.plugin.version("v2", supervisor.Transient)
				spoil(v)
				s.plugin.deploy(v)
				c.want(crashed)
				c.send(`["1","2","room:a","echo",{}]`)
				c.want(fmt.Sprintf(unmatched, "2"))
			})
		})
	}
}

func TestJoinWithoutGuest(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		v := s.plugin.version("v2", supervisor.Transient)
		v.New = func(*supervisor.Process, string) (channels.Guest, error) { return nil, errors.New("no memory") }
		s.plugin.deploy(v)
		c := s.connect()
		c.send(`["1","1","room:a","phx_join",{}]`)
		c.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`)
	})
}

// TestClose closes the socket at every point of a channel's life. The checks are
// those at the end of run.
func TestClose(t *testing.T) {
	for name, before := range map[string]func(*client){
		"during join":      func(c *client) { c.send(`["1","1","room:a","phx_join","wait"]`, `["1","2","room:a","echo",{}]`) },
		"during a message": func(c *client) { c.joined("room:a").send(`["1","2","room:a","wait and say",{}]`) },
		"during a message that crashes": func(c *client) {
			c.joined("room:a").send(`["1","2","room:a","wait and crash",{}]`)
		},
		"during a replay": func(c *client) {
			c.send(`["1","1","room:a","phx_join","wait in replay"]`, `["1","2","room:a","crash",{}]`)
		},
		"during a leave": func(c *client) {
			c.joined("room:a").send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","phx_leave",{}]`)
		},
		"during a duplicate join": func(c *client) {
			c.joined("room:a").send(`["1","2","room:a","wait",{}]`)
			settle()
			c.send(`["3","3","room:a","phx_join",{}]`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			runBoth(t, options{}, func(t *testing.T, s *server) {
				c := s.connect()
				before(c)
				settle()
				c.Close()
				c.take()
				c.send(`["9","9","room:b","phx_join",{}]`) // is ignored
				close(s.plugin.gate)
				settle()
				for _, f := range c.take() {
					if strings.Contains(f, "phx_error") || strings.Contains(f, "phx_close") || strings.Contains(f, "room:b") {
						t.Errorf("after Close: %s", f)
					}
				}
				if st := s.Stats(); st.Channels != 0 || st.Sockets != 0 || s.rt.Stats().Processes != 1 {
					t.Errorf("after Close: %+v, %+v", st, s.rt.Stats())
				}
			})
		})
	}
}

func TestStopBetweenTwoLives(t *testing.T) {
	run(t, options{tree: supervisor.DynamicConfig{Strategy: supervisor.OneForAll}}, func(t *testing.T, s *server) {
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
		b.send(`["1","2","room:a","wait",{}]`)
		settle()
		a.send(`["1","2","room:a","crash",{}]`) // and waits for b to end
		a.want(fmt.Sprintf(crashedReply, "2"))
		a.send(`["3","3","room:a","phx_join",{}]`, `["3","4","room:a","echo",{}]`)
		settle()
		s.plugin.gate <- struct{}{}
		a.want(ok("3", "3", "room:a"), closed, ok("3", "4", "room:a"))
		b.want(ok("1", "2", "room:a"))
	})
}

// TestKilledLifeIsSilent ends guests that do not return in time. What they do
// when they return at last must not count.
func TestKilledLifeIsSilent(t *testing.T) {
	t.Run("its plugin has ended", func(t *testing.T) {
		run(t, options{tree: supervisor.DynamicConfig{Shutdown: time.Second}}, func(t *testing.T, s *server) {
			c, joining := s.connect().joined("room:a"), s.connect()
			c.send(`["1","2","room:a","wait and say",{}]`)
			joining.send(`["1","1","room:a","phx_join","wait"]`)
			settle()
			s.stop()
			c.want(crashed)
			joining.want(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`)
			close(s.plugin.gate)
			c.want()
			joining.want()
		})
	})
	t.Run("another join has replaced it", func(t *testing.T) {
		run(t, options{tree: supervisor.DynamicConfig{Shutdown: time.Second}}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","wait and say",{}]`, `["1","3","room:a","phx_leave",{}]`)
			c.Close()
			c = s.connect().joined("room:a")
			c.send(`["1","2","room:a","wait and say",{}]`)
			settle()
			c.send(`["3","3","room:a","phx_join",{}]`)
			time.Sleep(time.Second)
			c.want(ok("3", "3", "room:a"), closed)
			close(s.plugin.gate)
			c.want()
		})
	})
	t.Run("its next life waits", func(t *testing.T) {
		tree := supervisor.DynamicConfig{Shutdown: time.Second, Strategy: supervisor.OneForAll}
		run(t, options{tree: tree}, func(t *testing.T, s *server) {
			a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
			b.send(`["1","2","room:a","wait and say",{}]`, `["1","3","room:a","count",{}]`)
			settle()
			a.send(`["1","2","room:a","crash",{}]`)
			time.Sleep(time.Second)
			a.want(fmt.Sprintf(crashedReply, "2"))
			b.want(fmt.Sprintf(crashedReply, "2"))
			close(s.plugin.gate) // it returns, and the next life begins
			b.want(counted("3", 1))
			a.want()
		})
	})
}

func TestEffectsAreHeldToTheProtocol(t *testing.T) {
	for _, tc := range []struct{ event, payload, cause string }{
		{"raw", `"{"`, `broadcast "said": payload: not JSON, or nested too deep: "{"`},
		{"raw", `"[1]"`, `broadcast "said": payload is no JSON object: "[1]"`},
		{"raw", `"1"`, `broadcast "said": payload is no JSON object: "1"`},
		{"raw", `"{} {}"`, `broadcast "said": payload: not JSON, or nested too deep: "{} {}"`},
		{"raw", `"{'a':1e999}"`, `broadcast "said": payload: half of a surrogate pair, or a number beyond a double: "{\"a\":1e999}"`},
		{"raw", `"invalid UTF-8"`, `broadcast "said": payload: invalid UTF-8: "{\"a\":\"\xff\"}"`},
		{"raw reply", `"nope"`, `reply "ok": payload: not JSON, or nested too deep: "nope"`},
		{"long", `{}`, `broadcast "` + strings.Repeat("x", 100) + `": encode "` + strings.Repeat("x", 100) + `" of topic "room:a": ` +
			`a name of 256 bytes, more than 255, beside a binary payload: "` + strings.Repeat("x", 40) + `"…`},
		{"misnamed", `{}`, `push "\xff": name: invalid UTF-8: "\xff" of topic "room:a"`},
	} {
		t.Run(tc.event+" "+tc.payload, func(t *testing.T) {
			run(t, options{}, func(t *testing.T, s *server) {
				c, other := s.connect().joined("room:a"), s.connect().joined("room:a")
				c.send(`["1","2","room:a","` + tc.event + `",` + tc.payload + `]`)
				c.want(fmt.Sprintf(crashedReply, "2")) // and none of the other effects
				other.want()
				s.wantCrashes(`rooms v1 room:a ` + tc.event + `: ` + tc.cause + `, restarts, 0`)
			})
		})
	}
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","raw"," {'a': [1]} "]`, `["1","3","room:a","raw",""]`)
		c.want(ok("1", "2", "room:a"), `[null,null,"room:a","said", {"a": [1]} ]`, ok("1", "3", "room:a"), said)
	})
}
