package sandbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// do is a message for testdata/slots.wat.
func do(what byte, n uint32) *abi.Event {
	return message("do", string(binary.LittleEndian.AppendUint32([]byte{what}, n)))
}

// ask has slots.wat do something and returns its reply.
func ask(i *sandbox.Instance, what byte, n uint32) (uint32, error) {
	effects, err := i.Handle(do(what, n))
	if err != nil {
		return 0, err
	}
	defer i.Release()
	if last := effects[len(effects)-1]; len(last.Payload) == 4 {
		return binary.LittleEndian.Uint32(last.Payload), nil
	}
	return 0, fmt.Errorf("effects = %+v, want a number", effects)
}

func wantNumber(t testing.TB, i *sandbox.Instance, what byte, n, want uint32) {
	t.Helper()
	if got, err := ask(i, what, n); err != nil || got != want {
		t.Fatalf("%c %d = %d, %v; want %d", what, n, int32(got), err, want)
	}
}

// Memories of different sizes take turns in few slots. Each actor sees its own
// size and its own content, and nobody a larger memory than it asked for.
func TestGrownMemoriesTakeTurns(t *testing.T) {
	const actors = 9
	for _, slots := range []int{1, 3} {
		p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: slots}})
		var all [actors]*sandbox.Instance
		var pages [actors]uint32
		for n := range all {
			all[n], pages[n] = start(t, p), 3
			wantNumber(t, all[n], 'r', 0, 0)
			wantNumber(t, all[n], 'w', uint32(n), uint32(n))
		}
		r := rand.New(rand.NewPCG(3, uint64(slots)))
		for range 300 {
			n := r.IntN(actors)
			if r.IntN(5) == 0 && pages[n] < 12 {
				more := 1 + r.Uint32N(3)
				pages[n] += more
				wantNumber(t, all[n], 'g', more, pages[n])
				wantNumber(t, all[n], 'w', uint32(n), uint32(n))
				continue
			}
			wantNumber(t, all[n], 's', 0, pages[n])
			wantNumber(t, all[n], 'r', 0, uint32(n))
		}
		fresh := start(t, p)
		wantNumber(t, fresh, 's', 0, 3)
		wantNumber(t, fresh, 'r', 0, 0)
		if s := p.Stats(); s.Slots != int64(slots) {
			t.Errorf("%d slots, want %d", s.Slots, slots)
		}
	}
}

// A guest whose state cannot be taken from it keeps its slot.
func TestPinned(t *testing.T) {
	log, text := logged()
	p := load(t, fixture(t, "pinned"), sandbox.LoadOptions{Log: log, Limits: sandbox.Limits{Slots: 1}})
	for _, cause := range []string{"changes a table: in_table", "drops a data segment: in_segment", "mutable global that is no number"} {
		if !strings.Contains(text(), cause) {
			t.Errorf("log lacks %q:\n%s", cause, text())
		}
	}
	a, b := start(t, p), start(t, p)
	for n := range 3 {
		wantReply(t, a, "m", "v", string(rune('1'+n)))
	}
	wantReply(t, b, "m", "v", "1")
	for _, i := range []*sandbox.Instance{a, b} {
		wantReply(t, i, "m", "t", "0")
		wantReply(t, i, "m", "t", "1")
		wantReply(t, i, "m", "s", "7")
	}
	if s := p.Stats(); s.Live != 2 || s.Slots != 2 {
		t.Errorf("%d instances in %d slots, want 2 in 2", s.Live, s.Slots)
	}
	_, err := a.Handle(message("m", "s"))
	wantTrap(t, err, sandbox.KindTrap, "out of bounds")
	b.Close()
	if s := p.Stats(); s.Live != 1 || s.Slots != 0 {
		t.Errorf("%d instances in %d slots, want 1, which is dead, in 0", s.Live, s.Slots)
	}
	wantReply(t, start(t, p), "m", "t", "0")
}

