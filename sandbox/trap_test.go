package sandbox_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// The ways of testdata/crash.wat.
const (
	live        = "0"
	unreachable = "1"
	bounds      = "2"
	divide      = "3"
	null        = "4"
	loop        = "5"
	recurse     = "6"
	grow        = "7"
	table       = "8"
	nonzero     = "9"
	leave       = ":"
	abort       = ";"

	refuse      = "01" // live, and then inbox returns 0
	far         = "02"
	straddle    = "03"
	inboxTrap   = "04"
	inboxLoop   = "05"
	inboxNormal = "00"
)

var deaths = []struct {
	name, payload string
	kind          sandbox.TrapKind
	cause         string
	innermost     string // function; "" where there is no stack
}{
	{"unreachable", unreachable, sandbox.KindTrap, "unreachable", "unreachable"},
	{"out of bounds", bounds, sandbox.KindTrap, "out of bounds memory access", "bounds"},
	{"division by zero", divide, sandbox.KindTrap, "integer divide by zero", "divide"},
	{"null function", null, sandbox.KindTrap, "invalid table access", "null"},
	{"endless loop", loop, sandbox.KindDeadline, "took longer than 200ms", "loop"},
	{"endless recursion", recurse, sandbox.KindStack, "recursion", "recurse"},
	{"memory bomb", grow, sandbox.KindMemory, "wanted 16.1 MiB, the limit is 16 MiB; then unreachable", "grow"},
	{"handle returns 1", nonzero, sandbox.KindProtocol, "handle returned 1, want 0", ""},
	{"proc_exit", leave, sandbox.KindExit, "exit status 3", "wasi_snapshot_preview1.proc_exit"},
	{"abort", abort, sandbox.KindAbort, "on purpose", "rtd_v1.op"},
}

// crashOptions have a short deadline only for those who are to miss it.
func crashOptions(kind sandbox.TrapKind) sandbox.LoadOptions {
	limits := sandbox.Limits{Memory: 16 << 20, Deadline: 20 * time.Second}
	if kind == sandbox.KindDeadline {
		limits.Deadline = 200 * time.Millisecond
	}
	return sandbox.LoadOptions{Name: "crash", Version: "v7", Limits: limits}
}

func TestDeaths(t *testing.T) {
	noLeaks(t)
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			p := load(t, fixture(t, "crash"), crashOptions(d.kind))
			bystander, i := start(t, p), start(t, p)
			before := p.Stats()
			wantReply(t, i, "live", live, "")
			_, err := i.Handle(message("die", d.payload))
			trap := wantTrap(t, err, d.kind, d.cause)
			if trap.Plugin != "crash" || trap.Version != "v7" || trap.Event != abi.EventMessage || trap.Name != "die" {
				t.Errorf("trap = %+v", trap)
			}
			if d.innermost == "" && len(trap.Stack) > 0 ||
				d.innermost != "" && (len(trap.Stack) < 3 || trap.Stack[0] != d.innermost || trap.Stack[len(trap.Stack)-1] != "handle" && d.kind != sandbox.KindStack) {
				t.Errorf("stack = %q, want it to begin with %s", trap.Stack, d.innermost)
			}
			if _, again := i.Handle(message("live", live)); again != err {
				t.Errorf("dead instance says %v, want the trap", again)
			}
			wantReply(t, bystander, "live", live, "")
			i.Close()
			if after := p.Stats(); after.Traps[d.kind] != before.Traps[d.kind]+1 || after.Live != before.Live-1 {
				t.Errorf("stats = %+v, before %+v", after, before)
			}
		})
	}
}

func TestDeathsInStartEvent(t *testing.T) {
	noLeaks(t)
	e := sandboxtest.Engine(t)
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			o := crashOptions(d.kind)
			o.Config = []byte(d.payload)
			_, err := e.Load(t.Context(), fixture(t, "crash"), o)
			if trap := wantTrap(t, err, d.kind, d.cause); trap.Event != abi.EventStart {
				t.Errorf("event = %v, want start", trap.Event)
			}
		})
	}
}

