package sandbox_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
	"unicode"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// BenchmarkFigures measures what actors cost, in all languages, and prints one
// table of it beside what is to be reached, and beside the part of the machine that others had:
//
//	go test ./sandbox -run '^$' -bench Figures -benchtime 1x -timeout 30m
//
// That takes about 10 minutes and 2 GB on two cores, which should have nothing else
// to do. RTD_FIGURES_SCALE=0.01 is for a quick look: it makes populations and samples
// smaller. One language, or one figure in all of them, is
//
//	-bench Figures/rust      -bench Figures//wake
//
// The names are idle, wake, after10000, resident, restart, beside and scaling. How
// loops compare with bare wazero is measured by BenchmarkLoops of ./sandbox/rewrite.
//
// The guests are those of testdata/actor: they parse JSON, keep a name, a counter
// and ten messages, and reply.
func BenchmarkFigures(b *testing.B) {
	t := &figures{scale: 1}
	if s := os.Getenv("RTD_FIGURES_SCALE"); s != "" {
		var err error
		if t.scale, err = strconv.ParseFloat(s, 64); err != nil || t.scale <= 0 {
			b.Fatalf("RTD_FIGURES_SCALE is %q, want a number like 0.01", s)
		}
	}
	for _, w := range wanted {
		b.Run(w.language, func(b *testing.B) {
			var p *population // of idle and wake
			populated := func() *population {
				if p == nil {
					p = populate(b, w.language, t.scaled(w.actors))
				}
				return p
			}
			t.run(b, "idle", func(b *testing.B) { t.idle(b, w, populated()) })
			t.run(b, "wake", func(b *testing.B) { t.wake(b, w, populated()) })
			if p != nil {
				p.close()
			}
			t.run(b, "after10000", func(b *testing.B) { t.after10000(b, w) })
			t.run(b, "resident", func(b *testing.B) { t.resident(b, w) })
			t.run(b, "restart", func(b *testing.B) { t.restart(b, w) })
			t.run(b, "beside", func(b *testing.B) { t.beside(b, w) })
			t.run(b, "scaling", func(b *testing.B) { t.scaling(b, w) })
		})
	}
	t.print()
}

// wanted is what each language should reach; zero is no demand.
var wanted = []want{
	{language: "c", actors: 1_000_000, idle: 400, worn: 400, sample: 100, wake: 6, restart: 50},
	{language: "rust", actors: 1_000_000, idle: 800, worn: 800, sample: 100, wake: 6, restart: 50},
	{language: "as", actors: 200_000, idle: 3 << 10, worn: 5 << 10, sample: 40},
	{language: "go", actors: 100_000, idle: 3 << 10, worn: 10 << 10, sample: 20, wake: 25, amortised: 150, restart: 150},
}

type want struct {
	language string
	actors   int     // in the population
	sample   int     // actors that get 10,000 messages
	idle     float64 // B, after 5 messages
	worn     float64 // B, after 10,000
	// µs:
	wake, amortised, restart float64
}

// few is how many slots a population has: next to no actor finds itself resident.
const few = 4

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

// resident compares Handle of an actor that stays in its slot with the same two calls
// into the guest as it was compiled, on wazero alone: in turns, so that a
// busy machine slows all of them.
func (t *figures) resident(b *testing.B, w want) {
	wasm := actorGuest(b, w.language)
	i := actor(b, load(b, wasm, sandbox.LoadOptions{}))
	bare, closing := newBare(b, wasm, false), newBare(b, wasm, true)
	forms := []func(*abi.Event) error{bare.tell, func(e *abi.Event) error { return tell(i, e) }, closing.tell}
	const rounds = 61
	calls := t.scaled(2000)
	said := sayings()
	var spent [3][]time.Duration
	var ratios [3][]float64
	for r := range rounds {
		var round [3]time.Duration
		for k := range forms {
			k = (k + r) % len(forms)
			begin := time.Now()
			for n := range calls {
				if err := forms[k](said[n%len(said)]); err != nil {
					b.Fatal(err)
				}
			}
			round[k] = time.Since(begin) / time.Duration(calls)
		}
		for k := range forms {
			spent[k] = append(spent[k], round[k])
			ratios[k] = append(ratios[k], float64(round[k])/float64(round[0]))
		}
	}
	t.atMost(b, "resident handle", w, micros(quantile(spent[1], 0.5)), "µs", 0)
	t.atMost(b, "the same call on bare wazero", w, micros(quantile(spent[0], 0.5)), "µs", 0)
	t.atMost(b, "resident handle / bare wazero", w, quantile(ratios[1], 0.5), "×", 1.3)
	t.atMost(b, "for reference: CloseOnContextDone / bare wazero", w, quantile(ratios[2], 0.5), "×", 0)
}

