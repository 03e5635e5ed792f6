package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// examined loads the guest that dies on request, by an engine that keeps what is left
// of it if wants says so.
func examined(t testing.TB, name string, l sandbox.Limits, wants func(*sandbox.Trap) bool) *sandbox.Module {
	t.Helper()
	e, err := sandbox.NewEngine(sandbox.Options{Examine: wants})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if l.Deadline == 0 {
		l.Deadline = 20 * time.Second
	}
	p, err := e.Load(t.Context(), fixture(t, name), sandbox.LoadOptions{Name: name, Version: "v7", Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func always(*sandbox.Trap) bool { return true }

// die sends what kills the guest and returns its trap.
func die(t testing.TB, i *sandbox.Instance, e *abi.Event) *sandbox.Trap {
	t.Helper()
	_, err := i.Handle(e)
	var trap *sandbox.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("error = %v, want a trap", err)
	}
	return trap
}

func names(events []sandbox.PastEvent) (all []string) {
	for _, e := range events {
		all = append(all, e.Name)
	}
	return all
}

func TestPostMortem(t *testing.T) {
	p := examined(t, "crash", sandbox.Limits{}, always)
	i := start(t, p)
	wantReply(t, i, "one", live, "")
	wantReply(t, i, "two", live, "")
	trap := die(t, i, message("die", unreachable))
	m := trap.PostMortem()
	if m == nil {
		t.Fatal("nothing is left")
	}
	if got := names(m.Events); !slices.Equal(got, []string{"one", "two", "die"}) || !m.Whole {
		t.Errorf("events %q, whole %v", got, m.Whole)
	}
	if last := m.Events[2]; string(last.Payload) != unreachable || last.Kind != abi.EventMessage || last.Flags != abi.WantsReply || last.Cut {
		t.Errorf("the last event is %+v", last)
	}
	// The fixture keeps "on purpose" at 12, and its inbox is at 64 KiB.
	if m.MemorySize != 2<<16 || len(m.Memory) != m.MemorySize || string(m.Memory[12:22]) != "on purpose" ||
		!strings.Contains(string(m.Memory[1<<16:1<<16+40]), "die") {
		t.Errorf("memory of %d bytes, %q", m.MemorySize, m.Memory[:64])
	}
	if trap.PostMortem() != nil {
		t.Error("it is handed out twice")
	}
}

// Only the last events are kept, and the beginning of large ones.
func TestPostMortemIsBounded(t *testing.T) {
	p := examined(t, "crash", sandbox.Limits{Memory: 32 << 20}, always)
	i := start(t, p)
	for n := range 20 {
		wantReply(t, i, fmt.Sprint(n), live+strings.Repeat("0", 5000), "")
	}
	m := die(t, i, message("die", grow)).PostMortem()
	if got := names(m.Events); !slices.Equal(got, strings.Fields("13 14 15 16 17 18 19 die")) || m.Whole {
		t.Errorf("events %q, whole %v", got, m.Whole)
	}
	if first := m.Events[0]; len(first.Payload) != 4<<10 || !first.Cut {
		t.Errorf("payload of %d bytes, cut %v", len(first.Payload), first.Cut)
	}
	if m.MemorySize != 32<<20 || len(m.Memory) != 16<<20 {
		t.Errorf("%d of %d bytes of memory", len(m.Memory), m.MemorySize)
	}
}

// Actors that share a slot do not see each other's events. An actor that was away has only
// what came since, and its process says how it began.
func TestPostMortemOfTheOneInTheSlot(t *testing.T) {
	p := examined(t, "slots", sandbox.Limits{Slots: 1}, always)
	a, err := p.Start("room:1", opener{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b := start(t, p)
	wantNumber(t, a, 'c', 0, 1)
	wantNumber(t, b, 'c', 0, 1)
	wantNumber(t, a, 'c', 0, 2)
	m := die(t, a, do('?', 3)).PostMortem()
	if got := firstBytes(m.Events); got != "c?" || m.Whole {
		t.Errorf("events %q, whole %v", got, m.Whole)
	}
	if m.Opening == nil || m.Opening.Kind != abi.EventJoin || m.Opening.Name != "room:1" {
		t.Errorf("opening %+v", m.Opening)
	}
	if m := die(t, b, do('!', 0)).PostMortem(); firstBytes(m.Events) != "!" || m.Whole || m.Opening != nil {
		t.Errorf("events %q, whole %v, opening %+v", firstBytes(m.Events), m.Whole, m.Opening)
	}
}

func firstBytes(events []sandbox.PastEvent) (all string) {
	for _, e := range events {
		all += string(e.Payload[:1])
	}
	return all
}

// opener is a process that knows how it began.
type opener struct{ sandbox.Process }

func (opener) Name() string { return "" }
func (opener) Opening() (abi.Event, bool) {
	return abi.Event{Kind: abi.EventJoin, Name: "room:1"}, true
}

// Nothing is copied for those whom nobody wants to see.
func TestExamineDecides(t *testing.T) {
	var asked []sandbox.TrapKind
	p := examined(t, "crash", sandbox.Limits{}, func(trap *sandbox.Trap) bool {
		asked = append(asked, trap.Kind)
		return trap.Kind == sandbox.KindExit
	})
	if m := die(t, start(t, p), message("die", divide)).PostMortem(); m != nil {
		t.Errorf("unwanted: %d events", len(m.Events))
	}
	if m := die(t, start(t, p), message("die", leave)).PostMortem(); m == nil {
		t.Error("wanted, and there is none")
	}
	if !slices.Equal(asked, []sandbox.TrapKind{sandbox.KindTrap, sandbox.KindExit}) {
		t.Errorf("asked about %v", asked)
	}
	if m := die(t, start(t, load(t, fixture(t, "crash"), sandbox.LoadOptions{})), message("die", divide)).PostMortem(); m != nil {
		t.Errorf("without Examine: %d events", len(m.Events))
	}
}

// Guests that die at the same time, with large memories and few slots, are all examined, and nobody
// gets the slot of one before that. A plugin that is unloaded meanwhile is freed in the end.
func TestManyPostMortems(t *testing.T) {
	p := examined(t, "crash", sandbox.Limits{Memory: 32 << 20, Slots: 3}, always)
	var all sync.WaitGroup
	for n := range 12 {
		i, err := p.Start("", nil)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer i.Close()
			name := fmt.Sprint("die ", n)
			_, err := i.Handle(message(name, grow))
			trap := (*sandbox.Trap)(nil)
			if !errors.As(err, &trap) || !trap.Examined() {
				t.Errorf("guest %d: %v", n, err)
				return
			}
			if m := trap.PostMortem(); len(m.Memory) != 16<<20 || string(m.Memory[12:22]) != "on purpose" || !slices.Equal(names(m.Events), []string{name}) || !m.Whole {
				t.Errorf("guest %d: %d bytes of memory, events %q", n, len(m.Memory), names(m.Events))
			}
			if trap.Examined() {
				t.Errorf("guest %d is still to be taken", n)
			}
		})
	}
	all.Wait()
	if s := p.Stats(); s.Live != 0 || s.Slots > 3 {
		t.Errorf("%d instances in %d slots are left", s.Live, s.Slots)
	}
}

// BenchmarkTrap is the life of an actor that dies of its first event.
func BenchmarkTrap(b *testing.B) {
	for name, wants := range map[string]func(*sandbox.Trap) bool{"alone": nil, "asked": func(*sandbox.Trap) bool { return false }} {
		b.Run(name, func(b *testing.B) {
			p := examined(b, "slots", sandbox.Limits{}, wants)
			e := do('!', 0)
			b.ReportAllocs()
			for b.Loop() {
				i, err := p.Start("", nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := i.Handle(e); err == nil {
					b.Fatal("it lives")
				}
				i.Close()
			}
		})
	}
}

// BenchmarkRemember is what it costs to remember events, beside BenchmarkHandle.
func BenchmarkRemember(b *testing.B) {
	for name, wants := range map[string]func(*sandbox.Trap) bool{"off": nil, "on": always} {
		b.Run(name, func(b *testing.B) {
			i := start(b, examined(b, "echo", sandbox.Limits{}, wants))
			e := message("echo", `{"body":"hello","user":"someone"}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Handle(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