// A guest that dies of collecting its garbage is put back as it was before.
func TestDeathInCompaction(t *testing.T) {
	for mode, kind := range map[uint32]sandbox.TrapKind{1: sandbox.KindTrap, 2: sandbox.KindStack, 3: sandbox.KindDeadline} {
		t.Run(string(kind), func(t *testing.T) {
			log, text := logged()
			limits := sandbox.Limits{Slots: 1}
			if kind == sandbox.KindDeadline {
				limits.Deadline = 300 * time.Millisecond
			}
			p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Log: log, Limits: limits})
			i, other := start(t, p), start(t, p)
			wantNumber(t, i, 'n', 1, 0)
			wantNumber(t, i, 'c', 0, 1)
			wantNumber(t, i, 'i', mode, 0)
			before, _, err := i.Memory()
			if err != nil {
				t.Fatal(err)
			}
			for n := range uint32(3) {
				wantNumber(t, other, 'c', 0, n+1) // i must leave its slot
			}
			after, _, err := i.Memory()
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("its memory has changed")
			}
			wantNumber(t, i, 's', 0, 3)
			wantNumber(t, i, 'c', 0, 2)
			wantNumber(t, other, 'c', 0, 4)
			if n := p.Stats().Traps[kind]; n != 1 || strings.Count(text(), "did not survive") != 1 {
				t.Errorf("%d traps, want 1; log:\n%s", n, text())
			}
		})
	}
}

// So is one that dies of it when its state is asked for again and again, and it is asked for its state no less.
func TestDeathInState(t *testing.T) {
	for mode, kind := range map[uint32]sandbox.TrapKind{1: sandbox.KindTrap, 2: sandbox.KindStack, 3: sandbox.KindDeadline} {
		t.Run(string(kind), func(t *testing.T) {
			log, text := logged()
			limits := sandbox.Limits{Slots: 1}
			if kind == sandbox.KindDeadline {
				limits.Deadline = 300 * time.Millisecond
			}
			p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Log: log, Limits: limits})
			i := start(t, p)
			wantNumber(t, i, 'n', 1, 0)
			wantNumber(t, i, 'c', 0, 1)
			wantNumber(t, i, 'i', mode, 0)
			before := stateOf(t, i)
			for range 1000 {
				if !bytes.Equal(stateOf(t, i), before) {
					t.Fatal("its state has changed")
				}
			}
			if n := p.Stats().Traps[kind]; n != 1 || strings.Count(text(), "did not survive") != 1 {
				t.Errorf("%d traps, want 1; log:\n%s", n, text())
			}
			wantNumber(t, resume(t, p, before), 'c', 0, 2)
			wantNumber(t, i, 'c', 0, 2)
		})
	}
}

// Before the snapshot is taken a guest is told to collect its garbage. One that cannot
// do so begins as it was before that, and nobody hears of it.
func TestDeathBeforeSnapshot(t *testing.T) {
	p := load(t, fixture(t, "echo"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 1}})
	if s := p.Stats(); s.Events != 1 || len(s.Traps) != 0 {
		t.Errorf("%d events and traps %v after the load, want the start event and none", s.Events, s.Traps)
	}
	for range 3 {
		wantReply(t, start(t, p), "echo", "hi", "hi")
	}
	p = load(t, fixture(t, "settle"), sandbox.LoadOptions{})
	if s := p.Stats(); s.Events != 1 || len(s.Traps) != 0 {
		t.Errorf("%d events and traps %v after the load, want the start event and none", s.Events, s.Traps)
	}
	wantReply(t, start(t, p), "told", "", "1") // the second time does not count
}

