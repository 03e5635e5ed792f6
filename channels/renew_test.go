package channels_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"rtd/channels"
	"rtd/supervisor"
)

const moved = `[null,null,"room:a","moved",{}]`

func (s *server) wantRenewals(want ...channels.Renewal) {
	s.t.Helper()
	settle()
	s.plugin.mu.Lock()
	defer s.plugin.mu.Unlock()
	if !slices.Equal(s.plugin.renewals, want) {
		s.t.Errorf("renewals %v, want %v", s.plugin.renewals, want)
	}
	s.plugin.renewals = nil
}

// exporting makes a version current whose guests hand on their state.
func (s *server) exporting(id string) {
	s.plugin.current.Store(s.plugin.version(id+" exports", supervisor.Transient))
}

// TestMigration moves the state of a guest while messages wait: none is lost, none
// sees a count that began anew, the process and what it holds stay.
func TestMigration(t *testing.T) {
	for shared, join := range map[bool]string{
		false: `import count of room:a 2 of ["" "\"greet\"" "{\"user\":\"ada\"}"]`,
		true:  `import count of room:a 2 of ["1" "\"greet\"" "{\"user\":\"ada\"}"]`,
	} {
		run(t, options{shared: shared}, func(t *testing.T, s *server) {
			s.exporting("v1")
			c := s.connectWith(channels.SocketOptions{Assigns: []byte(`{"user":"ada"}`)})
			c.send(`["1","1","room:a","phx_join","greet"]`, `["1","2","room:a","wait",{}]`)
			settle()
			c.take()
			process := s.plugin.latest()
			s.exporting("v2")
			c.send(`["1","3","room:a","count",{}]`)
			s.plugin.renew(false)
			settle()
			c.send(`["1","4","room:a","count",{}]`)
			s.plugin.gate <- struct{}{}
			c.want(ok("1", "2", "room:a"), counted("3", 2), moved, counted("4", 3))
			s.wantRenewals(channels.Migrated)
			if s.plugin.latest() != process {
				t.Error("it has another process")
			}
			first := `"greet" with {"user":"ada"}`
			if shared {
				first = `"greet" as 1 with {"user":"ada"}`
			}
			s.wantJoins(first, join)
			s.plugin.renew(false)
			s.wantRenewals(channels.Unmoved)

			c.send(`["1","5","room:a","crash",{}]`)
			settle()
			c.take()
			s.wantCrashes(`rooms v2 exports room:a crash: trap, restarts, 0`) // and says of which version
		})
	}
}

// A topic's members are told with their ids, in the order of joins, and what they
// intercept goes on.
func TestMigrationOfMany(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		s.exporting("v1")
		all := s.crowd(3)
		all[1].send(`["1","9","room:a","phx_leave",{}]`)
		all[2].send(`["2","2","room:a","phx_join","intercept"]`)
		settle()
		for _, c := range all {
			c.take()
		}
		s.exporting("v2")
		s.plugin.renew(false)
		settle()
		s.plugin.mu.Lock()
		last := s.plugin.joins[len(s.plugin.joins)-1]
		s.plugin.mu.Unlock()
		if want := `import count of room:a 0 of ["1" "1" "" "4" "\"intercept\"" ""]`; last != want {
			t.Errorf("the last event was %s, want %s", last, want)
		}
		all[0].take()
		all[2].take()
		all[2].send(`["2","3","room:a","say",{}]`)
		all[0].want(`["1",null,"room:a","said out",{}]`)
		s.wantRenewals(channels.Migrated)
	})
}

