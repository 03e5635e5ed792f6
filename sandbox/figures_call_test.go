package sandbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/rewrite"
)

// resident compares Handle of an actor that stays in its slot with the same two calls
// into the guest as it was compiled, on wazero alone, and with the guest's checks, so that
// the host's part is told from theirs: in turns, so that a busy machine slows all of them.
func (t *figures) resident(b *testing.B, w want) {
	wasm := actorGuest(b, w.language)
	i := actor(b, load(b, wasm, sandbox.LoadOptions{}))
	rewritten, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	bare, counting, closing := newBare(b, wasm, false), newBare(b, rewritten.WASM, false), newBare(b, wasm, true)
	forms := []func(*abi.Event) error{bare.tell, func(e *abi.Event) error { return tell(i, e) }, counting.tell, closing.tell}
	const rounds = 61
	calls := t.scaled(2000)
	said := sayings()
	var spent [4][]time.Duration
	var ratios [4][]float64
	for r := range rounds {
		var round [4]time.Duration
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
	t.atMost(b, "resident handle / bare wazero", w, quantile(ratios[1], 0.5), "×", 1.2)
	t.atMost(b, "for reference: rewritten alone / bare wazero", w, quantile(ratios[2], 0.5), "×", 0)
	t.atMost(b, "for reference: CloseOnContextDone / bare wazero", w, quantile(ratios[3], 0.5), "×", 0)
}

// restart is from the message on which a guest dies until its successor has joined. One that
// exits is dead at once; one that panics says first why, in Go with a stack, which takes what it takes.
func (t *figures) restart(b *testing.B, w want) {
	p := load(b, actorGuest(b, w.language), sandbox.LoadOptions{})
	for _, death := range []struct {
		event, figure string
		reach         float64
	}{
		{"exit", "exit, restart and join", w.restart},
		{"crash", "panic and its last words, restart and join", w.crash},
	} {
		var times []time.Duration
		join, fatal := joining(0), message(death.event, "{}")
		i := actor(b, p)
		for range t.scaled(3000) {
			begin := time.Now()
			if _, err := i.Handle(fatal); err == nil {
				b.Fatal("the guest survived")
			}
			i.Close()
			var err error
			if i, err = p.Start("actor:1", nil); err != nil {
				b.Fatal(err)
			}
			if err := tell(i, join); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(begin))
		}
		i.Close()
		t.atMost(b, death.figure+", p50", w, micros(quantile(times, 0.5)), "µs", 0)
		t.atMost(b, death.figure+", p99", w, micros(quantile(times, 0.99)), "µs", death.reach)
	}
}

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
	hostYield(b, r)
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

// hostYield lets rewritten code spend another slice.
func hostYield(b *testing.B, r wazero.Runtime) {
	const slice = 10_000
	yield := api.GoModuleFunc(func(_ context.Context, mod api.Module, _ []uint64) {
		mod.ExportedGlobal("rtd:reductions").(api.MutableGlobal).Set(slice)
	})
	_, err := r.NewHostModuleBuilder("rtd").NewFunctionBuilder().WithGoModuleFunction(yield, nil, nil).Export("yield").
		Instantiate(context.Background())
	if err != nil {
		b.Fatal(err)
	}
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
