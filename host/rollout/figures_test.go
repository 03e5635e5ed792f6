package rollout_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

// TestFigureMigration moves 10,000 live channels to another version while one of them
// is asked again and again: they are there within 2 s, and no answer takes 50 ms more
// than the others. These figures are checked with RTD_TEST_HOT_SWAP=1, on a machine that
// has nothing else to do. On any machine, answers come between the moves, and not behind
// all of them.
func TestFigureMigration(t *testing.T) {
	const actors = 10_000
	const within, delay = 2 * time.Second, 50 * time.Millisecond
	w := newWorld(t)
	settings := func(s *release.Settings) { s.Limits.Slots = 64 }
	w.swap(1, "p", settings, wantsExport)
	for n := range actors {
		s := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: nobody{}})
		t.Cleanup(s.Close)
		topic := fmt.Sprintf("p:%05d", n)
		must(t, s.Receive(slices.Concat([]byte{0, 1, 1, byte(len(topic)), 8}, []byte("11"+topic+"phx_join"), orders(op(count, ""))), true))
	}
	eventually(t, "all have joined", func() bool { return w.endpoint.Stats().JoinsAccepted == actors })

	answers := make(asked, 1)
	hot := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: answers})
	t.Cleanup(hot.Close)
	ask := func(event string) time.Duration {
		start := time.Now()
		must(t, hot.Receive(slices.Concat([]byte{0, 1, 1, 5, byte(len(event))}, []byte("11p:hot"+event), orders(op(abi.EffectReply, "ok"))), true))
		<-answers
		return time.Since(start)
	}
	ask("phx_join")
	usual := time.Duration(0)
	for range 100 {
		usual = max(usual, ask("hello"))
	}

	start := time.Now()
	var deployed sync.WaitGroup
	deployed.Go(func() { w.swap(2, "p", settings, wantsExport) })
	worst, asks := time.Duration(0), 0
	for w.stats("p").Moves.WithState < actors+1 {
		worst = max(worst, ask("hello"))
		asks++
		time.Sleep(100 * time.Microsecond)
		if time.Since(start) > patience {
			t.Fatalf("moved so far: %+v", w.stats("p").Moves)
		}
	}
	took := time.Since(start)
	deployed.Wait()
	t.Logf("%d channels moved in %v; %d answers meanwhile, the slowest after %v, %v before", actors, took.Round(time.Millisecond),
		asks, worst.Round(time.Microsecond), usual.Round(time.Microsecond))
	if asks < 10 {
		t.Errorf("while %d channels moved there were only %d answers", actors, asks)
	}
	if os.Getenv("RTD_TEST_HOT_SWAP") != "" {
		if took > within {
			t.Errorf("it took %v, want at most %v", took, within)
		}
		if worst > delay+usual {
			t.Errorf("an answer took %v, want at most %v more than the usual %v", worst, delay, usual)
		}
	}
	if s := w.stats("p"); len(s.Others) != 0 || s.Sandbox.Live != actors+1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// nobody is a client that does not look.
type nobody struct{}

func (nobody) Send(channels.Frame) {}

// asked tells of each frame.
type asked chan struct{}

func (a asked) Send(channels.Frame) { a <- struct{}{} }
