package channels_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

func TestHeartbeatNeedsNoChannel(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`[null,"7","phoenix","heartbeat",{}]`)
		c.want(`[null,"7","phoenix","phx_reply",{"status":"ok","response":{}}]`)
		c.send(`["1","8","phoenix","heartbeat",{}]`)
		c.want(`[null,"8","phoenix","phx_reply",{"status":"ok","response":{}}]`)
		c.send(`[null,"9","phoenix","other",{}]`)
		c.want(`[null,"9","phoenix","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
	})
}

func TestJoin(t *testing.T) {
	for _, tc := range []struct {
		name string
		send []string
		want []string
	}{
		{
			"accepted",
			[]string{`["1","2","room:a","phx_join",{}]`, `["1","3","room:a","echo",{"a":1}]`},
			[]string{ok("1", "2", "room:a"), `["1","3","room:a","phx_reply",{"status":"ok","response":{"a":1}}]`},
		},
		{
			"pushes and broadcasts of the join follow its reply",
			[]string{`["1","2","room:a","phx_join","greet"]`},
			[]string{
				`["1","2","room:a","phx_reply",{"status":"ok","response":{"you":"are in"}}]`,
				`["1",null,"room:a","hello",{}]`,
				`[null,null,"room:a","new",{}]`,
			},
		},
		{
			"refused",
			[]string{`["1","2","room:a","phx_join","refuse"]`, `["1","3","room:a","echo",{}]`},
			[]string{
				`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}]`,
				`[null,"3","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			},
		},
		{
			"crashed",
			[]string{`["1","2","room:a","phx_join","crash"]`, `["1","3","room:a","echo",{}]`},
			[]string{
				`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`,
				`[null,"3","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			},
		},
		{
			"crashed by a bug of the host",
			[]string{`["1","2","room:a","phx_join","panic"]`},
			[]string{`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`},
		},
		{
			"answered with what is not JSON",
			[]string{`["1","2","room:a","phx_join","not json"]`},
			[]string{`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`},
		},
		{
			"too large for the guest",
			[]string{`["1","2","room:a","phx_join","large"]`},
			[]string{`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"too_large"}}]`},
		},
		{
			"of a topic that nobody serves",
			[]string{`["1","2","lobby","phx_join",{}]`},
			[]string{`[null,"2","lobby","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		},
		{
			"refused, then accepted",
			[]string{`["1","2","room:a","phx_join","refuse"]`, `["3","3","room:a","phx_join",{}]`},
			[]string{
				`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}]`,
				ok("3", "3", "room:a"),
			},
		},
		{
			"without a join_ref",
			[]string{`[null,"2","room:a","phx_join",{}]`, `[null,"3","room:a","push",{}]`, `[null,"4","room:a","phx_leave",{}]`},
			[]string{
				`[null,"2","room:a","phx_reply",{"status":"ok","response":{}}]`,
				`["2",null,"room:a","pushed",{}]`,
				ok("2", "4", "room:a"),
				`[null,null,"room:a","phx_close",{}]`,
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runBoth(t, options{}, func(t *testing.T, s *server) {
				c := s.connect()
				c.send(tc.send...)
				c.want(tc.want...)
			})
		})
	}
}

func TestRefusedJoinSubscribesNobody(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","refuse"]`, `["2","2","room:a","phx_join","crash"]`)
		settle()
		c.take()
		s.connect().joined("room:a").send(`["1","2","room:a","say",{}]`)
		c.want()
		if st := s.Stats(); st.JoinsRefused != 1 || st.JoinsCrashed != 1 || st.JoinsAccepted != 1 || st.Channels != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestTooManyJoins(t *testing.T) {
	runBoth(t, options{limits: channels.Limits{Joins: 2}}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a", "room:b")
		c.send(`["3","3","room:c","phx_join",{}]`)
		c.want(`[null,"3","room:c","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]`)
		c.send(`["4","4","room:b","phx_join",{}]`) // the old one does not count
		c.want(ok("4", "4", "room:b"), `["1","1","room:b","phx_close",{}]`)
		c.send(`["1","5","room:a","phx_leave",{}]`)
		c.want(ok("1", "5", "room:a"), `["1","1","room:a","phx_close",{}]`)
		c.send(`["6","6","room:c","phx_join",{}]`)
		c.want(ok("6", "6", "room:c"))
	})
}

func TestDefaultLimitIsPhoenixs(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		for i := range 101 {
			c.send(fmt.Sprintf(`["1","%d","room:%d","phx_join",{}]`, i, i))
		}
		settle()
		got := c.take()
		if n := s.Stats().Channels; n != 100 {
			t.Errorf("%d channels, want 100", n)
		}
		refused := 0
		for _, f := range got {
			if strings.Contains(f, "too many") {
				refused++
			}
		}
		if len(got) != 101 || refused != 1 {
			t.Errorf("%d answers, %d of them refusals", len(got), refused)
		}
	})
}

