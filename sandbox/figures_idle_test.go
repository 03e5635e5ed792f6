package sandbox_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// few is how many slots a population has: next to no actor finds itself resident.
const few = 4

// join is what a new actor costs until it has joined, in a slot from which another one has to be sent to rest first;
// and the pages that its first event writes, a count that no other program disturbs.
func (t *figures) join(b *testing.B, w want) {
	p := newPopulation(b, w.language, few)
	defer p.close()
	if err := p.grow(1); err != nil {
		b.Fatal(err)
	}
	t.atMost(b, "pages written by a first event", w, float64(p.actors[0].Pages()), "pages", 0)
	p.close()
	times := make([]time.Duration, t.scaled(min(w.actors/5, 20_000)))
	for n := range times {
		begin := time.Now()
		i, err := p.plugin.Start("actor:1", nil)
		if err != nil {
			b.Fatal(err)
		}
		p.actors = append(p.actors, i)
		if err := tell(i, joining(n)); err != nil {
			b.Fatal(err)
		}
		times[n] = time.Since(begin)
	}
	t.atMost(b, "start + join + hibernate, p50", w, micros(quantile(times, 0.5)), "µs", 0)
	t.atMost(b, "start + join + hibernate, p99", w, micros(quantile(times, 0.99)), "µs", 0)
}

// idle is the growth of the process by an actor that joined and got 5 messages.
func (t *figures) idle(b *testing.B, w want, p *population) {
	live := fmt.Sprintf("%s, %d live", w.language, len(p.actors))
	t.add(b, row{"idle actor after 5 messages", live, p.bytes, "B", w.idle, false, 0})
	var state float64
	for _, i := range p.actors {
		_, size := i.AtRest()
		state += float64(size)
	}
	t.add(b, row{"of which its state", live, state / float64(len(p.actors)), "B", 0, false, 0})
}

