package host_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// TestFigureLinger says what a handler takes whose client is away, asleep, all that the host keeps for it included, and how long it takes
// to come back to it: from the join to its reply, through a real socket, in a guest that has to be put back into memory.
//
// With RTD_TEST_LINGER=1 there are 10,000 and the figures must hold: that is for a machine that has nothing else to do. Otherwise there
// are 300, and they are logged.
func TestFigureLinger(t *testing.T) {
	const each = 100 // topics of a client
	clients, quiet := 3, os.Getenv("RTD_TEST_LINGER") != ""
	if quiet {
		clients = 100
	}
	for guest, most := range map[string]int64{"c": 1024, "rust": 1280} { // a guest of the latter has 225 of its own
		t.Run(guest, func(t *testing.T) {
			s := start(t, hosttest.Setup{
				Plugins: map[string][]byte{"room": fixture(t, "../sdk/suite/testdata/room-"+guest+".wasm")},
				Config:  "[plugin.room]\nlinger = \"1h\"\nmax_lingering = 100000\nmax_lingering_address = 100000\nslots = 8\n",
			})
			heap := func() int64 {
				var m runtime.MemStats
				for range 3 {
					runtime.GC()
				}
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			keys := map[string]string{}
			away := func(n int, keeps bool) {
				c, err := hosttest.Dial(s.Socket(""), &websocket.DialOptions{HTTPClient: hosttest.Web}) // nobody holds it later
				must(t, err)
				for i := range each {
					topic := fmt.Sprintf("room:%d/%d", n, i)
					c.MustJoin(t, topic, `{"user":"Ada"}`)
					if key := keyOf(t, c, topic); keeps {
						keys[topic] = key
					}
				}
				c.Close()
			}
			linger := func(n int) {
				hosttest.Eventually(t, "all linger", func() bool { return s.Metric(t, "rtd_lingering") == float64(n) })
			}
			away(-1, true) // what comes once
			linger(each)
			before := heap()
			for n := range clients {
				away(n, false)
			}
			linger((clients + 1) * each)
			asleep := int64(s.Metric(t, "rtd_idle_state_bytes")) / int64((clients+1)*each)
			size := (heap()-before)/int64(clients*each) + asleep

			var took []time.Duration
			c := s.Connect(t)
			for topic, key := range keys {
				if len(took) == each {
					break
				}
				payload := fmt.Sprintf(`{"resume":%q}`, key)
				began := time.Now()
				c.MustJoin(t, topic, payload)
				took = append(took, time.Since(began))
			}
			if n := s.Metric(t, "rtd_resumed_total"); n != each {
				t.Errorf("%v were resumed, want %d", n, each)
			}
			slices.Sort(took)
			median, worst := took[len(took)/2], took[len(took)*99/100]
			t.Logf("%d handlers: %d bytes each, %d of them the guest's; back in %v, 99%% in %v", clients*each, size, asleep, median.Round(time.Microsecond), worst.Round(time.Microsecond))
			if quiet && (size > most || median > time.Millisecond) {
				t.Errorf("want %d bytes and 1ms at most", most)
			}
		})
	}
}

func keyOf(t *testing.T, c *hosttest.Client, topic string) string {
	t.Helper()
	var told struct{ Key string }
	must(t, json.Unmarshal(c.Expect(t, topic, "resume").Payload, &told))
	return told.Key
}