func TestDuplicateJoin(t *testing.T) {
	const closed = `["1","1","room:a","phx_close",{}]`
	t.Run("replaces", func(t *testing.T) {
		runBoth(t, options{}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["2","3","room:a","phx_join",{}]`)
			c.want(ok("2", "3", "room:a"), closed)
			c.send(`["2","4","room:a","say",{}]`) // one copy
			c.want(`[null,null,"room:a","said",{}]`)
			c.send(`["1","5","room:a","say",{}]`, `["1","6","room:a","phx_leave",{}]`) // of the old one
			c.want()
		})
	})
	for payload, reason := range map[string]string{`"refuse"`: "unauthorized", `"crash"`: "join crashed"} {
		t.Run("answered "+reason, func(t *testing.T) {
			runBoth(t, options{}, func(t *testing.T, s *server) {
				c := s.connect().joined("room:a")
				c.send(`["2","3","room:a","phx_join",` + payload + `]`)
				c.want(`["2","3","room:a","phx_reply",{"status":"error","response":{"reason":"`+reason+`"}}]`, closed)
				c.send(`["1","4","room:a","echo",{}]`)
				c.want(`[null,"4","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
			})
		})
	}
	t.Run("of a topic that is no longer served", func(t *testing.T) {
		runBoth(t, options{}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			s.Router.Remove(s.plugin)
			c.send(`["2","3","room:a","phx_join",{}]`)
			c.want(`[null,"3","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`, closed)
		})
	})
	t.Run("of one that is stuck, whatever waits for it", func(t *testing.T) {
		runBoth(t, options{mailbox: 1, limits: channels.Limits{Held: 1, Pending: 1000}}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","wait",{}]`)
			settle()
			c.send(`["1","3","room:a","echo","` + strings.Repeat("x", 600) + `"]`)
			c.send(`["4","4","room:a","phx_join",{}]`)
			c.want()
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "2", "room:a"), ok("4", "4", "room:a"), closed)
		})
	})
	t.Run("three in a row", func(t *testing.T) {
		runBoth(t, options{}, func(t *testing.T, s *server) {
			c := s.connect()
			c.send(
				`["1","1","room:a","phx_join",{}]`,
				`["2","2","room:a","phx_join",{}]`,
				`["3","3","room:a","phx_join",{}]`,
				`["3","4","room:a","echo",{}]`,
			)
			c.want(
				ok("1", "1", "room:a"),
				ok("2", "2", "room:a"), closed,
				ok("3", "3", "room:a"), `["2","2","room:a","phx_close",{}]`,
				ok("3", "4", "room:a"),
			)
		})
	})
}

func TestLeave(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_leave",{}]`) // not joined
		c.want(ok("1", "1", "room:a"))
		c.joined("room:a")
		c.send(`["0","2","room:a","phx_leave",{}]`) // stale
		c.want()
		other := s.connect().joined("room:a")
		c.send(`["1","3","room:a","phx_leave",{}]`)
		c.want(ok("1", "3", "room:a"), `["1","1","room:a","phx_close",{}]`)
		c.send(`["1","4","room:a","phx_leave",{}]`) // twice
		c.want(ok("1", "4", "room:a"))
		other.send(`["1","2","room:a","say",{}]`)
		other.want(`[null,null,"room:a","said",{}]`)
		c.want()
	})
}

