package channels_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// who is the answer of a shared handler to who.
func who(ref, id string) string {
	return fmt.Sprintf(`["1",%q,"room:a","phx_reply",{"status":"ok","response":%q}]`, ref, id)
}

// again is what the fake guest broadcasts when it is told who the members are.
const again = `[null,null,"room:a","again",{}]`

func left(id string) string { return fmt.Sprintf(`[null,null,"room:a","left",{"who":%q}]`, id) }

func joinCrashed(ref string) string {
	return fmt.Sprintf(`["1",%q,"room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`, ref)
}

// crowd connects n clients that join room:a, the i-th with the payload i.
func (s *server) crowd(n int) []*client {
	s.t.Helper()
	var clients []*client
	for i := range n {
		c := s.connect()
		c.send(fmt.Sprintf(`["1","1","room:a","phx_join",%d]`, i+1))
		c.want(ok("1", "1", "room:a"))
		clients = append(clients, c)
	}
	return clients
}

func runShared(t *testing.T, o options, test func(*testing.T, *server)) {
	t.Helper()
	o.shared = true
	run(t, o, test)
}

func TestSharedHandlerServesAllMembers(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(3)
		a, b, c := all[0], all[1], all[2]
		a.send(`["1","2","room:a","who",{}]`)
		b.send(`["1","2","room:a","who",{}]`, `["1","3","room:a","count",{}]`)
		a.want(who("2", "1"))
		b.want(who("2", "2"), counted("3", 3)) // one memory
		if n := s.plugin.opened.Load(); n != 1 {
			t.Errorf("%d guests, want 1", n)
		}
		s.wantJoins(`1 as 1`, `2 as 2`, `3 as 3`)

		toMember := `["1",null,"room:a","told",{}]`
		a.send(`["1","4","room:a","push",{}]`)
		a.want(`["1",null,"room:a","pushed",{}]`)
		a.send(`["1","5","room:a","tell","3"]`, `["1","6","room:a","tell","4"]`, `["1","7","room:a","tell","nobody"]`)
		c.want(toMember)
		a.want()
		b.want()
		b.send(`["1","8","room:a","shout",{}]`, `["1","9","room:a","shout around","1"]`)
		shouted := `[null,null,"room:a","shouted",{}]`
		a.want(shouted)
		b.want(shouted)
		c.want(shouted, shouted)
		s.plugin.latest().Send(told{"tell", `"2"`})
		s.plugin.latest().Send(told{"push", `{}`}) // to nobody
		s.plugin.latest().Send(told{"shout", `{}`})
		b.want(toMember, shouted)
		a.want(shouted)
		c.want(shouted)
	})
}

func TestSharedHandlersAreApart(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a", "room:b")
		c.send(`["1","2","room:a","crash",{}]`, `["1","3","room:b","count",{}]`)
		settle()
		if got := c.take(); len(got) != 3 {
			t.Errorf("got %q", got)
		}
		s.wantJoins(`{} as 1`, `{} as 1`, `members 1 {}`)
	})
}

func TestSharedHandlerRefusesOne(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		a, b := s.crowd(1)[0], s.connect()
		for payload, response := range map[string]string{
			`"refuse"`: `{"reason":"unauthorized"}`,
			`"large"`:  `{"reason":"too_large"}`,
		} {
			b.send(`["1","1","room:a","phx_join",` + payload + `]`)
			b.want(`["1","1","room:a","phx_reply",{"status":"error","response":` + response + `}]`)
		}
		a.want()
		b.send(`["1","2","room:a","phx_join","knock"]`, `["1","3","room:a","echo",{}]`)
		b.want(`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"private"}}]`, fmt.Sprintf(unmatched, "3"))
		a.want(`[null,null,"room:a","knocked",{}]`) // what it says to others counts
		a.send(`["1","2","room:a","count",{}]`)
		a.want(counted("2", 1))
		if st := s.Stats(); st.JoinsRefused != 3 || st.JoinsAccepted != 1 || st.Channels != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestSharedHandlerHearsWhoLeaves(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(4)
		a, b, c, d := all[0], all[1], all[2], all[3]
		b.send(`["1","2","room:a","phx_leave",{}]`, `["1","3","room:a","echo",{}]`)
		b.want(ok("1", "2", "room:a"), closed, fmt.Sprintf(unmatched, "3"))
		a.want(left("2"))
		c.Close()
		a.want(left("3"))
		d.take()
		d.send(`["5","5","room:a","phx_join","again"]`, `["5","6","room:a","who",{}]`)
		d.want(ok("5", "5", "room:a"), closed, `["5","6","room:a","phx_reply",{"status":"ok","response":"5"}]`)
		a.want(left("4"))
		s.wantJoins(`1 as 1`, `2 as 2`, `3 as 3`, `4 as 4`, `2 left`, `3 closed`, `4 duplicate_join`, `"again" as 5`)
	})
}

