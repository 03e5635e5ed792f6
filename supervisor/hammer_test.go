package supervisor_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/supervisor"
)

// TestHammerDynamic starts, stops and crashes children of many groups from many
// goroutines, changes the strategy and restarts the Dynamic meanwhile, and checks
// at the end that every child had one end and no two lives at once, and that no
// message was lost.
func TestHammerDynamic(t *testing.T) {
	const (
		hands    = 8
		rounds   = 150
		groups   = 5
		messages = 30
	)
	rt := newRuntime(t, supervisor.Options{Schedulers: 4, Slice: 100 * time.Microsecond})
	d := supervisor.NewDynamic(supervisor.DynamicConfig{
		Strategy:  supervisor.OneForAll,
		Intensity: supervisor.Intensity{Max: 3, Within: time.Hour},
	})
	registry := supervisor.NewMailbox(0)
	root := rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(supervisor.Config{
		Strategy:  supervisor.RestForOne,
		Intensity: supervisor.Intensity{Max: 1 << 20},
		Children: []supervisor.ChildSpec{
			{ID: "registry", Start: func() supervisor.Spec {
				return supervisor.Spec{Mailbox: registry, Actor: &funcs{handle: obey}}
			}},
			{ID: "channels", Start: d.Spec},
		},
	})})

	var kids [hands][]*hammered
	var running sync.WaitGroup
	for hand := range hands {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(hand), rand.Uint64()))
			for range rounds {
				k := &hammered{kid: newKid(supervisor.Restart(random.IntN(3))), t: t, ended: make(chan struct{})}
				if err := d.Start(k, fmt.Sprint(random.IntN(groups))); err != nil {
					t.Error(err)
					return
				}
				kids[hand] = append(kids[hand], k)
				other := kids[hand][max(0, len(kids[hand])-1-random.IntN(10))]
				for i := range messages {
					switch random.IntN(200) {
					case 0, 1, 2, 3, 4:
						k.box.Send(errCrash)
					case 5, 6, 7, 8, 9:
						other.box.Send(errCrash)
					case 10:
						d.Stop(other, nil)
					case 11:
						k.box.Send(supervisor.Normal)
					case 15:
						if random.IntN(5) == 0 {
							registry.Send(errCrash)
						}
					case 12:
						k.box.Send(func() error { panic(i) })
					case 13:
						d.Configure(supervisor.Strategy(random.IntN(3)), supervisor.Intensity{Max: 3, Within: time.Hour})
					case 14:
						k.box.Send(func() error { time.Sleep(200 * time.Microsecond); return nil })
					default:
						if k.box.Send(nil) == nil {
							k.sent++
						}
					}
				}
				for k.box.Len() > 0 { // let things happen
					time.Sleep(50 * time.Microsecond)
				}
			}
		})
	}
	running.Wait()
	root.Stop(nil)
	<-root.Done()
	d.Close(nil)
	rt.Wait()

	if s := rt.Stats(); s.Processes != 0 || s.Queued != 0 {
		t.Errorf("left over: %+v", s)
	}
	if reason := root.Reason(); reason != supervisor.Shutdown {
		t.Errorf("the supervisor ended with %v", reason)
	}
	for _, kids := range kids {
		for _, k := range kids {
			k.check()
		}
	}
}

// hammered is a child that checks its own lives.
type hammered struct {
	*kid
	t       *testing.T
	busy    atomic.Bool // one of its methods runs
	alive   bool        // guarded by busy
	handled int         // plain messages
	sent    int         // by its hand
	ended   chan struct{}
}

// enter checks that nothing else of the child runs, and that it lives or not.
func (h *hammered) enter(alive bool) (leave func()) {
	if h.busy.Swap(true) {
		h.t.Error("two methods of a child at once")
	}
	if h.alive != alive {
		h.t.Errorf("a method was called on a child for which alive is %v", h.alive)
	}
	return func() { h.busy.Store(false) }
}

func (h *hammered) Init(*supervisor.Process) error {
	defer h.enter(false)()
	h.alive = true
	return nil
}

func (h *hammered) Handle(p *supervisor.Process, msg any) error {
	defer h.enter(true)()
	if msg == nil {
		h.handled++
	}
	return obey(p, msg)
}

func (h *hammered) Terminate(*supervisor.Process, error) {
	defer h.enter(true)()
	h.alive = false
}

func (h *hammered) Exited(reason error, d supervisor.Decision) {
	defer h.enter(false)()
	h.kid.Exited(reason, d)
	if d == supervisor.Restarts {
		return
	}
	for _, msg := range h.box.Close() {
		if msg == nil {
			h.handled++ // it was not lost: its sender could be told
		}
	}
	close(h.ended) // panics the second time
}

func (h *hammered) check() {
	select {
	case <-h.ended:
	default:
		h.t.Error("a child was not told of its end")
		return
	}
	told := h.told()
	for i, e := range told {
		if last := i == len(told)-1; last == (e.decision == supervisor.Restarts) {
			h.t.Errorf("a child was told %v", told)
		}
	}
	if h.handled != h.sent {
		h.t.Errorf("%d messages were sent, %d came", h.sent, h.handled)
	}
}
