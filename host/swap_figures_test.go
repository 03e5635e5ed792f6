package host_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// TestFigureHotSwap overwrites a plugin while clients chat, ten to a room. No socket is
// closed, no message is lost, doubled or out of order; and the worst round trip is no
// more than so much longer than it was before. The versions have not been compiled before,
// as on a server.
//
// With RTD_TEST_HOT_SWAP=1 there are 1,000 clients and the figure must hold: that is
// for a machine that has nothing else to do. Otherwise there are 200, of a guest in C alone,
// and it is logged.
func TestFigureHotSwap(t *testing.T) {
	rooms, swaps, quiet := scaled(20, 4), 1, os.Getenv("RTD_TEST_HOT_SWAP") != ""
	if quiet {
		rooms, swaps = 100, 3
	}
	rest := time.Duration(10*rooms) * 5 * time.Millisecond // 200 messages a second, of all together
	for _, guest := range []struct {
		name  string
		wasm  func() []byte
		join  string
		added time.Duration
	}{
		{"c", func() []byte { return fixture(t, "../sdk/suite/testdata/room-c.wasm") }, room, 50 * time.Millisecond},
		{"rust", func() []byte { return fixture(t, "../sdk/suite/testdata/room-rust.wasm") }, room, 50 * time.Millisecond},
		{"as", func() []byte { return fixture(t, "../sdk/suite/testdata/room-as.wasm") }, room, 50 * time.Millisecond},
		{"go", func() []byte { return sandboxtest.BuildGo(t, "../sdk/suite/testdata/room") }, room, 250 * time.Millisecond},
	} {
		if guest.name != "c" && !quiet {
			continue
		}
		t.Run(guest.name, func(t *testing.T) {
			wasm := guest.wasm()
			s := start(t, hosttest.Setup{
				Plugins: map[string][]byte{"room": wasm},
				Config:  fmt.Sprintf("[plugins]\ncache = %q\n[plugin.room]\ndeadline = \"30s\"\n", t.TempDir()),
			})
			var chats []*chatter
			for n := range rooms {
				chats = append(chats, startChatterAs(t, s, fmt.Sprint("room:", n), guest.join, 10, rest))
			}
			slowest := func() (worst time.Duration) {
				for _, c := range chats {
					worst = max(worst, time.Duration(c.slowest.Swap(0)))
				}
				return worst
			}
			time.Sleep(rest) // they have begun
			slowest()
			time.Sleep(max(rest, time.Second))
			before := slowest()
			for n := range swaps {
				s.Rename(t, "room", renamed(wasm, n+1))
				hosttest.Eventually(t, fmt.Sprint("deploy ", n+1), func() bool { return s.Metric(t, "rtd_deploys_total") == float64(n+2) })
				time.Sleep(500 * time.Millisecond)
			}
			newest := idOf(renamed(wasm, swaps))
			hosttest.Eventually(t, "all in the last version", func() bool {
				return s.Metric(t, "rtd_instances", `version="`+newest+`"`) == float64(10*rooms) &&
					s.Metric(t, "rtd_instances") == float64(10*rooms)
			})
			after := slowest()
			var messages int64
			for _, c := range chats {
				messages += c.stop(t)
			}
			t.Logf("%d clients, %d messages; slowest round trip %v, and %v while versions changed", 10*rooms, messages,
				before.Round(time.Millisecond/10), after.Round(time.Millisecond/10))
			if quiet && after > before+guest.added {
				t.Errorf("a round trip took %v while versions changed, at most %v before: more than %v longer", after, before, guest.added)
			}
			for _, name := range []string{"rtd_crashes_total", "rtd_overloaded_total", "rtd_connections_closed_total", "rtd_rollbacks_total"} {
				if n := s.Metric(t, name); n != 0 {
					t.Errorf("%s = %v", name, n)
				}
			}
		})
	}
}
