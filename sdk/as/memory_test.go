// Package as_test holds what the suite of rtd/sdk/suite does not say of guests in
// AssemblyScript: how they use their memory.
package as_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

func load(t testing.TB, file string, limits sandbox.Limits) *sandbox.Module {
	t.Helper()
	wasm, err := os.ReadFile("../suite/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if limits.Deadline == 0 { // the machine may be busy
		limits.Deadline = 20 * time.Second
	}
	p, err := sandboxtest.Engine(t).Load(t.Context(), wasm, sandbox.LoadOptions{Name: "guest", Version: "v1", Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func room(t testing.TB, p *sandbox.Module) *sandbox.Instance {
	t.Helper()
	i, err := p.Start("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	ask(t, i, abi.EventJoin, "room:1", `{"user":"Ada"}`)
	return i
}

// ask returns the effects as text.
func ask(t testing.TB, i *sandbox.Instance, kind abi.Kind, name, payload string) string {
	t.Helper()
	effects, err := i.Handle(&abi.Event{Kind: kind, Flags: abi.WantsReply, Name: name, Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range effects {
		fmt.Fprintf(&all, "%v %s %s\n", e.Kind, e.Name, e.Payload)
	}
	i.Release()
	return all.String()
}

// What an event leaves behind is collected before the next one.
func TestNoLeak(t *testing.T) {
	const events = 100_000
	i := room(t, load(t, "room-as.wasm", sandbox.Limits{Memory: 4 * 64 << 10}))
	large := fmt.Sprintf(`{"body":%q}`, strings.Repeat("é\n", 10_000))
	for n := range events {
		switch n % 1000 {
		case 0:
			ask(t, i, abi.EventMessage, "new_message", large)
		default:
			ask(t, i, abi.EventMessage, "whoami", "{}")
		}
	}
	if got, want := ask(t, i, abi.EventMessage, "new_message", "{}"), `reply ok {"count":101}`; !strings.Contains(got, want) {
		t.Errorf("after %d events: %s, want %s", events, got, want)
	}
	if _, memory := i.Usage(); memory > 3*64<<10 {
		t.Errorf("after %d events it has %d bytes of memory", events, memory)
	}
}

// Of an idle process little is kept: its own state, not what passed through it.
func TestIdleState(t *testing.T) {
	i := room(t, load(t, "room-as.wasm", sandbox.Limits{}))
	ask(t, i, abi.EventMessage, "large", strings.Repeat("[", 1<<20))
	for range 100 {
		ask(t, i, abi.EventMessage, "new_message", `{"body":"hello, \"world\""}`)
		ask(t, i, abi.EventMessage, "whoami", "{}")
	}
	i.Hibernate()
	_, idle := i.Usage()
	t.Logf("%d bytes", idle)
	if idle == 0 || idle > 1024 {
		t.Errorf("an idle room takes %d bytes, want up to 1024", idle)
	}
	if got := ask(t, i, abi.EventMessage, "new_message", "{}"); !strings.Contains(got, `{"count":101}`) {
		t.Errorf("after hibernation: %s", got)
	}
}

func BenchmarkMessage(b *testing.B) {
	i := room(b, load(b, "room-as.wasm", sandbox.Limits{}))
	e := &abi.Event{Kind: abi.EventMessage, Flags: abi.WantsReply, Name: "new_message", Payload: []byte(`{"body":"hello"}`)}
	for b.Loop() {
		if _, err := i.Handle(e); err != nil {
			b.Fatal(err)
		}
		i.Release()
	}
}