func TestStaleMessageIsDropped(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["0","2","room:a","echo",{}]`, `[1,"3","room:a","echo",{}]`)
		c.want()
		c.send(`[null,"4","room:a","echo",{}]`)
		c.want(ok("1", "4", "room:a"))
		if n := s.Stats().Stale; n != 2 {
			t.Errorf("%d stale, want 2", n)
		}
	})
}

func TestMessageToTopicNotJoined(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","2","room:a","echo",{}]`)
		c.want(`[null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
	})
}

func TestPayloadsPassUnchanged(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		for _, payload := range []string{
			`{}`, `{ "a" : [1, 2] }`, `[]`, `"text"`, `null`, `true`, `12345678901234567890123`, `-0.0`, `1e5`,
			`"\u00e9\ud83d\ude00 é😀 \/ <>&"`, `{"a":1,"a":2}`, `{"__proto__":{}}`,
			strings.Repeat("[", 500) + strings.Repeat("]", 500),
		} {
			c.send(`["1","2","room:a","echo",` + payload + `]`)
			c.want(`["1","2","room:a","phx_reply",{"status":"ok","response":` + payload + `}]`)
		}
	})
}

func TestRefsAreOpaque(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		for _, ref := range []string{`1`, `"1"`, `123456789012345678901234567890`, `"a\"b\\\u00e9"`, `"é"`, `1.50`, `{"a": [1]}`, `false`} {
			c.send(`[` + ref + `,` + ref + `,"room:a","phx_join",{}]`)
			c.want(`[` + ref + `,` + ref + `,"room:a","phx_reply",{"status":"ok","response":{}}]`)
			c.send(`[` + ref + `,` + ref + `,"room:a","echo",{}]`)
			c.want(`[` + ref + `,` + ref + `,"room:a","phx_reply",{"status":"ok","response":{}}]`)
			c.send(`[` + ref + `,null,"room:a","phx_leave",{}]`)
			c.want(`[`+ref+`,null,"room:a","phx_reply",{"status":"ok","response":{}}]`,
				`[`+ref+`,`+ref+`,"room:a","phx_close",{}]`)
		}
	})
}

// TestReplyWithoutRef has a handler answer a message without a ref: Phoenix sends that, too. The answers that
// only rtd gives are not sent: nobody could tell what they are about.
func TestReplyWithoutRef(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1",null,"room:a","echo",{"n":1}]`)
		c.want(`["1",null,"room:a","phx_reply",{"status":"ok","response":{"n":1}}]`)
		c.send(`["1",null,"room:a","large",{}]`, `["1",null,"room:a","crash",{}]`)
		c.want()
		c.send(`["1",null,"room:a","flags",{}]`, `["1","2","room:a","flags",{}]`)
		c.want(`["1",null,"room:a","phx_reply",{"status":"ok","response":0}]`,
			`["1","2","room:a","phx_reply",{"status":"ok","response":2}]`)
	})
}

func TestTopicsAreComparedBytewise(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:", "room:a:b", "room:héllo 😀", "room:he\u0301llo")
		if n := s.Stats().Channels; n != 4 {
			t.Errorf("%d channels, want 4", n)
		}
		// An escape is the same topic.
		c.send(`["1","2","room:h\u00e9llo \ud83d\ude00","echo",{}]`)
		c.want(ok("1", "2", "room:héllo 😀"))
	})
}

// TestNamesThatAreNoStrings has topics that nobody can have joined, and events that no
// handler knows.
func TestNamesThatAreNoStrings(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c, v1 := s.connect().joined("room:a"), s.connectWith(channels.SocketOptions{Codec: channels.V1})
		s.Router.Set(s.plugin, []string{"*"})
		for _, topic := range []string{`null`, `7`, `{"a": [1]}`, `true`} {
			c.send(`["1","2",`+topic+`,"phx_join",{}]`, `["1","3",`+topic+`,"echo",{}]`, `["1","4",`+topic+`,"phx_leave",{}]`)
			c.want(`[null,"2",`+topic+`,"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
				`[null,"3",`+topic+`,"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
				`["1","4",`+topic+`,"phx_reply",{"status":"ok","response":{}}]`)
			v1.send(`{"topic":` + topic + `,"event":"phx_join","payload":{},"ref":"1"}`)
			v1.want(`{"topic":` + topic + `,"event":"phx_reply","payload":{"status":"error","response":{"reason":"unmatched topic"}},"ref":"1"}`)
		}
		c.joined("").send(`["1","2",null,"echo",{}]`) // which is another topic
		c.want(`[null,"2",null,"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
		c.send(`["1","5","room:a",["phx_leave"],{}]`, `["1","6","room:b",null,{}]`, `["1","7","room:a","count",{}]`)
		c.want(`[null,"6","room:b","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`, counted("7", 2))
	})
}

func TestProtocolEventsFromClientsAreOrdinary(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(
			`["1","2","room:a","phx_close",{}]`,
			`["1","3","room:a","phx_error",{}]`,
			`["1","4","room:a","phx_reply",{}]`,
			`["1","5","room:a","heartbeat",{}]`,
			`["1","6","room:a","count",{}]`,
		)
		c.want(`["1","6","room:a","phx_reply",{"status":"ok","response":5}]`)
	})
}

