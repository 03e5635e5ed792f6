package channels_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rtd/supervisor"
)

const tooLateReply = `["1","%s","room:a","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`

func TestMessagesOfOtherProcesses(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c, other := s.connect().joined("room:a"), s.connect().joined("room:b")
		other.want()
		c.send(`["1","2","room:a","phx_leave",{}]`)
		settle()
		c.take()
		c.joined("room:a")
		p := s.plugin.latest()
		for _, msg := range []any{
			told{"say", `{}`}, told{"push", `{"n":1}`},
			told{"echo", `{}`},  // there is nobody to reply to
			told{"large", `{}`}, // its sender has to know, nobody else
			"something else",
			told{"say", `{"n":2}`},
		} {
			p.Send(msg)
		}
		c.want(said, `["1",null,"room:a","pushed",{"n":1}]`, `[null,null,"room:a","said",{"n":2}]`)
		p.Send(told{"crash", `{}`})
		c.send(`["1","3","room:a","count",{}]`)
		c.want(counted("3", 1))
		s.wantCrashes(`rooms v1 room:a info: trap, restarts, 0`)
		other.want()
	})
}

func TestEffectsThatAreNotTheChannelsOwn(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","apply",{}]`)
		c.want(`["1",null,"room:a","before",{}]`, `["1",null,"room:a","after",{}]`)
		s.wantJoins(`{}`, `answer token no JSON`)
	})
}

func TestGuestThatStops(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Permanent, supervisor.Transient, supervisor.Temporary} {
		for _, kind := range []string{
			"normal", "shutdown", "",
			// What the host means by these, it does not mean when a guest says it.
			"shutdown restart intensity reached", "shutdown restarted with its siblings", "shutdown duplicate_join", "normal killed",
		} {
			t.Run(fmt.Sprint(restart, " ", kind), func(t *testing.T) {
				run(t, options{}, func(t *testing.T, s *server) {
					s.plugin.current.Store(s.plugin.version("v1", restart))
					c := s.connect().joined("room:a")
					c.send(`["1","2","room:a","stop","` + kind + `"]`)
					c.want(said, closed)
					c.send(`["1","3","room:a","echo",{}]`)
					c.want(fmt.Sprintf(unmatched, "3"))
					c.joined("room:a").send(`["1","4","room:a","reply and stop","` + kind + `"]`)
					c.want(ok("1", "4", "room:a"), closed)
					c.joined("room:a")
					s.plugin.latest().Send(told{"stop", `"` + kind + `"`})
					c.want(said, closed)
					s.wantJoins(`{}`, `{}`, `{}`)
					s.wantCrashes()
				})
			})
		}
	}
	t.Run("by a crash", func(t *testing.T) {
		run(t, options{}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","stop","crash"]`, `["1","3","room:a","count",{}]`)
			c.want(said, fmt.Sprintf(crashedReply, "2"), counted("3", 1))
			c.send(`["1","4","room:a","reply and stop","crash"]`, `["1","5","room:a","count",{}]`)
			c.want(ok("1", "4", "room:a"), counted("5", 1))
			s.wantCrashes(
				`rooms v1 room:a stop: enough, restarts, 0`,
				`rooms v1 room:a reply and stop: enough, restarts, 1`)
		})
		run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","stop","crash"]`)
			c.want(said, crashed)
		})
	})
	t.Run("in its join", func(t *testing.T) {
		run(t, options{}, func(t *testing.T, s *server) {
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","stop"]`)
			c.want(ok("1", "1", "room:a"), `["1",null,"room:a","hello",{}]`, closed)
		})
	})
}

func TestTerminate(t *testing.T) {
	const bye, gone = `["1",null,"room:a","bye",{}]`, `[null,null,"room:a","gone",{}]`
	for _, tc := range []struct {
		name  string
		end   func(*server, *client)
		note  string
		gets  []string
		other []string
	}{
		{
			"leave", func(_ *server, c *client) { c.send(`["1","2","room:a","phx_leave",{}]`) },
			"terminate shutdown left", []string{ok("1", "2", "room:a"), bye, closed}, []string{gone},
		},
		{
			"duplicate join", func(_ *server, c *client) { c.send(`["2","2","room:a","phx_join","refuse"]`) },
			"terminate shutdown duplicate_join",
			[]string{bye, gone, `["2","2","room:a","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}]`, closed},
			[]string{gone},
		},
		{
			"close", func(_ *server, c *client) { c.Close() },
			"terminate shutdown closed", []string{bye, gone}, []string{gone},
		},
		{
			"stop", func(_ *server, c *client) { c.send(`["1","2","room:a","reply and stop","normal"]`) },
			"terminate normal ", []string{ok("1", "2", "room:a"), bye, gone, closed}, []string{gone},
		},
		{
			"crash", func(_ *server, c *client) { c.send(`["1","2","room:a","stop","crash"]`) },
			"", []string{said, crashed}, []string{said},
		},
		{
			"trap", func(_ *server, c *client) { c.send(`["1","2","room:a","crash",{}]`) },
			"", []string{crashed}, nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
				c, other := s.connect(), s.connect().joined("room:a") // the other does not want to know
				c.send(`["1","1","room:a","phx_join","wants"]`)
				c.want(ok("1", "1", "room:a"))
				tc.end(s, c)
				c.want(tc.gets...)
				other.want(tc.other...)
				s.plugin.mu.Lock()
				noted := slices.ContainsFunc(s.plugin.joins, func(n string) bool { return n == tc.note })
				s.plugin.mu.Unlock()
				if noted != (tc.note != "") {
					t.Errorf("notes: %q", s.plugin.joins)
				}
			})
		})
	}
	t.Run("that traps", func(t *testing.T) {
		run(t, options{}, func(t *testing.T, s *server) {
			s.plugin.trapsOn = "left"
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","wants"]`, `["1","2","room:a","phx_leave",{}]`)
			c.want(ok("1", "1", "room:a"), ok("1", "2", "room:a"), closed)
			s.wantCrashes(`rooms v1 room:a terminate: trap, ends, 0`)
		})
	})
	t.Run("with its plugin", func(t *testing.T) {
		run(t, options{}, func(t *testing.T, s *server) {
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","wants"]`)
			settle()
			s.stop()
			c.want(ok("1", "1", "room:a"), bye, gone, closed)
			s.wantJoins(`"wants"`, "terminate shutdown ")
		})
	})
}