func TestDeathsInInbox(t *testing.T) {
	noLeaks(t)
	for _, d := range []struct {
		name, payload string
		kind          sandbox.TrapKind
		cause         string
	}{
		{"far away", far, sandbox.KindProtocol, "returned 0xfffffff0, memory ends at 0x20000"},
		{"across the end", straddle, sandbox.KindProtocol, "returned 0x1fffc, memory ends at 0x20000"},
		{"trap", inboxTrap, sandbox.KindTrap, "unreachable"},
		{"loop", inboxLoop, sandbox.KindDeadline, "took longer"},
	} {
		t.Run(d.name, func(t *testing.T) {
			p := load(t, fixture(t, "crash"), crashOptions(d.kind))
			bystander, i := start(t, p), start(t, p)
			wantReply(t, i, "mode", d.payload, "")
			_, err := i.Handle(message("live", live))
			wantTrap(t, err, d.kind, d.cause)
			wantReply(t, bystander, "live", live, "")
		})
	}
}

func TestDeathsBeforeTheFirstEvent(t *testing.T) {
	noLeaks(t)
	e := sandboxtest.Engine(t)
	for _, d := range []struct {
		file  string
		kind  sandbox.TrapKind
		stack []string
	}{
		{"start_loop", sandbox.KindDeadline, []string{"spin"}},
		{"start_trap", sandbox.KindTrap, []string{"boom"}},
		{"init_loop", sandbox.KindDeadline, []string{"spin"}},
		{"init_trap", sandbox.KindTrap, []string{"setup"}},
	} {
		t.Run(d.file, func(t *testing.T) {
			_, err := e.Load(t.Context(), fixture(t, d.file), sandbox.LoadOptions{
				Name: "guest", Version: "v1", Limits: sandbox.Limits{Deadline: 200 * time.Millisecond},
			})
			trap := wantTrap(t, err, d.kind, "")
			if !slices.Equal(trap.Stack, d.stack) {
				t.Errorf("stack = %q, want %q", trap.Stack, d.stack)
			}
		})
	}
}

func TestRefusedEventIsNoTrap(t *testing.T) {
	i := start(t, load(t, fixture(t, "crash"), crashOptions(sandbox.KindTrap)))
	wantReply(t, i, "mode", refuse, "")
	if _, err := i.Handle(message("live", live)); !errors.Is(err, sandbox.ErrTooLarge) {
		t.Errorf("error = %v, want ErrTooLarge", err)
	}

	echo := start(t, load(t, fixture(t, "echo"), sandbox.LoadOptions{Limits: sandbox.Limits{Memory: 1 << 20}}))
	for _, size := range []int{65000, 1 << 20, 4 << 20} {
		if _, err := echo.Handle(message("big", string(make([]byte, size)))); !errors.Is(err, sandbox.ErrTooLarge) {
			t.Errorf("%d bytes: error = %v, want ErrTooLarge", size, err)
		}
	}
	wantReply(t, echo, "small", "hi", "hi")
}

// wazero lets table.grow take 32 GB of the host's memory.
func TestTablesAreBounded(t *testing.T) {
	i := start(t, load(t, fixture(t, "crash"), crashOptions(sandbox.KindTrap)))
	wantReply(t, i, "grow", table, "\x28\xfe\x00\x00") // 64 + 65 × 1000, below 65,536
}

func TestMemoryIsGrownWithoutWaste(t *testing.T) {
	p := load(t, fixture(t, "crash"), sandbox.LoadOptions{Limits: sandbox.Limits{Memory: 64 << 20}})
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, err := p.Start("room:1", nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err = i.Handle(message("die", grow)); err == nil {
				b.Fatal("no trap")
			}
			i.Close()
		}
	})
	// A thousand growths by a page. Copying each time would allocate 32 GiB.
	if got := result.AllocedBytesPerOp(); got > 6*64<<20 {
		t.Errorf("growing to 64 MiB page by page allocates %d MiB", got>>20)
	}
	t.Log(result, result.MemString())
}
