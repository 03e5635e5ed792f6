package host_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

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
	for _, guest := range []string{"c", "rust"} {
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
			away := func(n int) {
				c := s.Connect(t)
				for i := range each {
					topic := fmt.Sprintf("room:%d/%d", n, i)
					c.MustJoin(t, topic, `{"user":"Ada"}`)
					keys[topic] = keyOf(t, c, topic)
				}
				c.Close()
			}
			linger := func(n int) {
				hosttest.Eventually(t, "all linger", func() bool { return s.Metric(t, "rtd_lingering") == float64(n) })
			}
			away(-1) // what comes once
			linger(each)
			before, keysBefore := heap(), len(keys)
			for n := range clients {
				away(n)
			}
			linger((clients + 1) * each)
			mine := int64(26+16+24) * 2 // about what a key and its topic take in keys, in a map that is half full
			size := (heap()-before)/int64(len(keys)-keysBefore) - mine

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
			t.Logf("%d handlers: %d bytes each; back in %v, 99%% in %v", len(keys), size, median.Round(time.Microsecond), worst.Round(time.Microsecond))
			if quiet && (size > 1024 || median > time.Millisecond) {
				t.Error("want 1024 bytes and 1ms at most")
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
