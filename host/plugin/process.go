package plugin

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// worker is a process of a plugin that is no channel handler: a GenServer, an
// Agent, a Task or whatever else the guest makes of the events. One value is one
// process, or under a dynamic supervisor all lives of one child.
type worker struct {
	plugin  *Plugin
	id      string // of a declared child
	module  string
	args    []byte
	binary  bool
	name    string     // to register; "" for none
	again   bool       // it may begin anew: it would be started again after a crash
	first   *Request   // asked by who spawned it; of the first life only
	started chan error // told once, if given, how the first life began
	begun   atomic.Pointer[supervisor.Process]

	under    *dynamic // its supervisor, if that is one
	restarts atomic.Int64
	body     atomic.Pointer[body]    // written by the process; Kill and Usage read it
	ran      atomic.Pointer[release] // that its last guest was of
	begins   *release                // with which it begins, if it is not the current one
}

// Init starts a guest and tells it what to be.
func (w *worker) Init(p *supervisor.Process) (err error) {
	first := w.first
	w.first = nil
	defer func() {
		if err != nil && first != nil {
			first.Fail(&EndedError{err})
		}
		w.tell(p, err)
	}()
	w.plugin.workers.add(p) // before it asks for the current release, so that it hears of another
	if w.name != "" {
		if err := w.plugin.register(w.name, p); err != nil {
			return fmt.Errorf("register %q: %w", w.name, err)
		}
	}
	return w.begin(p, w.plugin.next(w.begins), first)
}

// begin starts a guest of a release, in place of the one that there is, and tells it
// what to be.
func (w *worker) begin(p *supervisor.Process, r *release, first *Request) error {
	b, err := r.newBody(w.plugin, p, "", w.label())
	if err != nil {
		return err
	}
	if old := w.swap(b); old != nil {
		p.TrapExit(false) // as at first
		old.Close(errReplaced)
	}
	e := abi.Event{Kind: abi.EventInit, Name: w.module, Payload: w.args, Detail: pidOf(p), Flags: binaryFlag(w.binary)}
	if first != nil {
		e.Extra = b.called(abi.EventCall, first).Name
		e.Flags |= abi.Request
	}
	return w.handle(b, e)
}

// errReplaced is why a guest is closed whose process goes on.
var errReplaced = supervisor.ShutdownBecause("replaced by another version")

// swap makes b the guest, and returns the one before.
func (w *worker) swap(b *body) (old *body) {
	w.ran.Store(b.release)
	if w.id != "" {
		w.plugin.ran.Store(w.id, b.release)
	}
	return w.body.Swap(b)
}

// label is what the log calls the process.
func (w *worker) label() string { return cmp.Or(w.id, w.name, w.module) }

// tell tells who started the process how that went, once.
func (w *worker) tell(p *supervisor.Process, err error) {
	if w.under != nil && err == nil {
		w.under.add(p, w)
	}
	w.begun.CompareAndSwap(nil, p)
	if w.started != nil {
		w.started <- err
		w.started = nil
	}
}

// Handle gives what is in the mailbox to the guest.
func (w *worker) Handle(p *supervisor.Process, msg any) error {
	if r, ok := msg.(renewal); ok {
		return w.renew(p, r)
	}
	b := w.body.Load()
	e, ok := b.Message(msg)
	if !ok {
		return nil
	}
	return w.handle(b, e)
}

// handle gives the guest an event and applies its effects.
func (w *worker) handle(b *body, e abi.Event) (stop error) {
	effects, err := w.ask(b, e)
	if errors.Is(err, channels.ErrTooLarge) && e.Kind != abi.EventInit {
		return nil // the sender of a call was told; the others do not ask
	}
	if err != nil {
		return err
	}
	return w.apply(b, effects)
}

// ask gives the guest an event, and returns effects that may be applied.
func (w *worker) ask(b *body, e abi.Event) ([]abi.Effect, error) {
	effects, err := b.Handle(&e)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		if err := channels.CheckEffect(&effects[i], ""); err != nil {
			return nil, fmt.Errorf("%v %q: %w", effects[i].Kind, effects[i].Name, err)
		}
	}
	return effects, nil
}

func (w *worker) apply(b *body, effects []abi.Effect) (stop error) {
	for i := range effects {
		if effects[i].Kind == abi.EffectStop {
			stop = channels.StopReason(&effects[i])
			continue
		}
		b.Apply(&effects[i])
	}
	b.Release()
	return stop
}

// Terminate tells the guest of its end, if it wants to know and is able to.
func (w *worker) Terminate(p *supervisor.Process, reason error) {
	w.plugin.workers.remove(p)
	if w.under != nil {
		w.under.remove(p)
	}
	defer w.plugin.set.endpoint.Presence.Leave(w)
	b := w.body.Load()
	if b == nil {
		return
	}
	if b.Wants(abi.EventTerminate) && !errors.Is(reason, supervisor.Killed) {
		kind, detail := reasonWords(reason)
		// What it says of its own end changes nothing about it.
		_ = w.handle(b, abi.Event{Kind: abi.EventTerminate, Name: kind, Payload: []byte(detail)})
	}
	w.body.Store(nil)
	b.Close(reason)
}

