package rollout_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
	"rtd/supervisor"
)

//go:generate testdata/puppet/build

// puppetWASM is a guest that does as it is told; see testdata/puppet/puppet.c.
//
//go:embed testdata/puppet/puppet.wasm
var puppetWASM []byte

// What a puppet can do that no host does.
const (
	trap  abi.Kind = 0x400 + iota // crash
	spin                          // never return
	keep                          // do not answer this call
	late                          // answer the call that was kept
	count                         // how often this memory was asked
	laps                          // call a process again and again
	echo                          // answer with this alone
)

const patience = time.Minute

// world is a set of plugins that are puppets, and a process of the host's that hears
// of the events that they get.
type world struct {
	t        testing.TB
	set      *rollout.Set
	endpoint *channels.Endpoint
	runtime  *supervisor.Runtime
	log      *logText
	events   chan abi.Event
	begun    atomic.Int64 // processes of which the event init came
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, runtime: supervisor.New(supervisor.Options{}), log: &logText{}, events: make(chan abi.Event, 10_000)}
	engine := sandboxtest.Engine(t)
	w.endpoint = channels.NewEndpoint(channels.Limits{})
	w.set = rollout.NewSet(w.endpoint, engine, w.runtime, slog.New(slog.NewTextHandler(w.log, nil)))
	must(t, w.set.Services().Provide(ask.Service{Name: "sink", Start: func() supervisor.Actor { return listener{w} }, Mailbox: 1 << 20}))
	t.Cleanup(func() {
		w.set.Close()
		w.runtime.Wait()
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// deploy runs a puppet called name with the tree that its start declares.
func (w *world) deploy(name string, change func(*release.Settings), start ...abi.Effect) {
	w.t.Helper()
	must(w.t, w.try(name, change, start...))
}

func (w *world) try(name string, change func(*release.Settings), start ...abi.Effect) error {
	return w.set.Deploy(context.Background(), name, puppetWASM, puppetSettings(name, change, start...))
}

func puppetSettings(name string, change func(*release.Settings), start ...abi.Effect) release.Settings {
	s := release.Settings{
		Topics:     []string{name + ":*"},
		Strategy:   supervisor.OneForOne,
		Intensity:  supervisor.Intensity{Max: 100, Within: time.Second},
		Mailbox:    100,
		Services:   []string{"rtd/sink"},
		Processes:  1000,
		References: 1000,
		Pending:    1 << 20,
		Config:     orders(start...),
	}
	if change != nil {
		change(&s)
	}
	return s
}

// result is what came of an order.
type result struct {
	code   abi.Code // or a length
	answer string
}

// tell lets the puppet behind "plugin/name" or "#pid" carry out orders.
func (w *world) tell(whom string, what ...abi.Effect) []result {
	w.t.Helper()
	answer, err := w.call(whom, what...)
	if err != nil {
		w.t.Fatalf("tell %s: %v", whom, err)
	}
	return results(answer)
}

// ask is tell with one order.
func (w *world) ask(whom string, what abi.Effect) result {
	w.t.Helper()
	return w.tell(whom, what)[0]
}

// call gives orders and returns what the puppet answers.
func (w *world) call(whom string, what ...abi.Effect) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p := w.process(whom)
	if p == nil {
		return nil, fmt.Errorf("there is no process %s", whom)
	}
	return ask.Call(ctx, p, orders(what...))
}

// crash lets a puppet with a name crash, and waits for its next life.
func (w *world) crash(whom string) {
	w.t.Helper()
	before := w.process(whom)
	if _, err := w.call(whom, op(trap, "")); err == nil {
		w.t.Errorf("the call in which %s crashed was answered", whom)
	}
	eventually(w.t, whom+" is back", func() bool { p := w.process(whom); return p != nil && p != before })
}

func (w *world) process(whom string) *supervisor.Process {
	if strings.HasPrefix(whom, "#") {
		pid, err := w.runtime.ParsePID(whom)
		must(w.t, err)
		return w.runtime.Find(pid)
	}
	pl, name, _ := strings.Cut(whom, "/")
	return w.set.Whereis(pl, name)
}

// next waits for an event of this kind that a puppet got, and passes over others.
func (w *world) next(kind abi.Kind) abi.Event {
	w.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-w.events:
			if e.Kind == kind {
				return e
			}
		case <-late:
			w.t.Fatalf("no event %v came", kind)
		}
	}
}

// orders is what puppets understand.
func orders(what ...abi.Effect) []byte {
	var list []byte
	for i := range what {
		list = abi.AppendField(list, abi.AppendEffect(nil, &what[i]))
	}
	return list
}

func results(answer []byte) (list []result) {
	for len(answer) >= 8 {
		code, n := int32(binary.LittleEndian.Uint32(answer)), binary.LittleEndian.Uint32(answer[4:])
		list = append(list, result{abi.Code(code), string(answer[8 : 8+n])})
		answer = answer[8+n:]
	}
	return list
}

func worker(id string) abi.Effect { return child(id, "{}") }

func child(id, spec string) abi.Effect {
	return abi.Effect{Kind: abi.EffectChild, Name: id, Detail: spec}
}

// calling is an order to call another puppet with orders.
func calling(whom string, timeout string, what ...abi.Effect) abi.Effect {
	return abi.Effect{Kind: abi.OpCall, Name: whom, Payload: orders(what...), Detail: timeout}
}

func op(kind abi.Kind, name string) abi.Effect { return abi.Effect{Kind: kind, Name: name} }

// listener passes on what puppets cast to it.
type listener struct{ *world }

func (l listener) Init(*supervisor.Process) error       { return nil }
func (l listener) Terminate(*supervisor.Process, error) {}
func (l listener) Handle(_ *supervisor.Process, m any) error {
	if m, ok := m.(*ask.Message); ok {
		e, err := abi.ParseEvent(m.Payload)
		if err != nil {
			return err
		}
		if e.Kind == abi.EventInit {
			l.begun.Add(1)
		}
		select {
		case l.events <- e:
		default: // nobody looks
		}
	}
	return nil
}

type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