func TestRepliesPushesAndBroadcasts(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
		elsewhere := s.connect().joined("room:b")
		a.send(`["1","2","room:a","say and echo",{"n":1}]`)
		a.want(`[null,null,"room:a","said",{"n":1}]`, `["1","2","room:a","phx_reply",{"status":"ok","response":{"n":1}}]`)
		b.want(`[null,null,"room:a","said",{"n":1}]`)
		a.send(`["1","3","room:a","shout",{"n":2}]`)
		a.want()
		b.want(`[null,null,"room:a","shouted",{"n":2}]`)
		a.send(`["1","4","room:a","push",{"n":3}]`)
		a.want(`["1",null,"room:a","pushed",{"n":3}]`)
		b.want()
		a.send(`["1","5","room:a","fail",{}]`)
		a.want(`["1","5","room:a","phx_reply",{"status":"error","response":{"reason":"no"}}]`)
		elsewhere.want()
		if st := s.Stats(); st.Broadcasts != 2 || st.Deliveries != 3 || st.MessagesIn != 7 || st.RepliesPushes != 6 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestFramesWaitBehindJoin(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:b")
		c.send(
			`["2","2","room:a","phx_join","wait"]`,
			`["2","3","room:a","echo",{}]`,
			`["2","4","room:a","phx_leave",{}]`,
			`["2","5","room:a","echo",{}]`,
			`["6","6","room:a","phx_join",{}]`,
			`["2","7","room:a","echo",{}]`,
			`["6","8","room:a","count",{}]`,
		)
		c.send(`["1","9","room:b","echo",{}]`, `[null,"10","phoenix","heartbeat",{}]`)
		settle() // others go on
		got := c.take()
		if len(got) != 2 {
			t.Fatalf("beside a slow join, got %q", got)
		}
		s.plugin.gate <- struct{}{}
		c.want(
			ok("2", "2", "room:a"),
			ok("2", "3", "room:a"),
			ok("2", "4", "room:a"),
			`["2","2","room:a","phx_close",{}]`,
			`[null,"5","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			ok("6", "6", "room:a"),
			`["6","8","room:a","phx_reply",{"status":"ok","response":1}]`,
		)
	})
}

func TestDecidedWaitsForJoins(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:b")
		decided := func(what string) {
			t.Helper()
			if err := c.Decided(t.Context()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		decided("no join")
		for _, end := range []func(){func() { s.plugin.gate <- struct{}{} }, c.Close} {
			c.send(`["1","1","room:a","phx_join","wait"]`)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := c.Decided(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("beside a join: %v", err)
			}
			cancel()
			go end()
			decided("decided, or closed")
			c.send(`["1","2","room:a","phx_leave",{}]`)
			settle()
		}
		close(s.plugin.gate)
	})
}

func TestFramesWaitBehindDuplicateJoin(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(
			`["1","2","room:a","wait",{}]`, // is finished
			`["1","3","room:a","echo",{}]`, // is lost
		)
		settle()
		c.send(
			`["4","4","room:a","phx_join","wait"]`,
			`["1","5","room:a","echo",{}]`, // is stale
			`["4","6","room:a","echo",{}]`,
		)
		c.want()
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "2", "room:a"))
		s.plugin.gate <- struct{}{}
		c.want(ok("4", "4", "room:a"), `["1","1","room:a","phx_close",{}]`, ok("4", "6", "room:a"))
	})
}

func TestLeaveWaitsForEarlierMessages(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(
			`["1","2","room:a","wait",{}]`,
			`["1","3","room:a","echo",{}]`,
			`["1","4","room:a","phx_leave",{}]`,
			`["1","5","room:a","phx_leave",{}]`,
		)
		c.want()
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "2", "room:a"), ok("1", "3", "room:a"), ok("1", "4", "room:a"),
			`["1","1","room:a","phx_close",{}]`, ok("1", "5", "room:a"))
	})
}

func TestPluginUnavailable(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a", "room:b")
		s.stop()
		settle()
		got := c.take()
		if len(got) != 2 || !strings.Contains(got[0], "phx_close") || !strings.Contains(got[1], "phx_close") {
			t.Errorf("got %q, want phx_close of both", got)
		}
		c.send(`["3","3","room:a","phx_join",{}]`)
		c.want(`[null,"3","room:a","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`)
		s.Router.Remove(s.plugin)
		c.send(`["4","4","room:a","phx_join",{}]`)
		c.want(`[null,"4","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
	})
}

func TestJoinThatThePluginsEndOvertakes(t *testing.T) {
	run(t, options{tree: supervisor.DynamicConfig{Limit: 1}}, func(t *testing.T, s *server) {
		s.process.Stop(supervisor.Shutdown)
		<-s.process.Done()
		c := s.connect()
		c.send(`["1","1","room:a","phx_join",{}]`, `["1","2","room:a","echo",{}]`)
		c.send(`["3","3","room:b","phx_join",{}]`) // finds the queue full
		c.want(`[null,"3","room:b","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`)
		s.plugin.tree.Close(nil)
		c.want(
			`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`,
			`[null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		)
	})
}
