package process

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Worker is a process of a plugin that is no channel handler: a GenServer, an Agent, a
// Task or anything else that the guest makes of the events. One value is one process, or
// under a dynamic supervisor all lives of one child.
type Worker struct {
	supervisor.Membership
	home    *Home
	id      string // of a declared child
	module  string
	args    []byte
	binary  bool
	name    string       // to register; "" for none
	again   bool         // it may begin anew: it would be started again after a crash
	first   *ask.Request // asked by who spawned it; of the first life only
	started chan error   // told once, if given, how the first life began
	begun   atomic.Pointer[supervisor.Process]

	durable  atomic.Bool  // its state is stored
	kept     atomic.Int64 // bytes of what was spawned with, which its plugin accounts for
	under    *Dynamic     // its supervisor, if that is one
	restarts atomic.Int64
	body     atomic.Pointer[body]            // written by the process; Usage reads it
	ran      atomic.Pointer[release.Release] // that its last guest was of
	begins   *release.Release                // with which it begins, if it is not the current one
}

// NewWorker makes the worker of a declared child.
func (h *Home) NewWorker(c *release.Child) *Worker {
	return &Worker{
		home: h, id: c.ID, module: c.Module, args: c.Args, binary: c.Binary, name: c.Name,
		again: c.Restart != supervisor.Temporary,
	}
}

// Module is the guest's name for the code of the process.
func (w *Worker) Module() string { return w.module }

// Init starts a guest and gives it the event init.
func (w *Worker) Init(p *supervisor.Process) (err error) {
	first := w.first
	w.first = nil
	defer func() {
		if err != nil && first != nil {
			first.Fail(&ask.EndedError{Reason: err})
		}
		w.report(p, err)
	}()
	w.home.workers.add(p, w) // before it asks for the current release, so that it hears of another
	r := w.home.App.After(w.begins)
	w.durable.Store(w.name != "" && w.home.Node.Keeper != nil && r.Durable(durable.Process, w.name)) // before others find it
	if w.name != "" {
		if err := w.home.registerAnyway(w.name, p); err != nil {
			return fmt.Errorf("register %q: %w", w.name, err)
		}
	}
	if w.durable.Load() {
		return w.wake(p, r, first, nil)
	}
	return w.begin(p, r, first, 0)
}

// begin starts a guest of a release, in place of the present one, and gives it the event
// init. how is 0, or Replay if the guest before said that it has no state.
func (w *Worker) begin(p *supervisor.Process, r *release.Release, first *ask.Request, how abi.Flags) error {
	b, err := w.home.newBody(r, p, "")
	if err != nil {
		return err
	}
	return w.beginIn(b, p, first, how)
}

// beginIn is begin in a guest that was started.
func (w *Worker) beginIn(b *body, p *supervisor.Process, first *ask.Request, how abi.Flags) error {
	if old := w.swap(b); old != nil {
		p.TrapExit(false) // as at first
		old.Close(channels.Replaced)
	}
	e := abi.Event{Kind: abi.EventInit, Name: w.module, Payload: w.args, Detail: pidOf(p), Flags: how | binaryFlag(w.binary)}
	if first != nil {
		e.Extra = b.called(abi.EventCall, first).Name
		e.Flags |= abi.Request
	}
	return w.handle(b, e)
}

// wake begins a life of a durable process: with the stored state, in the release that wrote it, from where it moves to r; or
// anew. was is its memory of before, if it was loaded in this life already.
func (w *Worker) wake(p *supervisor.Process, r *release.Release, first *ask.Request, was *memory) (err error) {
	defer func() { w.home.refusals.note(w.name, err) }()
	b, err := w.home.wake(r, p, w.actor(), w)
	if err != nil {
		return err
	}
	if was != nil {
		b.forsake(was)
	}
	if !b.memory.woken {
		return w.beginIn(b, p, first, 0)
	}
	w.swap(b)
	if first != nil {
		first.Take()
		first.Answer(nil, false) // it has begun long ago
	}
	if w.home.App.After(b.release) == b.release {
		return nil
	}
	return w.renew(p, renewal{keep: w.home.App.After(b.release).Settings.Rollout.Stay, done: func(channels.Renewal, error) {}})
}