// Kill ends what the guest is doing.
func (w *worker) Kill() {
	if b := w.body.Load(); b != nil {
		b.guest.Interrupt()
	}
}

// Usage implements [supervisor.Meter].
func (w *worker) Usage() supervisor.Usage {
	if b := w.body.Load(); b != nil {
		return b.Usage()
	}
	return supervisor.Usage{}
}

// release is what the last guest was of.
func (w *worker) release() *release { return cmp.Or(w.ran.Load(), w.plugin.current.Load()) }

// The rest is for a child of a dynamic supervisor.

// Mailbox says that each life has its own: as in OTP, what waits is lost with a
// crash.
func (w *worker) Mailbox() *supervisor.Mailbox { return nil }

// Again implements [supervisor.Child].
func (w *worker) Again(reason error) bool { return w.under.restart.Again(reason) }

// Exited implements [supervisor.Child].
func (w *worker) Exited(reason error, d supervisor.Decision) {
	if w.started != nil { // it has ended before its Init
		w.tell(nil, reason)
	}
	if supervisor.IsCrash(reason) {
		w.plugin.crashed(w.under.id, w.release(), reason, d, int(w.restarts.Load()))
	}
	if d == supervisor.Restarts {
		w.restarts.Add(1)
	}
}

// reasonWords is a reason as the event terminate has it.
func reasonWords(reason error) (kind, detail string) {
	switch {
	case errors.Is(reason, supervisor.Normal):
		return "normal", ""
	case errors.Is(reason, supervisor.Shutdown):
		return "shutdown", supervisor.Detail(reason)
	}
	return "crash", reason.Error()
}

// spawn starts a process for the guest.
func (b *body) spawn(o *abi.Effect) ([]byte, error) {
	pl := b.plugin
	if pl.group.Stats().Processes >= b.release.settings.Processes {
		return nil, abi.CodeLimit
	}
	if o.Extra != "" && pl.names.Whereis(o.Extra) != nil {
		return nil, abi.CodeTaken
	}
	w := &worker{
		plugin: pl, module: o.Name, args: bytes.Clone(o.Payload), binary: o.Flags&abi.Binary != 0, name: o.Extra,
		begins: b.release,
	}
	var a *asked
	if o.Flags&abi.Request != 0 {
		var err error
		if a, err = b.open(o); err != nil {
			return nil, err
		}
		w.first = a.Request
	}
	p, answer, err := b.start(w, o)
	if err != nil {
		if a != nil {
			b.takeAsked(a.id)
		}
		return answer, err
	}
	out := abi.AppendField(nil, pidOf(p))
	if a != nil {
		out = abi.AppendField(out, b.asks(a, p))
	}
	return out, nil
}

// start runs a worker under the supervisor that the guest names, waiting for its Init,
// or under none.
func (b *body) start(w *worker, o *abi.Effect) (p *supervisor.Process, answer []byte, err error) {
	var link *supervisor.Process
	if o.Flags&abi.Link != 0 {
		link = b.process
	}
	if o.Detail == "" {
		p = b.plugin.master.spawn(w, link)
		if link != nil {
			b.spawns(p)
		}
		return p, nil, nil
	}
	d := b.plugin.dynamic(o.Detail)
	if d == nil {
		return nil, nil, abi.CodeNoProcess
	}
	w.under, w.again = d, d.restart != supervisor.Temporary
	started := make(chan error, 1)
	w.started = started
	if err := d.Start(w, ""); err != nil {
		return nil, nil, sendCode(err)
	}
	busy := b.guest.Wait(func() {
		select {
		case err = <-started:
		case <-b.process.Stopping():
			err = errStopped
		}
	})
	switch {
	case busy != nil:
		d.Stop(w, nil)
		return nil, nil, abi.CodeBusy
	case errors.Is(err, errStopped):
		return nil, nil, err
	case err != nil:
		return nil, []byte(err.Error()), abi.CodeEnded
	}
	p = w.begun.Load()
	if link != nil {
		link.Link(p)
	}
	return p, nil, nil
}

// children lists the processes under a dynamic supervisor.
func (b *body) children(o *abi.Effect) (list []byte, err error) {
	d := b.plugin.dynamic(o.Name)
	if d == nil {
		return nil, abi.CodeNoProcess
	}
	for _, p := range d.processes() {
		list = abi.AppendField(list, pidOf(p))
	}
	return list, nil
}

// stopChild ends a process under a dynamic supervisor for good.
func (b *body) stopChild(o *abi.Effect) ([]byte, error) {
	p, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if !b.plugin.stopChild(p) {
		return nil, abi.CodeNoProcess
	}
	return nil, nil
}