func TestStoppedMembersMessagesAreDropped(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(3)
		a, b, c := all[0], all[1], all[2]
		a.send(`["1","2","room:a","wait",{}]`)
		settle()
		b.send(`["1","2","room:a","say",{}]`)
		c.send(`["1","2","room:a","say",{}]`)
		b.Close()
		c.send(`["3","3","room:a","phx_join","refuse"]`)
		late := s.connect()
		late.send(`["1","1","room:a","phx_join",{}]`)
		late.Close()
		s.plugin.gate <- struct{}{}
		a.want(ok("1", "2", "room:a"), left("2"), left("3"))
		c.want(left("2"), `["3","3","room:a","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}]`, closed)
		s.wantJoins(`1 as 1`, `2 as 2`, `3 as 3`, `2 closed`, `3 duplicate_join`, `"refuse" as 4`)
	})
}

func TestSharedHandlerEndsWithItsLastMember(t *testing.T) {
	leave := func(c *client) {
		c.send(`["1","9","room:a","phx_leave",{}]`)
		c.want(ok("1", "9", "room:a"), closed)
	}
	runShared(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","wants"]`, `["1","2","room:a","count",{}]`)
		c.want(ok("1", "1", "room:a"), counted("2", 1))
		leave(c)
		s.wantJoins(`"wants" as 1`, `1 left`, `terminate normal `)
		if n := s.rt.Stats().Processes; n != 1 {
			t.Errorf("%d processes, want the plugin's supervisor only", n)
		}
		c.joined("room:a").send(`["1","2","room:a","count",{}]`)
		c.want(counted("2", 1)) // a new memory
	})
	runShared(t, options{stays: true}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","refuse"]`)
		settle()
		c.take()
		if n := s.rt.Stats().Processes; n != 1 {
			t.Errorf("a handler stays that nobody has joined")
		}
		c.joined("room:a").send(`["1","2","room:a","count",{}]`)
		c.want(counted("2", 1))
		leave(c)
		s.plugin.latest().Send(told{"crash", ""})
		settle()
		s.plugin.latest().Send(told{"count", ""})
		c.joined("room:a").send(`["1","2","room:a","count",{}]`)
		c.want(counted("2", 2))
		s.wantJoins(`"refuse" as 1`, `{} as 1`, `1 left`, `members `, `{} as 2`)
	})
	t.Run("and another begins for who comes then", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			s.plugin.waitsAtEnd = true
			c, d, e := s.connect(), s.connect(), s.connect()
			c.send(`["1","1","room:a","phx_join","wants"]`)
			c.want(ok("1", "1", "room:a"))
			c.send(`["1","9","room:a","phx_leave",{}]`)
			settle()
			d.send(`["1","1","room:a","phx_join",{}]`, `["1","2","room:a","who",{}]`)
			e.send(`["1","1","room:a","phx_join",{}]`)
			e.Close()
			d.want()
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "9", "room:a"), closed)
			d.want(ok("1", "1", "room:a"), who("2", "1"))
			s.wantJoins(`"wants" as 1`, `1 left`, `terminate normal `, `{} as 1`)
		})
	})
	t.Run("but serves who has come by then", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			c, d := s.connect().joined("room:a"), s.connect()
			c.send(`["1","2","room:a","wait",{}]`, `["1","9","room:a","phx_leave",{}]`)
			settle()
			d.send(`["1","1","room:a","phx_join",{}]`, `["1","2","room:a","who",{}]`)
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "2", "room:a"), ok("1", "9", "room:a"), closed)
			d.want(ok("1", "1", "room:a"), who("2", "2"))
		})
	})
}