// Many that have only begun take turns in few slots. Those that come back, again and again, get one each.
func TestSlotsAreForThoseThatComeBack(t *testing.T) {
	const slots, few = 12, 4
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: slots}})
	var all []*sandbox.Instance
	for range slots {
		i := start(t, p)
		wantNumber(t, i, 'c', 0, 1)
		all = append(all, i)
	}
	if n := p.Stats().Slots; n > few {
		t.Errorf("%d newcomers have %d slots, want at most %d", slots, n, few)
	}
	rounds := uint32(1)
	for ; p.Stats().Slots < slots && rounds < 1000; rounds++ {
		for _, i := range all {
			wantNumber(t, i, 'c', 0, rounds+1)
		}
	}
	if n := p.Stats().Slots; n != slots {
		t.Errorf("after %d rounds there are %d slots, want %d", rounds, n, slots)
	}
	for _, i := range all {
		wantNumber(t, i, 'c', 0, rounds+1)
	}
}

// An actor that always has work does not keep its slot from those that wait.
func TestSlotsGoRound(t *testing.T) {
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 2}})
	var stop atomic.Bool
	var hot sync.WaitGroup
	defer hot.Wait()
	defer stop.Store(true)
	for range 2 {
		i := start(t, p)
		hot.Go(func() {
			for !stop.Load() {
				if _, err := ask(i, 'l', 2_000_000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	guest := start(t, p)
	for n := range uint32(20) { // or it would wait for ever
		time.Sleep(5 * time.Millisecond) // they take the slots
		wantNumber(t, guest, 'c', 0, n+1)
	}
}

// Guests that never end give their slots back when their time is up.
func TestSpinnersInEverySlot(t *testing.T) {
	const slots, deadline = 2, 50 * time.Millisecond
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: slots, Deadline: deadline}})
	var all sync.WaitGroup
	for range 3 * slots {
		i := start(t, p)
		all.Go(func() {
			if _, err := ask(i, 'l', 0); err == nil {
				t.Error("survived")
			}
		})
		all.Go(func() {
			if n, err := ask(start(t, p), 'c', 0); err != nil || n != 1 {
				t.Errorf("1, not %d, %v", n, err)
			}
		})
	}
	all.Wait()
	if s := p.Stats(); s.Traps[sandbox.KindDeadline] != 3*slots || s.Slots > slots {
		t.Errorf("%d guests over their deadline in %d slots", s.Traps[sandbox.KindDeadline], s.Slots)
	}
}

// Everything at once; afterwards nothing is left.
func TestSlotsUnderPressure(t *testing.T) {
	noLeaks(t)
	e := sandboxtest.Engine(t)
	var idle [2]int64
	for round := range idle {
		var plugins []*sandbox.Module
		for n := range 2 {
			p, err := e.Load(t.Context(), fixture(t, "slots"), sandbox.LoadOptions{
				Name: fmt.Sprint("guest ", n), Limits: sandbox.Limits{Slots: 3 - n, Deadline: 20 * time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			plugins = append(plugins, p)
		}
		var all sync.WaitGroup
		var stopped atomic.Int32
		shared := make([]*sandbox.Instance, 6) // used by all at the same time
		for n := range shared {
			shared[n] = start(t, plugins[n%2])
		}
		for seed := range uint64(8) {
			all.Go(func() {
				defer stopped.Add(1)
				press(t, plugins[seed%2], shared, rand.New(rand.NewPCG(seed, uint64(round))))
			})
		}
		all.Go(func() { // plugins are closed under those who still use them
			for stopped.Load() == 0 {
				runtime.Gosched()
			}
			for _, p := range plugins {
				p.Close()
			}
		})
		all.Wait()
		for _, i := range shared {
			i.Close()
		}
		for _, p := range plugins {
			if s := p.Stats(); s.Live != 0 || s.Slots != 0 {
				t.Errorf("%d instances and %d slots are left", s.Live, s.Slots)
			}
		}
		idle[round] = e.Stats().IdleBytes
	}
	// A chunk for each size may stay.
	if idle[1] > idle[0]+256<<10 || idle[1] > 4<<20 {
		t.Errorf("%d bytes are kept for nobody, after one round %d", idle[1], idle[0])
	}
}

// press uses instances of its own and shared ones until the plugin is closed or it
// has done enough.
func press(t *testing.T, p *sandbox.Module, shared []*sandbox.Instance, r *rand.Rand) {
	type mine struct {
		*sandbox.Instance
		kept, pages uint32
	}
	var all []mine
	defer func() {
		for _, m := range all {
			m.Close()
			m.Close()
		}
	}()
	for range 700 {
		if s := shared[r.IntN(len(shared))]; r.IntN(4) == 0 { // its effects may be anybody's
			if _, err := s.Handle(do("cbnrg"[r.IntN(5)], r.Uint32N(2))); err != nil {
				t.Error("shared: ", err)
			}
			s.Release()
			continue
		}
		if len(all) < 10 {
			i, err := p.Start("room:1", nil)
			if errors.Is(err, sandbox.ErrClosed) {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			all = append(all, mine{i, 0, 3})
		}
		n := r.IntN(len(all))
		m := &all[n]
		check := func(what byte, n, want uint32) {
			if got, err := ask(m.Instance, what, n); err != nil || got != want {
				t.Errorf("%c %d = %d, %v; want %d", what, n, int32(got), err, want)
			}
		}
		dead := false
		switch k := r.IntN(100); {
		case k < 40:
			check('r', 0, m.kept)
		case k < 60:
			m.kept = r.Uint32() >> 1
			check('w', m.kept, m.kept)
		case k < 75:
			check('s', 0, m.pages)
		case k < 80 && m.pages < 8:
			m.pages++
			check('g', 1, m.pages)
			m.kept = r.Uint32() >> 1
			check('w', m.kept, m.kept)
		case k < 85: // effects that are released late, or never
			if _, err := m.Handle(do('b', 0)); err != nil {
				t.Error(err)
			}
		case k < 90:
			m.Release()
		case k < 95:
			_, err := m.Handle(do("!o"[r.IntN(400)/399], 0)) // an overflow fills 84 MB of stack first
			dead = err != nil
		case k < 97:
			if _, err := m.Handle(message("do", strings.Repeat("x", 65001))); !errors.Is(err, sandbox.ErrTooLarge) {
				t.Errorf("error = %v, want too large", err)
			}
		default:
			dead = true
		}
		if dead {
			m.Close()
			all[n] = all[len(all)-1]
			all = all[:len(all)-1]
		}
	}
}

// While states are at rest, the engine waits for their instances.
func TestEngineWaitsForIdleInstances(t *testing.T) {
	e := sandboxtest.Engine(t)
	p, err := e.Load(t.Context(), fixture(t, "slots"), sandbox.LoadOptions{Name: "guest", Version: "v1", Limits: sandbox.Limits{Slots: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var all []*sandbox.Instance
	for n := range uint32(5) {
		i, err := p.Start("room:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNumber(t, i, 'w', n, n)
		all = append(all, i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil || !strings.Contains(err.Error(), "guest v1 (5 instances)") {
		t.Errorf("error = %v, want the plugin in use", err)
	}
	closed := make(chan error)
	go func() { closed <- e.Close(context.Background()) }()
	for n, i := range all {
		wantNumber(t, i, 'r', 0, uint32(n)) // they live on until they are closed
		select {
		case err := <-closed:
			t.Fatalf("closed under an instance: %v", err)
		default:
		}
		i.Close()
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A guest that never ends lets others run, on one processor too.
func TestYield(t *testing.T) {
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Deadline: time.Second}})
	i := start(t, p)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	done := make(chan error, 1)
	go func() {
		_, err := i.Handle(do('l', 0))
		done <- err
	}()
	for range 20 {
		time.Sleep(time.Millisecond)
		runtime.GC()
	}
	select {
	case <-done:
		t.Error("the guest has ended, and 20 ms of sleep only then")
	default:
	}
	wantTrap(t, <-done, sandbox.KindDeadline, "")
}

func TestReductionsGrowWithWork(t *testing.T) {
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{})
	i := start(t, p)
	spent := func(rounds uint32) (int64, time.Duration) {
		before := p.Stats()
		wantNumber(t, i, 'l', rounds, 0)
		after := p.Stats()
		return after.Reductions - before.Reductions, after.Time - before.Time
	}
	if n, _ := spent(1); n < 1 || n > 100 {
		t.Errorf("%d reductions for next to nothing", n)
	}
	if n, d := spent(1_000_000); n < 900_000 || n > 2_000_000 || d <= 0 {
		t.Errorf("%d reductions in %v for a million rounds", n, d)
	}
	if n, _ := spent(3_000_000); n < 2_900_000 || n > 6_000_000 {
		t.Errorf("%d reductions for three million rounds", n)
	}
}

// The deadline holds for a guest that lets the host do all the work.
func TestDeadlineInHostFunctions(t *testing.T) {
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Deadline: 50 * time.Millisecond}})
	i := start(t, p)
	before := p.Stats().Time
	_, err := i.Handle(do('h', 0))
	wantTrap(t, err, sandbox.KindDeadline, "")
	if used := p.Stats().Time - before; used > 150*time.Millisecond {
		t.Errorf("it used %v of the processor", used)
	}
}

// The slots that stay although nobody uses them keep nothing of what was written in them, and
// actors go on in them.
func TestTrimEmptiesSlotsThatStay(t *testing.T) {
	engine := sandboxtest.Engine(t)
	p, err := engine.Load(t.Context(), fixture(t, "slots"), sandbox.LoadOptions{Name: "guest", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var actors [3]*sandbox.Instance
	for n := range actors {
		actors[n] = start(t, p)
		wantNumber(t, actors[n], 'w', uint32(n), uint32(n))
	}
	for n := range actors { // they come back, and stay
		wantNumber(t, actors[n], 'r', 0, uint32(n))
	}
	for range 2 {
		if freed := engine.Trim(0); freed != 0 {
			t.Errorf("%d slots freed", freed)
		}
		if s := p.Stats(); s.Slots != 3 || s.Memory > 1000 {
			t.Errorf("%d slots, %d bytes", s.Slots, s.Memory)
		}
		for n := range actors {
			wantNumber(t, actors[n], 'r', 0, uint32(n))
		}
	}
}

// Actors that come once need no slots of their own, one after another.
func TestActorsThatPass(t *testing.T) {
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 8}})
	var all [20]*sandbox.Instance
	for n := range all {
		all[n] = start(t, p)
		wantNumber(t, all[n], 'w', uint32(n), uint32(n))
	}
	if n := p.Stats().Slots; n != 1 {
		t.Errorf("%d slots, want 1", n)
	}
	for n, i := range all {
		wantNumber(t, i, 'r', 0, uint32(n))
	}
}

// Actors that come back soon find their slots as they left them, whoever passes meanwhile. Others that
// are as busy take over when these have been idle.
func TestActorsThatStay(t *testing.T) {
	const slots, busy = 16, 7
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: slots}})
	for range 5 {
		var all [busy]*sandbox.Instance
		for n := range all {
			all[n] = start(t, p)
		}
		for resting, rounds := busy, 0; resting > 0; rounds++ {
			if rounds == 1000 {
				t.Fatalf("after %d rounds, %d of %d busy actors have no slot", rounds, resting, busy)
			}
			resting = 0
			for _, i := range all {
				wantNumber(t, i, 'r', 0, 0)
				passer := start(t, p)
				wantNumber(t, passer, 'r', 0, 0)
				passer.Close()
			}
			for _, i := range all {
				if rests, _ := i.AtRest(); rests {
					resting++
				}
			}
		}
	}
	if n := p.Stats().Slots; n != slots {
		t.Errorf("%d slots, want %d", n, slots)
	}
}