// actor names the process as a durable one.
func (w *Worker) actor() durable.Actor {
	return durable.Actor{Plugin: w.home.App.Name(), Kind: durable.Process, Name: w.name}
}

// neverRan reports whether this is the start of the plugin, and no restart: then somebody waits for its Init.
func (w *Worker) neverRan() bool {
	_, ran := w.home.ran.Load(w.id)
	return !ran
}

// swap makes b the guest, and returns the one before.
func (w *Worker) swap(b *body) (old *body) {
	w.runs(b.release)
	return w.body.Swap(b)
}

// Label returns the name of the process in the log.
func (w *Worker) Label() string { return cmp.Or(w.id, w.name, w.module) }

// InTree reports whether the process is under a supervisor of the tree.
func (w *Worker) InTree() bool { return w.id != "" || w.under != nil }

// report tells the starter of the process the outcome, once.
func (w *Worker) report(p *supervisor.Process, err error) {
	if w.under != nil && err == nil {
		w.under.add(p, w)
	}
	w.begun.CompareAndSwap(nil, p)
	if w.started != nil {
		w.started <- err
		w.started = nil
	}
}

// Handle gives the messages in the mailbox to the guest.
func (w *Worker) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case renewal:
		return w.renew(p, msg)
	case rehearsal:
		w.rehearse(p, msg)
		return nil
	case restatement:
		return w.restate(p, msg)
	}
	b := w.body.Load()
	e, ok := b.Message(msg)
	if !ok {
		return nil
	}
	return w.handle(b, e)
}

// handle gives the guest an event and applies its effects.
func (w *Worker) handle(b *body, e abi.Event) (stop error) {
	effects, err := w.ask(b, e)
	switch {
	case err == nil:
		return w.apply(b, effects)
	case !errors.Is(err, channels.ErrTooLarge) || e.Kind == abi.EventInit:
		return err
	case errors.Is(err, channels.ErrNotStored):
		return w.rollBack(b, &e, err)
	}
	return nil // the sender of a call was told; the others do not ask
}

// rollBack has a durable process go on with the state before an event that has made it too large.
func (w *Worker) rollBack(b *body, e *abi.Event, reason error) error {
	if e.Kind == abi.EventCall {
		b.takeOwed(e.Name).Fail(abi.CodeTooLarge)
	}
	return w.reload(b, reason)
}

// ask gives the guest an event, and returns effects that may be applied.
func (w *Worker) ask(b *body, e abi.Event) ([]abi.Effect, error) {
	effects, err := b.Handle(&e)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		if err := channels.CheckEffect(&effects[i], ""); err != nil {
			return nil, b.Blame(false, fmt.Errorf("%v %q: %w", effects[i].Kind, effects[i].Name, err))
		}
	}
	if err := b.Commit(effects); err != nil {
		if reason := b.process.StopReason(); reason != nil && errors.Is(err, channels.ErrNotStored) {
			return nil, reason // it waited until it was asked to end
		}
		return nil, err
	}
	return effects, nil
}

func (w *Worker) apply(b *body, effects []abi.Effect) (stop error) {
	for i := range effects {
		if effects[i].Kind == abi.EffectStop {
			stop = channels.StopReason(&effects[i])
			continue
		}
		b.Apply(&effects[i])
	}
	if stop != nil && supervisor.IsCrash(stop) {
		stop = b.Blame(true, stop)
	}
	b.Release()
	return stop
}

// Terminate tells the guest of its end, if it wants to know and is able to.
func (w *Worker) Terminate(p *supervisor.Process, reason error) {
	w.home.workers.remove(p)
	if w.under != nil {
		w.under.remove(p)
	}
	defer w.home.Node.Endpoint.Presence.Leave(w)
	b := w.body.Load()
	if b == nil {
		return
	}
	defer w.body.Store(nil)
	// The guest's effects do not change how it ends.
	tell := func(e *abi.Event) { _ = w.handle(b, *e) }
	if errors.Is(reason, supervisor.Killed) || b.memory != nil { // whoever is remembered has no end
		tell = nil
	}
	channels.End(b, reason, tell)
}