func TestSharedHandlerRestartsInPlace(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(3)
		a, b, c := all[0], all[1], all[2]
		b.send(`["1","2","room:a","phx_leave",{}]`)
		settle()
		b.take()
		a.want(left("2"))
		c.want(left("2"))
		a.send(`["1","2","room:a","wait and crash",{}]`)
		settle()
		c.send(`["1","2","room:a","count",{}]`)
		b.send(`["3","3","room:a","phx_join","late"]`)
		s.plugin.gate <- struct{}{}
		a.want(fmt.Sprintf(crashedReply, "2"), again)
		c.want(again, counted("2", 1)) // a new memory, the old mailbox
		b.want(ok("3", "3", "room:a"))
		s.wantJoins(`1 as 1`, `2 as 2`, `3 as 3`, `2 left`, `members 1 1 3 3`, `"late" as 4`)
		s.wantCrashes(`rooms v1 room:a wait and crash: trap, restarts, 0`)
		s.plugin.latest().Send(told{"crash", ""})
		s.wantCrashes(`rooms v1 room:a info: trap, restarts, 1`)
		s.wantJoins(`members 1 1 3 3 4 "late"`)
	})
}

func TestSharedJoinThatTraps(t *testing.T) {
	t.Run("as the first", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","crash"]`)
			c.want(joinCrashed("1"))
			s.wantCrashes(`rooms v1 room:a phx_join: join: trap, ends, 0`)
			c.joined("room:a")
		})
	})
	for _, payload := range []string{`"crash"`, `"panic"`} {
		t.Run(payload+" before others", func(t *testing.T) {
			runShared(t, options{}, func(t *testing.T, s *server) {
				first, c, d := s.crowd(1)[0], s.connect(), s.connect()
				first.send(`["1","2","room:a","wait",{}]`, `["1","3","room:a","phx_leave",{}]`)
				settle()
				c.send(`["1","1","room:a","phx_join",` + payload + `]`)
				d.send(`["1","1","room:a","phx_join",{}]`)
				s.plugin.gate <- struct{}{}
				settle()
				c.want(joinCrashed("1"))
				d.want(ok("1", "1", "room:a"))
			})
		})
	}
	t.Run("beside members", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			all, c := s.crowd(2), s.connect()
			c.send(`["1","1","room:a","phx_join","crash"]`, `["1","2","room:a","echo",{}]`)
			c.want(joinCrashed("1"), fmt.Sprintf(unmatched, "2"))
			for _, m := range all {
				m.want(again)
			}
			s.wantJoins(`1 as 1`, `2 as 2`, `"crash" as 3`, `members 1 1 2 2`)
		})
	})
	t.Run("again and again", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			v := s.plugin.version("v2", supervisor.Transient)
			v.New = func(*supervisor.Process, string) (channels.Guest, error) { return nil, errors.New("no memory") }
			s.plugin.deploy(v)
			c, d := s.connect(), s.connect()
			c.send(`["1","1","room:a","phx_join",{}]`)
			d.send(`["1","1","room:a","phx_join",{}]`)
			c.want(joinCrashed("1"))
			d.want(joinCrashed("1"))
		})
	})
}

