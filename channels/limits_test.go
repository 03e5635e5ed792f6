package channels_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/channels"
)

func overloaded(ref string) string {
	return fmt.Sprintf(`["1",%q,"room:a","phx_reply",{"status":"error","response":{"reason":"overloaded"}}]`, ref)
}

func TestFullMailboxAnswersOverloaded(t *testing.T) {
	runBoth(t, options{mailbox: 2}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a", "room:b")
		c.send(`["1","2","room:a","wait",{}]`)
		settle()
		c.send(
			`["1","3","room:a","echo",{}]`,
			`["1","4","room:a","echo",{}]`,
			`["1","5","room:a","echo",{}]`,
			`["1",null,"room:a","echo",{}]`, // wants no answer
			`["1","6","room:b","echo",{}]`,
		)
		c.want(overloaded("5"), ok("1", "6", "room:b"))
		// A leave always finds room.
		c.send(`["1","7","room:a","phx_leave",{}]`)
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "2", "room:a"), ok("1", "3", "room:a"), ok("1", "4", "room:a"), ok("1", "7", "room:a"), closed)
		if n := s.Stats().Overloaded; n != 2 {
			t.Errorf("%d overloaded, want 2", n)
		}
	})
}

func TestHeldFramesAreBounded(t *testing.T) {
	runBoth(t, options{limits: channels.Limits{Held: 2}}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","wait"]`)
		for i := 2; i < 6; i++ {
			c.send(fmt.Sprintf(`["1","%d","room:a","echo",{}]`, i))
		}
		c.want(overloaded("4"), overloaded("5"))
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "1", "room:a"), ok("1", "2", "room:a"), ok("1", "3", "room:a"))
	})
}

// TestPendingBytesAreBounded fills the bound in every place where frames wait,
// again and again: what is not given back would be missed.
func TestPendingBytesAreBounded(t *testing.T) {
	const limit = 10_000
	big := `["1","2","room:%s","echo","` + strings.Repeat("x", 3000) + `"]`
	runBoth(t, options{limits: channels.Limits{Pending: limit}}, func(t *testing.T, s *server) {
		fill := func(c *client, topic string, room int) {
			t.Helper()
			for range room {
				c.send(fmt.Sprintf(big, topic))
			}
			c.want()
			c.send(fmt.Sprintf(big, topic))
			settle()
			if got := c.take(); len(got) != 1 || !strings.Contains(got[0], "overloaded") {
				t.Fatalf("beyond %d frames of 3 KB, got %q", room, got)
			}
		}
		answers := func(c *client, n int) {
			t.Helper()
			settle()
			if got := c.take(); len(got) != n {
				t.Fatalf("%d answers, want %d", len(got), n)
			}
		}
		again := 0
		if s.plugin.shared.Load() {
			again = 1 // the broadcast after a restart
		}
		c := s.connect()
		for range 5 {
			// Held behind a join.
			c.send(`["1","1","room:a","phx_join","wait"]`)
			fill(c, "a", 3)
			s.plugin.gate <- struct{}{}
			answers(c, 4)
			// In a mailbox, and handled.
			c.send(`["1","2","room:a","wait",{}]`)
			settle()
			fill(c, "a", 3)
			s.plugin.gate <- struct{}{}
			answers(c, 4)
			// In a mailbox, and dropped for a duplicate join; held behind that.
			c.send(`["1","2","room:a","wait",{}]`)
			settle()
			c.send(fmt.Sprintf(big, "a"), `["1","3","room:a","phx_join",{}]`)
			fill(c, "a", 1)
			s.plugin.gate <- struct{}{}
			answers(c, 1+2+1)
			// In a mailbox during a crash; held behind a leave.
			c.send(`["1","2","room:a","wait and crash",{}]`)
			settle()
			c.send(fmt.Sprintf(big, "a"), `["1","4","room:a","phx_leave",{}]`)
			fill(c, "a", 2)
			s.plugin.gate <- struct{}{}
			answers(c, 2+2+2+again)
			// For another topic.
			c.send(`["1","1","room:b","phx_join","wait"]`)
			fill(c, "b", 3)
			s.plugin.gate <- struct{}{}
			answers(c, 4)
			c.send(`["1","5","room:b","phx_leave",{}]`)
			answers(c, 2)
		}
		// Another socket has its own.
		s.connect().joined("room:a").send(fmt.Sprintf(big, "a"))
	})
}

