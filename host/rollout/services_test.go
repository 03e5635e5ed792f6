package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"rtd/host/app"
	"rtd/host/ask"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// clerk is a service that answers who asks and what; it crashes if it is told to.
type clerk struct{ lives, ends *atomic.Int64 }

func (c clerk) Init(*supervisor.Process) error { c.lives.Add(1); return nil }

func (c clerk) Terminate(*supervisor.Process, error) { c.ends.Add(1) }

func (c clerk) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case *ask.Request:
		if string(msg.Question) == "crash" {
			return errors.New("told to")
		}
		from := msg.From()
		msg.Answer(fmt.Appendf(nil, "%s from %s %v", msg.Question, from.Plugin, from.Process.PID()), false)
	case *ask.Message:
		from := msg.From()
		return from.Process.Send(&ask.Message{Kind: abi.EventInfo, Payload: append([]byte("noted: "), msg.Payload...)})
	}
	return nil
}

func TestServices(t *testing.T) {
	w := newWorld(t)
	var lives, ends atomic.Int64
	must(t, w.set.Services().Provide(ask.Service{Name: "desk/main", Start: func() supervisor.Actor { return clerk{&lives, &ends} }}))
	granted := func(s *release.Settings) { s.Services = append(s.Services, "rtd/desk/main", "rtd/nobody") }
	w.deploy("p", granted, worker("a"))
	w.deploy("q", nil, worker("a"))
	asking := func(text string) abi.Effect {
		return abi.Effect{Kind: abi.OpCall, Name: "rtd/desk/main", Payload: []byte(text)}
	}

	a := w.process("p/a").PID().String()
	if r := w.ask("p/a", asking("what")); r.answer != "what from p "+a {
		t.Errorf("call = %v", r)
	}
	if r := w.ask("p/a", abi.Effect{Kind: abi.OpCast, Name: "rtd/desk/main", Payload: []byte("this")}); r.code != 0 {
		t.Errorf("cast = %v", r)
	}
	if e := w.next(abi.EventInfo); string(e.Payload) != "noted: this" {
		t.Errorf("info = %+v", e)
	}
	pid := w.ask("p/a", op(abi.OpWhereis, "rtd/desk/main")).answer
	for name, test := range map[string]struct {
		who   string
		order abi.Effect
		code  abi.Code
	}{
		"by its pid":                 {"p/a", abi.Effect{Kind: abi.OpCall, Name: pid, Payload: []byte("x")}, 0},
		"monitor":                    {"p/a", op(abi.OpMonitor, "rtd/desk/main"), 0},
		"link":                       {"p/a", op(abi.OpLink, "rtd/desk/main"), abi.CodeDenied},
		"kill":                       {"p/a", abi.Effect{Kind: abi.OpExit, Name: pid, Payload: []byte("kill")}, abi.CodeDenied},
		"stop":                       {"p/a", op(abi.OpStopChild, pid), abi.CodeNoProcess},
		"give it a name":             {"p/a", abi.Effect{Kind: abi.OpRegister, Name: "mine", Payload: []byte(pid)}, abi.CodeDenied},
		"one that there is not":      {"p/a", op(abi.OpWhereis, "rtd/nobody"), abi.CodeNoProcess},
		"one that is not granted":    {"p/a", op(abi.OpWhereis, "rtd/other"), abi.CodeDenied},
		"not granted":                {"q/a", asking("x"), abi.CodeDenied},
		"not granted, by pid":        {"q/a", abi.Effect{Kind: abi.OpCast, Name: pid}, abi.CodeDenied},
		"not granted, to look":       {"q/a", op(abi.OpWhereis, "rtd/desk/main"), abi.CodeDenied},
		"not granted, to look at it": {"q/a", op(abi.OpInfo, pid), abi.CodeDenied},
	} {
		if r := w.ask(test.who, test.order); min(r.code, 0) != test.code {
			t.Errorf("%s: %v, want %v", name, r, test.code)
		}
	}

	// It is supervised, and a crash reaches whoever monitors it.
	if r := w.ask("p/a", asking("crash")); r.code != abi.CodeEnded || r.answer != "told to" {
		t.Errorf("a call in which it crashes = %v", r)
	}
	if e := w.next(abi.EventDown); e.Detail != pid {
		t.Errorf("down = %+v", e)
	}
	eventually(t, "it is back", func() bool { return w.ask("p/a", op(abi.OpWhereis, "rtd/desk/main")).code > 0 })
	if r := w.ask("p/a", asking("again")); r.answer != "again from p "+a {
		t.Errorf("after a crash: %v", r)
	}
	eventually(t, "a line that says so", func() bool {
		text := w.log.String()
		return strings.Contains(text, "service crashed") && strings.Contains(text, "rtd/desk/main")
	})
	tree, ok := w.set.Processes(context.Background(), ask.HostName, 10)
	if !ok || len(tree.Children) != 2 || tree.Children[1].Kind != app.KindService || tree.Children[1].Name != "desk/main" || tree.Children[1].Restarts != 1 {
		t.Errorf("the tree is %+v", tree)
	}

	bad := errors.New("cannot listen")
	err := w.set.Services().Provide(ask.Service{Name: "bad", Start: func() supervisor.Actor { return failing{bad} }})
	if !errors.Is(err, bad) {
		t.Errorf("a service that does not begin: %v", err)
	}
	if err := w.set.Services().Provide(ask.Service{Name: "desk/main", Start: func() supervisor.Actor { return clerk{&lives, &ends} }}); err == nil {
		t.Error("two services have one name")
	}
	w.set.Close()
	if lives.Load() != ends.Load() {
		t.Errorf("%d lives began, %d ended", lives.Load(), ends.Load())
	}
	if err := w.set.Services().Provide(ask.Service{Name: "late", Start: func() supervisor.Actor { return failing{} }}); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// failing is a service that does not begin.
type failing struct{ error }

func (f failing) Init(*supervisor.Process) error      { return f.error }
func (failing) Terminate(*supervisor.Process, error)  {}
func (failing) Handle(*supervisor.Process, any) error { return nil }
