package sandbox_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"

	"rtd/sandbox"
)

// have has the guest of testdata/memory.wat do something, and returns its answer.
func have(i *sandbox.Instance, what byte, n int) (int32, error) {
	effects, err := i.Handle(message("do", string(binary.LittleEndian.AppendUint32([]byte{what}, uint32(n)))))
	if err != nil {
		return 0, err
	}
	defer i.Release()
	return int32(binary.LittleEndian.Uint32(effects[0].Payload)), nil
}

func mustHave(t testing.TB, i *sandbox.Instance, what byte, n int) int32 {
	t.Helper()
	answer, err := have(i, what, n)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestTotalMemory has forty actors grow, of which the plugin has room for seven, in
// slots of their own and in three.
func TestTotalMemory(t *testing.T) {
	const grown = 2 << 20
	for _, slots := range []int{40, 3} {
		p := load(t, fixture(t, "memory"), sandbox.LoadOptions{Limits: sandbox.Limits{TotalMemory: 8*grown - grown/2, Slots: slots}})
		other := load(t, fixture(t, "memory"), sandbox.LoadOptions{Limits: sandbox.Limits{TotalMemory: grown + grown/2}})
		if s := p.Stats(); s.Memory != 0 || s.MemoryLimit != 8*grown-grown/2 {
			t.Fatalf("a plugin without actors has %d bytes of %d", s.Memory, s.MemoryLimit)
		}
		actors := make([]*sandbox.Instance, 40)
		grew := map[*sandbox.Instance]bool{}
		for n := range actors {
			actors[n] = start(t, p)
			if mustHave(t, actors[n], 'g', grown/65536) != -1 {
				grew[actors[n]] = true
			}
			if s := p.Stats(); s.Memory > s.MemoryLimit {
				t.Fatalf("%d slots, after %d actors: %d bytes of %d", slots, n+1, s.Memory, s.MemoryLimit)
			}
		}
		if s := p.Stats(); len(grew) != 7 || s.Memory < 7*grown {
			t.Errorf("%d slots: %d actors have grown, want 7; together they have %d bytes", slots, len(grew), s.Memory)
		}
		if mustHave(t, start(t, other), 'g', grown/65536) == -1 {
			t.Errorf("%d slots: another plugin's actor cannot grow", slots)
		}
		for n, i := range actors { // all go on, at the bound
			if i.Hibernate(); (mustHave(t, i, 'l', 0) != 0) != grew[i] {
				t.Errorf("%d slots: actor %d has another memory than before", slots, n)
			}
		}
		for _, i := range actors {
			if grew[i] {
				i.Close()
				break
			}
		}
		if mustHave(t, actors[39], 'g', grown/65536) == -1 {
			t.Errorf("%d slots: an actor cannot grow after another is gone", slots)
		}
		for _, i := range actors {
			i.Close()
		}
		if s := p.Stats(); s.Memory > int64(slots)*4<<20 { // pages that the slots keep
			t.Errorf("%d slots: %d bytes are left", slots, s.Memory)
		}
	}
}

// TestTotalMemoryOfSnapshot has guests write to the memory that they were born with,
// which nobody can refuse.
func TestTotalMemoryOfSnapshot(t *testing.T) {
	p := load(t, fixture(t, "memory"), sandbox.LoadOptions{Limits: sandbox.Limits{TotalMemory: 48 << 20}})
	first, second := start(t, p), start(t, p)
	for _, i := range []*sandbox.Instance{first, second, first} { // they stay in slots of their own
		mustHave(t, i, 'l', 0)
	}
	mustHave(t, first, 't', 5000)
	if s := p.Stats(); s.Memory < 31<<20 || s.Memory > 33<<20 {
		t.Errorf("%d bytes after one guest has written 32 MiB", s.Memory)
	}
	_, err := have(second, 't', 5000)
	wantTrap(t, err, sandbox.KindMemory, "48 MiB of memory together, and have 6")
	mustHave(t, first, 't', 1)
	second.Close()
	first.Close()
	if s := p.Stats(); s.Memory != 0 {
		t.Errorf("%d bytes are left", s.Memory)
	}
}

// gate is a log handler at which guests wait.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func (g *gate) Enabled(context.Context, slog.Level) bool { return true }
func (g *gate) WithAttrs([]slog.Attr) slog.Handler       { return g }
func (g *gate) WithGroup(string) slog.Handler            { return g }
func (g *gate) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "deep" {
		g.arrived <- struct{}{}
		<-g.open
	}
	return nil
}

// TestStacks has many guests be in deep recursions at once.
func TestStacks(t *testing.T) {
	const guests, deep = 30, 150_000
	g := &gate{make(chan struct{}, guests), make(chan struct{})}
	p := load(t, fixture(t, "memory"), sandbox.LoadOptions{Log: slog.New(g)})
	var (
		wg      sync.WaitGroup
		refused = make(chan error, guests)
		back    = make(chan int32, guests)
	)
	for range guests {
		i := start(t, p)
		wg.Go(func() {
			n, err := have(i, 'd', deep)
			if err != nil {
				refused <- err
				return
			}
			back <- n
		})
	}
	var waiting int
	for n := 0; n < guests; n++ {
		select {
		case <-g.arrived:
			waiting++
		case err := <-refused:
			trap := wantTrap(t, err, sandbox.KindStack, "too many guests are in deep recursions at once")
			if len(trap.Stack) == 0 || trap.Stack[0] != "recurse" {
				t.Errorf("stack %q", trap.Stack)
			}
		}
	}
	if bytes := p.StackBytes(); bytes > 64<<20 || bytes < 32<<20 || waiting < 3 || waiting == guests {
		t.Errorf("%d guests have %d bytes of stacks", waiting, bytes)
	}
	// Others are not concerned, as long as they are not deep.
	if n := mustDoShallow(t, p); n != 100 {
		t.Errorf("a shallow recursion returns %d", n)
	}
	close(g.open)
	wg.Wait()
	for range waiting {
		if n := <-back; n != deep {
			t.Errorf("a recursion returns %d, want %d", n, deep)
		}
	}
	if bytes := p.StackBytes(); bytes != 0 {
		t.Errorf("%d bytes are counted after all have returned", bytes)
	}
	_, err := have(start(t, p), 'd', 10_000_000)
	wantTrap(t, err, sandbox.KindStack, "recursion without end")
	if n := mustHave(t, start(t, p), 'd', deep); n != deep {
		t.Errorf("a recursion returns %d, want %d", n, deep)
	}
}

func mustDoShallow(t *testing.T, p *sandbox.Module) int32 {
	t.Helper()
	i := start(t, p)
	done := make(chan int32, 1)
	go func() {
		n, err := have(i, 'f', 0) // no recursion that would wait at the gate
		if err != nil {
			n = -1
		}
		done <- n + 100
	}()
	return <-done
}