// quitter is a process that ends with whatever it gets.
type quitter struct{}

func (quitter) Init(*supervisor.Process) error              { return nil }
func (quitter) Handle(_ *supervisor.Process, msg any) error { return msg.(error) }
func (quitter) Terminate(*supervisor.Process, error)        {}
func (s *server) quitter(linked *supervisor.Process) *supervisor.Process {
	p := s.rt.Spawn(supervisor.Spec{Actor: quitter{}})
	linked.Link(p)
	return p
}

func TestLinkedProcessCrashes(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		q := s.quitter(s.plugin.latest())
		c.send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","count",{}]`)
		settle()
		q.Send(errors.New("no database"))
		settle()
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "2", "room:a"), counted("3", 1)) // the message at hand is finished
		s.wantJoins(`{}`, `{} replayed`)
		s.wantCrashes(`rooms v1 room:a : no database, restarts, 0`)
	})
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		s.quitter(s.plugin.latest()).Send(errors.New("no database"))
		c.want(crashed)
		c.joined("room:a")
		s.quitter(s.plugin.latest()).Send(supervisor.Shutdown) // in order
		c.want(closed)
	})
}

func TestRestartWithSiblings(t *testing.T) {
	t.Run("is not noticed", func(t *testing.T) {
		run(t, options{sibling: true}, func(t *testing.T, s *server) {
			c, other, late := s.connect(), s.connect().joined("room:b"), s.connect()
			c.send(`["1","1","room:a","phx_join","wants"]`)
			c.want(ok("1", "1", "room:a"))
			c.send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","count",{}]`)
			settle()
			s.crashSibling()
			settle() // the message at hand is waited for
			late.send(`["1","1","room:a","phx_join",{}]`)
			other.send(`["1","2","room:b","echo",{}]`)
			late.want()
			other.want()
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "2", "room:a"), `["1",null,"room:a","bye",{}]`, `[null,null,"room:a","gone",{}]`, counted("3", 1))
			late.want(ok("1", "1", "room:a"))
			other.want(ok("1", "2", "room:b"))
			settle()
			s.plugin.mu.Lock()
			slices.Sort(s.plugin.joins) // lives begin at the same time
			s.plugin.mu.Unlock()
			s.wantJoins(`"wants"`, `"wants" replayed`, `terminate shutdown `+supervisor.Detail(supervisor.ForRestart), `{}`, `{}`, `{} replayed`)
			s.wantCrashes()
			c.send(`["1","4","room:a","say",{}]`)
			c.want(said)
			late.want(said)
			for range 4 { // does not count for the channels
				s.crashSibling()
				time.Sleep(300 * time.Millisecond)
			}
			c.send(`["1","5","room:a","count",{}]`)
			settle()
			if got := c.take(); len(got) == 0 || got[len(got)-1] != counted("5", 1) {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("in an operation that waits", func(t *testing.T) {
		run(t, options{sibling: true}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","interrupted",{}]`, `["1","3","room:a","count",{}]`)
			settle()
			s.crashSibling()
			c.want(fmt.Sprintf(crashedReply, "2"), counted("3", 1))
			s.wantCrashes()
			s.wantJoins(`{}`, `{} replayed`)
		})
	})
	t.Run("in a first join", func(t *testing.T) {
		run(t, options{sibling: true}, func(t *testing.T, s *server) {
			s.plugin.interrupts.Store(true)
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","interrupted"]`, `["1","2","room:a","count",{}]`)
			settle()
			s.crashSibling()
			c.want(ok("1", "1", "room:a"), counted("2", 1))
			s.wantJoins(`"interrupted"`, `"interrupted"`) // the second is as the first
		})
	})
	t.Run("with a client that leaves", func(t *testing.T) {
		run(t, options{sibling: true}, func(t *testing.T, s *server) {
			c, d := s.connect().joined("room:a"), s.connect().joined("room:a")
			c.send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","phx_leave",{}]`)
			settle()
			s.crashSibling()
			settle()
			d.Close()
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "2", "room:a"), ok("1", "3", "room:a"), closed)
			c.joined("room:a")
		})
	})
}

func TestPluginThatHasGivenUp(t *testing.T) {
	run(t, options{sibling: true}, func(t *testing.T, s *server) {
		c, late := s.connect().joined("room:a"), s.connect()
		for range 6 {
			s.crashSibling()
			settle()
		}
		if !errors.Is(s.process.Reason(), supervisor.ErrIntensity) {
			t.Fatalf("the tree has not given up: %v", s.process.Reason())
		}
		late.send(`["1","1","room:a","phx_join",{}]`)
		c.want()
		late.want()
		s.plugin.tree.Close(s.process.Reason())
		c.want(crashed) // so that the client comes back
		late.want(fmt.Sprintf(tooLateReply, "1"))
		c.send(`["2","2","room:a","phx_join",{}]`)
		c.want(`[null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`)
		s.wantCrashes() // of the channels, none has
	})
}
