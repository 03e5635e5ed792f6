package host_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/hosttest"
)

// The sample plugin is overwritten 25 times while people chat. No socket is
// closed, no message is lost, doubled or out of order, every push is answered ok,
// and all end up on the last version.
//
// The files are four versions in turn, so that the test need not compile 25
// times. With RTD_TEST_COLD_SWAPS=1 every version is new and nothing is cached,
// as on a server: that takes a minute or two, and is for CI.
func TestSwapsUnderTraffic(t *testing.T) {
	t.Parallel()
	swaps, members := scaled(25, 12), scaled(10, 4)
	cold := os.Getenv("RTD_TEST_COLD_SWAPS") != ""
	versions, text := 4, patientChat
	if cold {
		versions = swaps + 1
		text = fmt.Sprintf("[plugins]\ncache = %q\n", t.TempDir()) + text
	}
	for n := range versions {
		if !cold {
			precompile(t, chatVersion(t, n))
		}
	}
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatVersion(t, 0)}, Config: text})
	chat := startChatter(t, s, "room:lobby", members, 50*time.Millisecond)
	visits := startVisits(t, s, "room:lobby")

	begin := time.Now()
	for n := 1; n <= swaps; n++ {
		wasm := chatVersion(t, n%versions)
		if n%2 == 0 {
			s.Rename(t, "chat", wasm)
		} else {
			s.Write(t, "chat", wasm)
		}
		hosttest.Eventually(t, fmt.Sprintf("deploy %d", n), func() bool { return s.Metric(t, "rtd_deploys_total") >= float64(n+1) })
		must(t, chat.failed.Get())
	}
	took := time.Since(begin)
	joins := visits.stop(t)

	newest := versionName(swaps % versions)
	hosttest.Eventually(t, "messages of the newest version alone", func() bool { return chat.speakAs(newest) })
	messages := chat.stop(t)
	t.Logf("%d swaps in %v; %d messages to %d clients each, slowest round trip %v; %d joins meanwhile", swaps,
		took.Round(time.Millisecond), messages, members, time.Duration(chat.slowest.Load()).Round(time.Millisecond), joins)

	if n := len(chat.ears[0].by); n != versions && !cold {
		t.Errorf("messages of %d versions were heard, want %d", n, versions)
	}
	if n := s.Metric(t, "rtd_deploys_total"); n != float64(swaps+1) {
		t.Errorf("deploys = %v, want %d", n, swaps+1)
	}
	for _, name := range []string{"rtd_deploy_errors_total", "rtd_crashes_total", "rtd_overloaded_total", "rtd_connections_closed_total"} {
		if n := s.Metric(t, name); n != 0 {
			t.Errorf("%s = %v", name, n)
		}
	}
	hosttest.Eventually(t, "end of the instances of visits", func() bool { return s.Metric(t, "rtd_instances", `plugin="chat"`) == float64(members) })
}

// speakAs tells whether the latest message of every sender was of this user.
func (c *chatter) speakAs(user string) bool {
	e := &c.ears[0]
	e.mu.Lock()
	defer e.mu.Unlock()
	for sender := range c.clients {
		if e.user[sender] != user {
			return false
		}
	}
	return true
}

// visits are a client that joins and leaves a room all the time: a join may fall
// between two versions.
type visits struct {
	client  *hosttest.Client
	stopped chan struct{}
	running sync.WaitGroup
	joins   int
	err     error
}

func startVisits(t testing.TB, s *server, topic string) *visits {
	t.Helper()
	v := &visits{client: s.Connect(t), stopped: make(chan struct{})}
	v.client.Hear(func(hosttest.Message) {})
	v.running.Go(func() { v.err = v.visit(topic) })
	return v
}

func (v *visits) visit(topic string) error {
	for {
		select {
		case <-v.stopped:
			return nil
		case <-time.After(10 * time.Millisecond): // leaves some time for the compiler
		}
		for _, event := range []string{"phx_join", "phx_leave"} {
			r, err := v.client.Call(topic, event, `{"token":"demo"}`)
			if err != nil {
				return err
			}
			if r.Status != "ok" {
				return fmt.Errorf("visit %d: %s is answered %v", v.joins, event, r)
			}
		}
		v.joins++
	}
}

func (v *visits) stop(t testing.TB) (joins int) {
	t.Helper()
	close(v.stopped)
	hosttest.Within(t, "the last visit", func() error { v.running.Wait(); return v.err })
	return v.joins
}

// Channels that crash while versions change are restarted, on whichever version
// is the current one.
func TestCrashesDuringSwaps(t *testing.T) {
	t.Parallel()
	wasm := nastyGuest(t)
	other := patched(t, wasm, "told to panic", "TOLD TO PANIC")
	precompile(t, other)
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": wasm}, Config: strings.Replace(nastyTable, loopDeadline.String(), "30s", 1)})
	clients := s.ConnectAll(t, 5, "nasty:pit", "{}")
	stopped := make(chan struct{})
	var all sync.WaitGroup
	var failed hosttest.FirstError
	for _, c := range clients {
		all.Go(func() {
			for {
				select {
				case <-stopped:
					return
				case <-time.After(10 * time.Millisecond):
					failed.Set(die(c, deaths[0]))
				}
			}
		})
	}
	for n := 1; n <= 6; n++ {
		s.Write(t, "nasty", [][]byte{wasm, other}[n%2])
		hosttest.Eventually(t, fmt.Sprintf("deploy %d", n), func() bool { return s.Metric(t, "rtd_deploys_total") == float64(n+1) })
	}
	close(stopped)
	hosttest.Within(t, "the last deaths", func() error { all.Wait(); return failed.Get() })
	hosttest.WantAllOpen(t, clients)
}