func TestSharedHandlerThatCrashesForGood(t *testing.T) {
	wantAll := func(all []*client) {
		t.Helper()
		for _, c := range all {
			settle()
			got := c.take()
			if len(got) == 0 || got[len(got)-1] != crashed {
				t.Errorf("got %q", got)
			}
			c.send(`["1","9","room:a","echo",{}]`)
			c.want(fmt.Sprintf(unmatched, "9"))
		}
	}
	t.Run("temporary", func(t *testing.T) {
		runShared(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
			all := s.crowd(3)
			all[1].send(`["1","2","room:a","crash",{}]`)
			all[1].want(crashed) // no reply
			all[1].send(`["1","9","room:a","phx_leave",{}]`)
			all[1].want(ok("1", "9", "room:a"))
			wantAll([]*client{all[0], all[2]})
			s.wantJoins(`1 as 1`, `2 as 2`, `3 as 3`)
			s.wantCrashes(`rooms v1 room:a crash: trap, ends, 0`)
			s.crowd(1)
		})
	})
	t.Run("intensity", func(t *testing.T) {
		tree := supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1, Within: time.Second}}
		runShared(t, options{tree: tree}, func(t *testing.T, s *server) {
			all := s.crowd(3)
			all[0].send(`["1","2","room:a","crash",{}]`, `["1","3","room:a","crash",{}]`)
			wantAll(all)
		})
	})
	t.Run("members", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			all := s.crowd(3)
			s.plugin.trapsMembers.Store(true)
			all[0].send(`["1","2","room:a","crash",{}]`, `["1","3","room:a","phx_leave",{}]`)
			// phx_error would make the client rejoin what it has left.
			all[0].want(fmt.Sprintf(crashedReply, "2"), ok("1", "3", "room:a"), closed)
			wantAll(all[1:])
			s.wantCrashes(`rooms v1 room:a crash: trap, restarts, 0`, `rooms v1 room:a members: replay members: trap, ends, 1`)
		})
	})
	t.Run("leave", func(t *testing.T) {
		runShared(t, options{}, func(t *testing.T, s *server) {
			all := s.crowd(2)
			s.plugin.trapsLeave.Store(true)
			all[0].send(`["1","2","room:a","phx_leave",{}]`)
			all[0].want(ok("1", "2", "room:a"), closed)
			all[1].want(again)
			s.wantJoins(`1 as 1`, `2 as 2`, `1 left`, `members 2 2`)
			s.wantCrashes(`rooms v1 room:a phx_leave: trap, restarts, 0`)
		})
	})
}

func TestSharedHandlerThatStops(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(3)
		all[0].send(`["1","2","room:a","stop","normal"]`)
		for _, c := range all {
			c.want(said, closed)
		}
		all = s.crowd(2)
		all[0].send(`["1","2","room:a","stop","crash"]`)
		all[0].want(said, fmt.Sprintf(crashedReply, "2"), again)
		all[1].want(said, again)
		s.stop()
		for _, c := range all {
			c.want(closed)
		}
	})
}

func TestSharedHandlerMovesToAnotherVersion(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		all := s.crowd(2)
		all[0].send(`["1","2","room:a","count",{}]`)
		all[0].want(counted("2", 1))
		s.plugin.deploy(s.plugin.version("v2", supervisor.Transient))
		for _, c := range all {
			c.want(again)
		}
		all[1].send(`["1","2","room:a","count",{}]`)
		all[1].want(counted("2", 1))
		s.wantJoins(`1 as 1`, `2 as 2`, `members 1 1 2 2`)
		s.wantCrashes()

		s.plugin.trapsMembers.Store(true)
		s.plugin.deploy(s.plugin.version("v3", supervisor.Transient))
		for _, c := range all {
			c.want(crashed)
		}
	})
}

func TestScopeThatChanges(t *testing.T) {
	for _, shared := range []bool{false, true} {
		run(t, options{shared: shared}, func(t *testing.T, s *server) {
			c := s.connect().joined("room:a")
			s.plugin.shared.Store(!shared)
			s.plugin.deploy(s.plugin.version("v2", supervisor.Transient))
			c.want(crashed) // it joins again, and gets the other kind of handler
			c.joined("room:a").send(`["1","2","room:a","who",{}]`)
			c.want(who("2", map[bool]string{true: "", false: "1"}[shared]))
		})
	}
}