// wake is a whole turn: some actor, of which only the delta is there, gets a message
// in a slot from which another one has to be sent to rest first.
func (t *figures) wake(b *testing.B, w want, p *population) {
	turns := min(len(p.actors), 200_000)
	times := make([]time.Duration, 0, turns)
	said := sayings()
	shuffle(p.actors)
	for n, i := range p.actors[:turns] {
		begin := time.Now()
		if err := tell(i, said[n%len(said)]); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	t.atMost(b, "wake + handle + hibernate, p50", w, micros(quantile(times, 0.5)), "µs", w.wake)
	t.atMost(b, "wake + handle + hibernate, p99", w, micros(quantile(times, 0.99)), "µs", 0)
}

// after10000 is what becomes of actors that live long: their size is the mean of many
// moments in the last tenth of 10,000 messages, since it is smallest after a compaction.
func (t *figures) after10000(b *testing.B, w want) {
	p := newPopulation(b, w.language, few)
	defer p.close()
	if err := p.grow(t.scaled(w.sample)); err != nil {
		b.Fatal(err)
	}
	const moments = 50
	messages := max(t.scaled(10_000), 500)
	said := sayings()
	var sizes, largest, seen float64
	begin := time.Now()
	for n := range messages {
		shuffle(p.actors)
		for _, i := range p.actors {
			if err := tell(i, said[n%len(said)]); err != nil {
				b.Fatal(err)
			}
		}
		if n < messages*9/10 || n%(messages/10/min(moments, messages/10)) != 0 {
			continue
		}
		for _, i := range p.actors {
			if resting, size := i.AtRest(); resting {
				sizes += float64(size)
				largest = max(largest, float64(size))
				seen++
			}
		}
	}
	each := time.Since(begin) / time.Duration(messages*len(p.actors))
	// A cell of the store is a tenth larger than its content, on the average.
	record := float64(unsafe.Sizeof(sandbox.Instance{}) + unsafe.Sizeof(p.actors[0]))
	t.atMost(b, "idle actor after 10,000 messages", w, sizes/seen*1.1+record, "B", w.worn)
	t.atMost(b, "the largest of them", w, largest, "B", 0)
	t.atMost(b, "wake + handle + hibernate, mean of 10,000", w, micros(each), "µs", w.amortised)
}

// scaling is how many more turns two workers do than one, each with a population of its
// own, of one plugin.
func (t *figures) scaling(b *testing.B, w want) {
	p := newPopulation(b, w.language, few)
	defer p.close()
	size := t.scaled(min(w.actors/5, 20_000))
	if err := p.grow(2 * size); err != nil {
		b.Fatal(err)
	}
	halves := [][]*sandbox.Instance{p.actors[:size], p.actors[size:]}
	said := sayings()
	turns := func(actors []*sandbox.Instance) {
		for n, i := range actors {
			if err := tell(i, said[n%len(said)]); err != nil {
				b.Error(err)
			}
		}
	}
	var ratios []float64
	for range 11 {
		shuffle(halves[0])
		shuffle(halves[1])
		begin := time.Now()
		turns(halves[0])
		turns(halves[1])
		one := time.Since(begin)
		begin = time.Now()
		var both sync.WaitGroup
		for _, half := range halves {
			both.Go(func() { turns(half) })
		}
		both.Wait()
		ratios = append(ratios, float64(one)/float64(time.Since(begin)))
	}
	t.add(b, row{"wake cycles of two workers / one", w.language, quantile(ratios, 0.5), "×", 1.7, true, 0})
}

// population is many actors of one plugin.
type population struct {
	plugin *sandbox.Module
	actors []*sandbox.Instance
	bytes  float64 // by which the process has grown for each of them
}

func newPopulation(b *testing.B, language string, slots int) *population {
	return &population{plugin: load(b, actorGuest(b, language), sandbox.LoadOptions{
		Name: "actor", Version: "v1", Limits: sandbox.Limits{Slots: slots},
	})}
}

// populate makes actors that have joined and got 5 messages each, always in a new
// order over all of them.
func populate(b *testing.B, language string, n int) *population {
	p := newPopulation(b, language, few)
	const messages = 5
	said := sayings()
	live := func(n int) {
		err := p.grow(n)
		for m := range messages {
			shuffle(p.actors)
			err = errors.Join(err, p.each(func(_ int, i *sandbox.Instance) error { return tell(i, said[m]) }))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	live(4 * few) // what the first actors need once is no cost of the million
	p.close()
	before := resident(b)
	live(n)
	p.bytes = float64(resident(b)-before) / float64(n)
	return p
}

// grow starts n actors and has them join.
func (p *population) grow(n int) error {
	p.actors = make([]*sandbox.Instance, n)
	for k := range p.actors {
		var err error
		if p.actors[k], err = p.plugin.Start("actor:1", nil); err != nil {
			return err
		}
	}
	return p.each(func(k int, i *sandbox.Instance) error { return tell(i, joining(k)) })
}

// each calls f for all actors, on all processors.
func (p *population) each(f func(k int, i *sandbox.Instance) error) error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for k := w; k < len(p.actors) && errs[w] == nil; k += workers {
				errs[w] = f(k, p.actors[k])
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *population) close() {
	for _, i := range p.actors {
		i.Close()
	}
	p.actors = nil
}

// resident is the memory of the process, of all kinds, without garbage.
func resident(b *testing.B) int64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes << 10
}

func tell(i *sandbox.Instance, e *abi.Event) error {
	_, err := i.Handle(e)
	i.Release()
	return err
}

func joining(n int) *abi.Event {
	return &abi.Event{Kind: abi.EventJoin, Name: "actor:1", Payload: fmt.Appendf(nil, `{"name":"user %d"}`, n)}
}

// sayings are messages that were made before the clock runs.
var sayings = sync.OnceValue(func() []*abi.Event {
	all := make([]*abi.Event, 1000)
	for n := range all {
		all[n] = message("say", fmt.Sprintf(`{"body":"hello, number %d"}`, n))
	}
	return all
})

func shuffle(actors []*sandbox.Instance) {
	rand.Shuffle(len(actors), func(a, b int) { actors[a], actors[b] = actors[b], actors[a] })
}