func TestNegativeLimitIsNone(t *testing.T) {
	runBoth(t, options{limits: channels.Limits{Joins: -1, Held: -1, Pending: -1}}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","wait"]`)
		for i := range 1500 {
			c.send(fmt.Sprintf(`["1","1","room:x%d","phx_join",{}]`, i), `["1","2","room:a","fail",{}]`)
		}
		settle()
		s.plugin.gate <- struct{}{}
		settle()
		if st := s.Stats(); st.Channels != 1501 || st.Overloaded != 500 { // the mailbox has its own bound
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestTooLargeIsNoCrash(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","large",{}]`, `["1","3","room:a","count",{}]`)
		c.want(`["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"too_large"}}]`, counted("3", 2))
		s.wantCrashes()
	})
}

func TestMalformedFrames(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		if err := c.Receive([]byte(`{}`), false); err == nil {
			t.Error("an object was accepted")
		}
		if err := c.Receive([]byte{0, 0, 0, 0, 1}, true); err == nil {
			t.Error("a binary frame was accepted")
		}
		c.want() // no answer; it is for the connection to end
		if n := s.Stats().Malformed; n != 2 {
			t.Errorf("%d malformed, want 2", n)
		}
	})
}

func TestSocketRate(t *testing.T) {
	runBoth(t, options{limits: channels.Limits{Rate: 3}}, func(t *testing.T, s *server) {
		c, other := s.connect(), s.connect()
		heartbeat := []byte(`[null,"1","phoenix","heartbeat",{}]`)
		send := func(n int) {
			t.Helper()
			for range n {
				if err := c.Receive(heartbeat, false); err != nil {
					t.Error(err)
				}
			}
			if err := c.Receive(heartbeat, false); !errors.Is(err, channels.ErrRate) || errors.Is(err, channels.ErrDecode) {
				t.Errorf("after %d frames: %v", n, err)
			}
		}
		send(3)
		time.Sleep(time.Second / 2)
		send(1)
		time.Sleep(time.Hour)
		send(3)
		other.send(`[null,"1","phoenix","heartbeat",{}]`) // has its own
		if st := s.Stats(); st.OverRate != 3 || st.MessagesIn != 8 {
			t.Errorf("stats: %+v", st)
		}
		c.take()
		other.take()
	})
}

func TestPluginRate(t *testing.T) {
	runBoth(t, options{rate: 3}, func(t *testing.T, s *server) {
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a", "room:b")
		for range 5 {
			time.Sleep(2 * time.Second)
			a.send(`["1","2","room:a","echo",{}]`, `["1","3","room:a","echo",{}]`)
			b.send(`["1","4","room:b","echo",{}]`, `["1","5","room:a","echo",{}]`, `["1",null,"room:a","echo",{}]`)
			a.want(ok("1", "2", "room:a"), ok("1", "3", "room:a"))
			settle()
			got := b.take()
			slices.Sort(got) // the host answers by itself when it likes
			if !slices.Equal(got, []string{ok("1", "4", "room:b"), overloaded("5")}) {
				t.Errorf("got %q", got)
			}
		}
		if n := s.Stats().Overloaded; n != 10 {
			t.Errorf("%d overloaded, want 10", n)
		}
		// A leave is no message of the plugin's, nor is a heartbeat.
		a.send(`["1","6","room:a","phx_leave",{}]`, `[null,"7","phoenix","heartbeat",{}]`)
		settle()
		if got := a.take(); len(got) != 3 {
			t.Errorf("got %q", got)
		}
	})
}

// TestTenThousandJoins has one socket join as many topics as anybody may want to
// allow, and leave half of them.
func TestTenThousandJoins(t *testing.T) {
	const joins = 10_000
	run(t, options{limits: channels.Limits{Joins: joins}}, func(t *testing.T, s *server) {
		c := s.connect()
		for i := range joins + 1 {
			c.send(fmt.Sprintf(`["%d","%d","room:%d","phx_join",{}]`, i, i, i))
		}
		settle()
		if got := c.take(); len(got) != joins+1 || s.Stats().Channels != joins {
			t.Fatalf("%d answers, %d channels", len(got), s.Stats().Channels)
		}
		for i := range joins / 2 {
			c.send(fmt.Sprintf(`["%d","l","room:%d","phx_leave",{}]`, i, i))
		}
		settle()
		if got := c.take(); len(got) != joins || s.Stats().Channels != joins/2 {
			t.Fatalf("%d answers, %d channels", len(got), s.Stats().Channels)
		}
		c.Close()
		settle()
		if n := s.Stats().Channels; n != 0 {
			t.Errorf("%d channels after the end", n)
		}
	})
}