func TestSharedHandlerOverloaded(t *testing.T) {
	runShared(t, options{mailbox: 2}, func(t *testing.T, s *server) {
		all := s.crowd(2)
		a, b, late := all[0], all[1], s.connect()
		a.send(`["1","2","room:a","wait",{}]`)
		settle()
		a.send(`["1","3","room:a","echo",{}]`, `["1","4","room:a","echo",{}]`, `["1","5","room:a","echo",{}]`)
		b.send(`["1","5","room:a","echo",{}]`, `["1","6","room:a","phx_leave",{}]`) // finds room
		late.send(`["1","1","room:a","phx_join",{}]`)                               // and so does this
		a.want(overloaded("5"))
		b.want(overloaded("5"))
		s.plugin.gate <- struct{}{}
		a.want(ok("1", "2", "room:a"), ok("1", "3", "room:a"), ok("1", "4", "room:a"), left("2"))
		b.want(ok("1", "6", "room:a"), closed)
		late.want(ok("1", "1", "room:a"))
	})
}

func TestSharedHandlerRestartsWithSiblings(t *testing.T) {
	runShared(t, options{sibling: true}, func(t *testing.T, s *server) {
		all := s.crowd(2)
		a, b, late := all[0], all[1], s.connect()
		a.send(`["1","2","room:a","interrupted",{}]`, `["1","3","room:a","who",{}]`)
		settle()
		late.send(`["1","1","room:a","phx_join",{}]`)
		s.crashSibling()
		a.want(fmt.Sprintf(crashedReply, "2"), again, who("3", "1"))
		b.want(again)
		late.want(ok("1", "1", "room:a"))

		s.plugin.interrupts.Store(true)
		late.send(`["2","2","room:a","phx_join","interrupted"]`)
		settle()
		s.present(t, *s.plugin.joining.Load(), "elsewhere", "late")
		s.crashSibling()
		late.want(ok("2", "2", "room:a"), closed) // the join was decided by the next life
		if keys, _ := s.Presence.Count("elsewhere"); keys != 0 {
			t.Error("who was present in the life before is so still")
		}
		b.want(left("3"), again)
		s.wantJoins(`1 as 1`, `2 as 2`, `members 1 1 2 2`, `{} as 3`, `3 duplicate_join`,
			`"interrupted" as 4`, `members 1 1 2 2`, `"interrupted" as 5`)
	})
}

func TestSharedHandlerIsCutOff(t *testing.T) {
	tree := supervisor.DynamicConfig{Shutdown: time.Second}
	runShared(t, options{tree: tree}, func(t *testing.T, s *server) {
		all, late := s.crowd(2), s.connect()
		all[0].send(`["1","2","room:a","wait and say",{}]`)
		settle()
		late.send(`["1","1","room:a","phx_join",{}]`)
		s.stop()
		for _, c := range all {
			c.want(crashed)
		}
		late.want(joinCrashed("1"))
		close(s.plugin.gate)
		all[1].want()
	})
}

func TestPluginOfSharedHandlersHasGivenUp(t *testing.T) {
	runShared(t, options{sibling: true}, func(t *testing.T, s *server) {
		all, late := s.crowd(2), s.connect()
		for range 6 {
			s.crashSibling()
			settle()
		}
		late.send(`["1","1","room:a","phx_join",{}]`, `["1","2","room:b","phx_join",{}]`)
		s.plugin.tree.Close(s.process.Reason())
		for _, c := range all {
			settle()
			if got := c.take(); len(got) == 0 || got[len(got)-1] != crashed {
				t.Errorf("got %q", got)
			}
		}
		late.want(
			fmt.Sprintf(tooLateReply, "1"),
			`["1","2","room:b","phx_reply",{"status":"error","response":{"reason":"unavailable"}}]`)
	})
}