// Usage implements [supervisor.Meter].
func (w *Worker) Usage() supervisor.Usage {
	if b := w.body.Load(); b != nil {
		return b.Usage()
	}
	return supervisor.Usage{}
}

// Release returns the release of the last guest.
func (w *Worker) Release() *release.Release { return cmp.Or(w.ran.Load(), w.home.App.Release()) }

// The rest is for a child of a dynamic supervisor.

// Mailbox says that each life has its own: as in OTP, waiting messages are lost with a
// crash.
func (w *Worker) Mailbox() *supervisor.Mailbox { return nil }

// Again implements [supervisor.Child].
func (w *Worker) Again(reason error) bool { return w.under.restart.Again(reason) }

// Exited implements [supervisor.Child].
func (w *Worker) Exited(reason error, d supervisor.Decision) {
	if w.started != nil { // it has ended before its Init
		w.report(nil, reason)
	}
	if supervisor.IsCrash(reason) {
		w.home.App.Crashed(w.under.id, w.Release(), reason, d, int(w.restarts.Load()))
	}
	if d == supervisor.Restarts {
		w.restarts.Add(1)
	} else {
		w.Gone()
	}
}

// Gone ends the account of the process's arguments. The process has ended for good. Gone
// may be called again.
func (w *Worker) Gone() { w.home.Give(int(w.kept.Swap(0))) }

// spawn starts a process for the guest.
func (b *body) spawn(o *abi.Effect) ([]byte, error) {
	h := b.home
	if h.Group.Stats().Processes >= b.release.Settings.Processes {
		return nil, abi.CodeLimit
	}
	switch {
	case o.Extra == "":
	case h.Names.Whereis(o.Extra) != nil:
		return nil, abi.CodeTaken
	case h.tooManyNames():
		return nil, abi.CodeLimit
	}
	size := len(o.Name) + len(o.Payload) + len(o.Extra)
	if !h.Keep(size) {
		return nil, abi.CodeLimit
	}
	w := &Worker{
		home: h, module: o.Name, args: bytes.Clone(o.Payload), binary: o.Flags&abi.Binary != 0, name: o.Extra,
		begins: b.release,
	}
	w.kept.Store(int64(size))
	var a *asked
	if o.Flags&abi.Request != 0 {
		var err error
		if a, err = b.open(o); err != nil {
			w.Gone()
			return nil, err
		}
		w.first = a.Request
	}
	p, answer, err := b.start(w, o)
	if err != nil {
		if a != nil {
			b.takeAsked(a.Request).Forget(err)
		}
		return answer, err
	}
	out := abi.AppendField(nil, pidOf(p))
	if a != nil {
		out = abi.AppendField(out, b.asks(a, local{p}))
	}
	return out, nil
}

// start runs a worker under the supervisor that the guest names, waiting for its Init,
// or under none.
func (b *body) start(w *Worker, o *abi.Effect) (p *supervisor.Process, answer []byte, err error) {
	var link *supervisor.Process
	if o.Flags&abi.Link != 0 {
		link = b.process
	}
	if o.Detail == "" {
		p = b.home.App.Spawn(w, link)
		b.begets(p)
		if link != nil {
			b.spawns(p)
		}
		return p, nil, nil
	}
	d := b.home.dynamic(o.Detail)
	if d == nil {
		w.Gone()
		return nil, nil, abi.CodeNoProcess
	}
	w.under, w.again = d, d.restart != supervisor.Temporary
	started := make(chan error, 1)
	w.started = started
	if err := d.Start(w, ""); err != nil {
		w.Gone()
		return nil, nil, ask.SendCode(err)
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
	b.begets(p)
	if link != nil {
		link.Link(p)
	}
	return p, nil, nil
}

// children lists the processes under a dynamic supervisor.
func (b *body) children(o *abi.Effect) (list []byte, err error) {
	d := b.home.dynamic(o.Name)
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
	if p.here() == nil || !b.home.stopChild(p.here()) {
		return nil, abi.CodeNoProcess
	}
	return nil, nil
}
