package sandbox_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// The fixtures are built by wat2wasm of the package wabt.
//
//go:generate sh -c "for f in testdata/*.wat; do wat2wasm --debug-names --enable-threads $DOLLAR{f} -o $DOLLAR{f%.wat}.wasm || exit 1; done"

// fixture reads a module that was built from the .wat file beside it.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func load(t testing.TB, wasm []byte, o sandbox.LoadOptions) *sandbox.Module {
	t.Helper()
	if o.Name == "" {
		o.Name, o.Version = "guest", "v1"
	}
	if o.Limits.Deadline == 0 { // the machine may be busy
		o.Limits.Deadline = 20 * time.Second
	}
	p, err := sandboxtest.Engine(t).Load(t.Context(), wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func start(t testing.TB, p *sandbox.Module) *sandbox.Instance {
	t.Helper()
	i, err := p.Start("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func message(name, payload string) *abi.Event {
	return &abi.Event{Kind: abi.EventMessage, Flags: abi.WantsReply, Name: name, Payload: []byte(payload)}
}

// wantReply hands over a message and checks the one effect that it has.
func wantReply(t testing.TB, i *sandbox.Instance, name, payload, want string) {
	t.Helper()
	effects, err := i.Handle(message(name, payload))
	if err != nil {
		t.Fatal(err)
	}
	if len(effects) != 1 || effects[0].Kind != abi.EffectReply || effects[0].Name != "ok" || string(effects[0].Payload) != want {
		t.Fatalf("effects = %+v, want one reply ok %q", effects, want)
	}
}

func wantTrap(t testing.TB, err error, kind sandbox.TrapKind, cause string) *sandbox.Trap {
	t.Helper()
	var trap *sandbox.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("error = %v, want a trap", err)
	}
	if trap.Kind != kind || !strings.Contains(trap.Cause, cause) {
		t.Fatalf("trap = %v: %q, want %v: %q", trap.Kind, trap.Cause, kind, cause)
	}
	if strings.Contains(trap.Error(), "\n") {
		t.Errorf("error has several lines: %q", trap.Error())
	}
	return trap
}

// logged returns a logger and what it has written so far.
func logged() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	return log, func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// noLeaks fails the test if goroutines are left when it ends.
func noLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<16)
				t.Errorf("%d goroutines more than before\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
				return
			}
		}
	})
}

// The package's doc names every file.
func TestDocNamesFiles(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range files {
		base, _, _ := strings.Cut(strings.TrimSuffix(file, ".go"), "_") // clock_linux.go belongs to clock.go
		if !strings.HasSuffix(file, "_test.go") && base != "doc" && !strings.Contains(string(doc), base+".go") {
			t.Errorf("doc.go does not name %s", file)
		}
	}
}
