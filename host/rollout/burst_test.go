package rollout_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// crowd is clients of a plugin whose handlers work for as long as they are told.
type crowd struct {
	*world
	name    string
	clients []*client
	rounds  uint32 // of a loop that takes a millisecond of the processor
}

type client struct {
	socket *channels.Socket
	topic  string
	came   chan struct{} // for each frame, up to some
}

func (c *client) Send(channels.Frame) {
	select {
	case c.came <- struct{}{}:
	default:
	}
}

// newCrowd deploys the plugin name, and lets n clients join a topic each.
func newCrowd(w *world, name string, n int, limits sandbox.Limits) *crowd {
	w.t.Helper()
	wasm, err := os.ReadFile("../../sandbox/testdata/slots.wasm")
	must(w.t, err)
	must(w.t, w.set.Deploy(context.Background(), name, wasm, release.Settings{
		Topics: []string{name + ":*"}, Intensity: supervisor.Intensity{Max: 1000, Within: time.Second},
		Mailbox: 100, Processes: 10_000, References: 1000, Pending: 1 << 20, Limits: limits,
	}))
	c := &crowd{world: w, name: name}
	for i := range n {
		k := &client{topic: fmt.Sprintf("%s:%05d", name, i), came: make(chan struct{}, 8)}
		k.socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: k})
		w.t.Cleanup(k.socket.Close)
		k.push(w.t, "phx_join", 0)
		<-k.came
		c.clients = append(c.clients, k)
	}
	return c
}

func (k *client) push(t testing.TB, event string, rounds uint32) {
	t.Helper()
	order := binary.LittleEndian.AppendUint32([]byte("l"), rounds)
	must(t, k.socket.Receive(slices.Concat([]byte{0, 1, 1, byte(len(k.topic)), byte(len(event))}, []byte("11"+k.topic+event), order), true))
}

// calibrate finds out how long a round takes.
func (c *crowd) calibrate() {
	const rounds = 5_000_000
	before := c.stats(c.name).Sandbox.Time
	c.clients[0].push(c.t, "work", rounds)
	<-c.clients[0].came
	took := c.stats(c.name).Sandbox.Time - before
	c.rounds = max(1, uint32(rounds*time.Millisecond/took))
}

// burst has all of them work at once, each for so long, and waits for the answers.
func (c *crowd) burst(work time.Duration) {
	c.t.Helper()
	rounds := uint32(float64(c.rounds) * float64(work) / float64(time.Millisecond))
	for _, k := range c.clients {
		k.push(c.t, "work", rounds)
	}
	for _, k := range c.clients {
		<-k.came
	}
}

// spin has all of them work for ever.
func (c *crowd) spin() {
	for _, k := range c.clients {
		k.push(c.t, "work", 0)
	}
}

func (c *crowd) wantNoDeaths() {
	c.t.Helper()
	if s := c.stats(c.name).Sandbox; len(s.Traps) > 0 {
		c.t.Errorf("traps %v, want none", s.Traps)
	}
}

// However many handlers have something to do at once, no deadline ends one that needs
// a small part of it, also beside three hundred of another plugin that never end. Those
// do end.
func TestBurstsAreAnswered(t *testing.T) {
	// Together they need up to five times the deadline on two processors.
	const work, deadline = 4 * time.Millisecond, 200 * time.Millisecond
	for _, n := range []int{50, 256, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newCrowd(newWorld(t), "work", n, sandbox.Limits{Deadline: deadline})
			c.calibrate()
			c.burst(work)
			c.wantNoDeaths()
		})
	}
	t.Run("beside endless ones", func(t *testing.T) {
		const loops = 300
		w := newWorld(t)
		endless := newCrowd(w, "endless", loops, sandbox.Limits{Deadline: 10 * time.Millisecond})
		c := newCrowd(w, "work", 256, sandbox.Limits{Deadline: deadline})
		c.calibrate()
		endless.spin()
		c.burst(work)
		c.wantNoDeaths()
		for w.stats("endless").Sandbox.Traps[sandbox.KindDeadline] < loops {
			time.Sleep(time.Millisecond)
		}
	})
}

// A kill reaches guests wherever they are: at work, or in the queue for a scheduler or
// for a slot. Here supervisors kill them that do not want to wait for their end.
func TestKillReachesGuests(t *testing.T) {
	const loops = 60
	w := newWorld(t)
	var children []abi.Effect
	for n := range loops {
		children = append(children, child(fmt.Sprint(n), `{"shutdown":1}`))
	}
	w.deploy("endless", func(s *release.Settings) { s.Limits = sandbox.Limits{Deadline: time.Hour, Slots: loops / 2} }, children...)
	for n := range loops {
		must(t, w.process(fmt.Sprint("endless/", n)).Send(&ask.Message{Kind: abi.EventCast, Payload: orders(op(spin, ""))}))
	}
	eventually(t, "all slots are in use", func() bool { return w.stats("endless").Sandbox.Slots == loops/2 })
	module := w.stats("endless").Sandbox
	if module.Live != loops || len(module.Traps) > 0 {
		t.Errorf("%+v", module)
	}
	w.set.Close()    // by the deadline none would end
	w.runtime.Wait() // for their code
	if n := w.runtime.Stats().Processes; n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// BenchmarkAllAtOnce is how long handlers take that all have 20 ms of work at once, by how
// many they are, alone and beside 300 of another plugin that never end:
//
//	go test ./host/rollout -run '^$' -bench AllAtOnce -benchtime 1x
func BenchmarkAllAtOnce(b *testing.B) {
	const work = 20 * time.Millisecond
	for _, beside := range []int{0, 300} {
		for _, n := range []int{1, 10, 50, 256, 500} {
			b.Run(fmt.Sprintf("%d/beside=%d", n, beside), func(b *testing.B) {
				w := newWorld(b)
				c := newCrowd(w, "work", n, sandbox.Limits{})
				c.calibrate()
				if beside > 0 {
					newCrowd(w, "endless", beside, sandbox.Limits{}).spin()
				}
				var mu sync.Mutex
				var latencies []time.Duration
				for b.Loop() {
					rounds := c.rounds * uint32(work/time.Millisecond)
					var all sync.WaitGroup
					for _, k := range c.clients {
						all.Go(func() {
							begin := time.Now()
							k.push(b, "work", rounds)
							<-k.came
							mu.Lock()
							defer mu.Unlock()
							latencies = append(latencies, time.Since(begin))
						})
					}
					all.Wait()
				}
				c.wantNoDeaths()
				slices.Sort(latencies)
				b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds())/1e3, "ms-p50")
				b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1e3, "ms-p99")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