// restart is from the message on which a guest crashes until its successor has joined.
func (t *figures) restart(b *testing.B, w want) {
	p := load(b, actorGuest(b, w.language), sandbox.LoadOptions{})
	var whole, after []time.Duration
	join, crash := joining(0), message("crash", "{}")
	i := actor(b, p)
	for range t.scaled(3000) {
		begin := time.Now()
		if _, err := i.Handle(crash); err == nil {
			b.Fatal("the guest survived")
		}
		dead := time.Now()
		i.Close()
		var err error
		if i, err = p.Start("actor:1", nil); err != nil {
			b.Fatal(err)
		}
		if err := tell(i, join); err != nil {
			b.Fatal(err)
		}
		whole, after = append(whole, time.Since(begin)), append(after, time.Since(dead))
	}
	i.Close()
	t.atMost(b, "crash, restart and join, p50", w, micros(quantile(whole, 0.5)), "µs", 0)
	t.atMost(b, "crash, restart and join, p99", w, micros(quantile(whole, 0.99)), "µs", w.restart)
	t.atMost(b, "of which restart and join, p99", w, micros(quantile(after, 0.99)), "µs", 0)
}

// beside is how a process fares in which four guests of another plugin never return, each
// under a supervisor that starts it again when its deadline has ended it.
func (t *figures) beside(b *testing.B, w want) {
	wasm := actorGuest(b, w.language)
	spinning := load(b, wasm, sandbox.LoadOptions{Name: "a", Limits: sandbox.Limits{Deadline: time.Second}})
	serving := load(b, wasm, sandbox.LoadOptions{Name: "b", Limits: sandbox.Limits{Deadline: time.Second}})
	period := max(time.Duration(float64(8*time.Second)*t.scale), 1500*time.Millisecond)

	quiet := lateness(period / 2)

	rt := supervisor.New(supervisor.Options{})
	for range 4 {
		s := rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(supervisor.Config{
			Intensity: supervisor.Intensity{Max: 1000, Within: time.Second},
			Children: []supervisor.ChildSpec{{ID: "endless", Start: func() supervisor.Spec {
				return supervisor.Spec{Actor: &guestProcess{plugin: spinning, first: message("spin", "{}")}}
			}}},
		})})
		defer func() { s.Stop(nil); <-s.Done() }()
	}
	var latencies []time.Duration
	var mu sync.Mutex
	var served []*supervisor.Process
	for range 1000 {
		p := rt.Spawn(supervisor.Spec{Actor: &guestProcess{plugin: serving, handled: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, d)
		}}})
		defer func() { p.Stop(nil); <-p.Done() }()
		served = append(served, p)
	}
	time.Sleep(200 * time.Millisecond) // all are in their loops
	var ended atomic.Bool
	var background sync.WaitGroup
	background.Go(func() { // a client
		said := sayings()
		for n := 0; !ended.Load(); n++ {
			if err := served[rand.IntN(len(served))].Send(told{said[n%len(said)], time.Now()}); err != nil {
				b.Error(err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	background.Go(func() { // work for the garbage collector
		for keep := make([][]byte, 64); !ended.Load(); time.Sleep(time.Millisecond) {
			for range 16 {
				keep[rand.IntN(len(keep))] = make([]byte, 64<<10)
			}
		}
	})
	before := pauses()
	loud := lateness(period)
	pause, collections := before.since()
	ended.Store(true)
	background.Wait()
	time.Sleep(50 * time.Millisecond) // the last messages

	mu.Lock()
	defer mu.Unlock()
	if len(latencies) < 100 || collections == 0 || spinning.Stats().Traps[sandbox.KindDeadline] == 0 {
		b.Fatalf("%d messages, %d pauses, traps %v: too few", len(latencies), collections, spinning.Stats().Traps)
	}
	const beside = "beside 4 endless guests: "
	t.atMost(b, beside+"send to handled, p99", w, millis(quantile(latencies, 0.99)), "ms", 20)
	t.atMost(b, beside+"lateness of a sleeper over an idle run's, p99", w,
		millis(quantile(loud, 0.99)-quantile(quiet, 0.99)), "ms", 2)
	t.atMost(b, beside+"GC pause, p99", w, pause*1e3, "ms", 5)
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

// ---- populations

// population is many actors of one plugin.
type population struct {
	plugin *sandbox.Plugin
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

// ---- the guest without rtd

// bare is a guest as its compiler made it, on wazero with a host that accepts
// everything.
type bare struct {
	ctx           context.Context
	memory        api.Memory
	inbox, handle api.Function
	stack         [1]uint64
}

func newBare(b *testing.B, wasm []byte, closeOnDone bool) *bare {
	ctx, cancel := context.WithCancel(context.Background()) // one that can be done, or wazero does not watch it
	b.Cleanup(cancel)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(closeOnDone))
	b.Cleanup(func() { r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	i32 := api.ValueTypeI32
	accept := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = 0 })
	_, err := r.NewHostModuleBuilder(abi.Module).NewFunctionBuilder().
		WithGoModuleFunction(accept, []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).Export(abi.ImportOp).
		Instantiate(ctx)
	if err != nil {
		b.Fatal(err)
	}
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().
		WithStartFunctions(abi.ExportInitialize).WithSysNanotime().WithSysWalltime())
	if err != nil {
		b.Fatal(err)
	}
	g := &bare{ctx: ctx, memory: mod.Memory(),
		inbox: mod.ExportedFunction(abi.ExportInbox), handle: mod.ExportedFunction(abi.ExportHandle)}
	for _, e := range []*abi.Event{{Kind: abi.EventStart, Name: "guest", Detail: "v1", Payload: []byte("{}")}, joining(0)} {
		if err := g.tell(e); err != nil {
			b.Fatal(err)
		}
	}
	return g
}

func (g *bare) tell(e *abi.Event) error {
	size := uint64(e.Size())
	g.stack[0] = size
	if err := g.inbox.CallWithStack(g.ctx, g.stack[:]); err != nil {
		return err
	}
	room, ok := g.memory.Read(uint32(g.stack[0]), uint32(size))
	if !ok {
		return errors.New("inbox returned nonsense")
	}
	abi.AppendEvent(room[:0], e)
	g.stack[0] = size
	if err := g.handle.CallWithStack(g.ctx, g.stack[:]); err != nil {
		return err
	}
	if g.stack[0] != 0 {
		return errors.New("handle refused the event")
	}
	return nil
}

// ---- guests as processes

// guestProcess is an actor under a supervisor.
type guestProcess struct {
	plugin  *sandbox.Plugin
	first   *abi.Event // that it sends itself, if any
	handled func(time.Duration)
	guest   *sandbox.Instance
}

// told is an event and when it was sent.
type told struct {
	event *abi.Event
	at    time.Time
}

func (g *guestProcess) Init(p *supervisor.Process) (err error) {
	if g.guest, err = g.plugin.Start("actor:1", nil); err != nil {
		return err
	}
	if g.first != nil {
		if err := p.Post(told{g.first, time.Now()}); err != nil {
			return err
		}
	}
	return tell(g.guest, joining(0))
}

func (g *guestProcess) Handle(_ *supervisor.Process, msg any) error {
	m := msg.(told)
	if err := tell(g.guest, m.event); err != nil {
		return err
	}
	g.handled(time.Since(m.at))
	return nil
}

func (g *guestProcess) Terminate(*supervisor.Process, error) {
	if g.guest != nil {
		g.guest.Close()
	}
}

// lateness is by how much each of many sleeps of 1 ms was too long.
func lateness(period time.Duration) (late []time.Duration) {
	for begin := time.Now(); time.Since(begin) < period; {
		at := time.Now()
		time.Sleep(time.Millisecond)
		late = append(late, time.Since(at)-time.Millisecond)
	}
	return late
}

// histogram is the runtime's of the time that its collector stops all goroutines.
type histogram metrics.Float64Histogram

func pauses() *histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return (*histogram)(sample[0].Value.Float64Histogram())
}

// since is the 99th percentile of the pauses after h was taken, in seconds and
// rounded up, and how many there were.
func (h *histogram) since() (p99 float64, count uint64) {
	now := pauses()
	for k := range now.Counts {
		now.Counts[k] -= h.Counts[k]
		count += now.Counts[k]
	}
	var seen uint64
	for k, n := range now.Counts {
		if seen += n; n > 0 && float64(seen) >= 0.99*float64(count) {
			return now.Buckets[k+1], count
		}
	}
	return 0, 0
}

// ---- the table

// figures collects what was measured.
type figures struct {
	scale float64 // of populations and samples
	rows  []row
}

type row struct {
	figure, language string
	value            float64
	unit             string
	reach            float64 // 0: no demand
	atLeast          bool    // else reach is the most
	others           float64 // part of the machine that other processes had meanwhile
}

// run measures something and notes what else the machine had to do.
func (t *figures) run(b *testing.B, name string, measure func(*testing.B)) {
	b.Run(name, func(b *testing.B) {
		first := len(t.rows)
		all, others := processor()
		measure(b)
		allThen, othersThen := processor()
		for n := range t.rows[first:] {
			t.rows[first+n].others = (othersThen - others) / max(allThen-all, 1)
		}
	})
}

// processor is the time that the machine has spent on everything, idling too, and on other
// processes and machines; both are 0 where there is no /proc.
func processor() (all, others float64) {
	machine, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(machine), "\n")
	var idle float64
	for n, word := range strings.Fields(line) {
		v, _ := strconv.ParseFloat(word, 64)
		if n > 8 { // guests' time is counted in the first already
			break
		}
		all += v
		if n == 4 || n == 5 { // idle, or waiting for a disk
			idle += v
		}
	}
	self, _ := os.ReadFile("/proc/self/stat")
	_, rest, _ := strings.Cut(string(self), ") ")
	var own float64
	for n, word := range strings.Fields(rest) {
		if n == 11 || n == 12 { // in user and system mode
			v, _ := strconv.ParseFloat(word, 64)
			own += v
		}
	}
	return all, all - idle - own
}

func (t *figures) scaled(n int) int { return max(int(float64(n)*t.scale), 10) }

func (t *figures) atMost(b *testing.B, figure string, w want, value float64, unit string, reach float64) {
	t.add(b, row{figure, w.language, value, unit, reach, false, 0})
}

func (t *figures) add(b *testing.B, r row) {
	t.rows = append(t.rows, r)
	words := strings.FieldsFunc(r.figure, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	b.ReportMetric(r.value, strings.Join(words, "-")+"/"+r.unit)
	b.ReportMetric(0, "ns/op") // of no meaning here
}

// print writes the table to standard output, figure by figure.
func (t *figures) print() {
	order := map[string]int{}
	for n, r := range t.rows {
		if _, ok := order[r.figure]; !ok {
			order[r.figure] = n
		}
	}
	slices.SortStableFunc(t.rows, func(x, y row) int { return cmp.Compare(order[x.figure], order[y.figure]) })
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(out, "\nfigure\tlanguage\tmeasured\treach\t\tother processes\n")
	for _, r := range t.rows {
		reach, verdict := "", ""
		if r.reach > 0 {
			sign, reached := "≤", r.value <= r.reach
			if r.atLeast {
				sign, reached = "≥", r.value >= r.reach
			}
			reach = fmt.Sprintf("%s %.4g %s", sign, r.reach, r.unit)
			verdict = map[bool]string{true: "reached", false: "MISSED"}[reached]
		}
		fmt.Fprintf(out, "%s\t%s\t%.4g %s\t%s\t%s\t%.0f %%\n", r.figure, r.language, r.value, r.unit, reach, verdict, 100*r.others)
	}
	out.Flush()
}

// quantile sorts v.
func quantile[T cmp.Ordered](v []T, q float64) T {
	slices.Sort(v)
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
func millis(d time.Duration) float64 { return float64(d) / 1e6 }