// TestMigrationThatFails replays the join, or leaves the guest where it is, as is wished.
func TestMigrationThatFails(t *testing.T) {
	for _, test := range []struct {
		exports, imports string
		crash            string
		anew             bool // also with keep: the old guest is dead, or loses nothing
	}{
		{exports: "nothing"},
		{exports: "stateless", anew: true},
		{exports: "trap", crash: `rooms v1 exports room:a export: trap, restarts, 0`, anew: true},
		{imports: "refuse"},
		{imports: "trap", crash: `rooms v2 exports room:a import: trap, restarts, 0`},
	} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprint(test.exports, test.imports, keep), func(t *testing.T) {
				runBoth(t, options{}, func(t *testing.T, s *server) {
					s.plugin.exports, s.plugin.imports = test.exports, test.imports
					s.exporting("v1")
					c := s.connect().joined("room:a")
					c.send(`["1","2","room:a","count",{}]`)
					c.want(counted("2", 1))
					process := s.plugin.latest()
					s.exporting("v2")
					s.plugin.renew(keep)
					settle()
					c.take()
					stays := keep && !test.anew
					version, count, became := "v2 exports", 1, channels.Replayed
					if stays {
						version, count, became = "v1 exports", 2, channels.Stayed
					}
					s.wantRenewals(became)
					if test.crash != "" {
						s.wantCrashes(test.crash)
					}
					c.send(`["1","3","room:a","count",{}]`)
					c.want(counted("3", count))
					if s.plugin.latest() != process {
						t.Error("it has another process")
					}
					c.send(`["1","4","room:a","crash",{}]`)
					settle()
					s.wantCrashes("rooms " + version + " room:a crash: trap, restarts, 0")
					c.take()
					// The next life is of the new version, and can be moved further.
					c.send(`["1","5","room:a","crash",{}]`)
					settle()
					s.wantCrashes("rooms v2 exports room:a crash: trap, restarts, 1")
					c.take()
				})
			})
		}
	}
}

// Where one of the versions does not export, the join is replayed, also with keep.
func TestMigrationNeedsBothVersions(t *testing.T) {
	for _, from := range []string{"v1", "v1 exports"} {
		runBoth(t, options{}, func(t *testing.T, s *server) {
			s.plugin.current.Store(s.plugin.version(from, supervisor.Transient))
			c := s.connect().joined("room:a")
			c.send(`["1","2","room:a","count",{}]`)
			c.want(counted("2", 1))
			to := "v2"
			if from == "v1" {
				to = "v2 exports"
			}
			s.plugin.current.Store(s.plugin.version(to, supervisor.Transient))
			s.plugin.renew(true)
			settle()
			c.take()
			s.wantRenewals(channels.Replayed)
			c.send(`["1","3","room:a","count",{}]`)
			c.want(counted("3", 1))
		})
	}
}

func TestMigrationToVersionWithoutGuest(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		s.exporting("v1")
		c := s.connect().joined("room:a")
		v := s.plugin.version("v2 exports", supervisor.Transient)
		v.New = func(*supervisor.Process, string) (channels.Guest, error) { return nil, errors.New("no memory") }
		s.plugin.current.Store(v)
		s.plugin.renew(true)
		s.wantRenewals(channels.Stayed)
		c.send(`["1","2","room:a","echo",{}]`)
		c.want(ok("1", "2", "room:a"))
	})
}

// A guest may stop in import, and a client may be gone in the midst of it all.
func TestEndDuringMigration(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		s.plugin.imports = "stop"
		s.exporting("v1")
		c := s.connect().joined("room:a")
		s.exporting("v2")
		s.plugin.renew(false)
		c.want(closed)
		s.wantRenewals(channels.Migrated)
	})
	runBoth(t, options{}, func(t *testing.T, s *server) {
		s.plugin.exports = "wait"
		s.exporting("v1")
		c := s.connect().joined("room:a")
		s.exporting("v2")
		s.plugin.renew(false)
		settle()
		s.plugin.renew(false) // waits in the mailbox until its end
		c.Close()
		close(s.plugin.gate)
		settle()
		if n := len(s.plugin.renewals); n != 2 {
			t.Errorf("%d renewals were told of, want 2", n)
		}
	})
}

// TestTrial lets the plugin choose a version by topic, and take the choice back.
func TestTrial(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		s.plugin.tries = "room:b"
		s.exporting("v1")
		s.plugin.trial.Store(s.plugin.version("v2 exports", supervisor.Transient))
		c := s.connect().joined("room:a", "room:b")
		c.send(`["1","2","room:b","count",{}]`, `["1","3","room:a","crash",{}]`)
		s.wantCrashes(`rooms v1 exports room:a crash: trap, restarts, 0`)
		c.send(`["1","4","room:b","crash",{}]`)
		s.wantCrashes(`rooms v2 exports room:b crash: trap, restarts, 0`)
		c.take()
		c.send(`["1","5","room:b","count",{}]`)
		settle()
		c.take()
		s.plugin.trial.Store(nil)
		s.plugin.renew(false)
		settle()
		c.take()
		c.send(`["1","6","room:b","count",{}]`)
		c.want(`["1","6","room:b","phx_reply",{"status":"ok","response":2}]`)
	})
}
