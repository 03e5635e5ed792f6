package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// WakeProcesses starts the durable processes that are stored and that the tree of a release has not started: guests had
// spawned them. Then it has the topics wake that something waits for. It waits for the keeper until ctx ends; the error says what is
// missing.
func (h *Home) WakeProcesses(ctx context.Context, r *release.Release) error {
	if h.Node.Keeper == nil || !r.AnyDurable() && !r.Version.Archives {
		return nil
	}
	keeper, err := h.Node.Keeper() // which begins, if it has not
	if err != nil || !r.AnyDurable() {
		return err
	}
	if err := keeper.Up(ctx); err != nil {
		return err
	}
	for a, err := range keeper.Actors(ctx, h.App.Name(), durable.Process) {
		if err != nil {
			return err
		}
		if h.Names.Whereis(a.Name) == nil && r.Durable(durable.Process, a.Name) {
			h.wakeProcess(ctx, keeper, a)
		}
	}
	keeper.Announce(h.App.Name())
	return nil
}

// wakeProcess starts a durable process again that a guest has spawned.
func (h *Home) wakeProcess(ctx context.Context, keeper durable.Keeper, a durable.Actor) {
	state, err := keeper.Load(ctx, a)
	if errors.Is(err, durable.ErrNone) {
		return // it has ended meanwhile
	}
	var was *held
	if err == nil {
		was, err = parseHeld(state.Held)
	}
	if err != nil {
		h.complain(a, "a durable process cannot be started again; its state stays as it is", err)
		h.refusals.note(a.Name, fmt.Errorf("%w: %w", errUnreadable, err))
		return
	}
	w := &Worker{home: h, module: was.Module, args: was.Args, binary: was.Binary, name: a.Name}
	d := h.dynamic(was.Under)
	if was.Under == "" || d == nil {
		started := make(chan error, 1)
		w.started = started
		h.App.Spawn(w, nil)
		<-started
		return
	}
	w.under, w.again = d, d.restart != supervisor.Temporary
	started := make(chan error, 1)
	w.started = started
	if err := d.Start(w, ""); err != nil {
		h.complain(a, "a durable process cannot be started again; its state stays as it is", err)
		return
	}
	<-started
}

// errUnreadable is a [channels.ErrUnmoved] through no fault of the version that is current: the state is damaged, or needs one that
// is not there.
var errUnreadable = fmt.Errorf("%w", channels.ErrUnmoved)

// Blameless reports whether the end of a life says nothing about its version, so that the version is not taken back for it: it was
// counted, or is one of a state that cannot be read.
func Blameless(reason error) bool {
	return supervisor.IsRepeated(reason) || errors.Is(reason, errUnreadable)
}

// reasonGone is the reason of whatever has ended while a durable actor was not awake.
const reasonGone = "noconnection"

// WakeHandler is NewHandler for the handler of a durable topic: its guest goes on with the stored state, if there is
// one, in the release that wrote it. It implements [channels.Version].Wake.
func (h *Home) WakeHandler(r *release.Release, p *supervisor.Process, topic string) (channels.Durable, error) {
	b, err := h.wake(r, p, durable.Actor{Plugin: h.App.Name(), Kind: durable.Topic, Name: topic}, nil)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// wake starts a guest for a durable actor. w is its worker, if it is a process. A guest that has no stored state is as a
// new one.
func (h *Home) wake(r *release.Release, p *supervisor.Process, a durable.Actor, w *Worker) (*body, error) {
	keeper, err := h.Node.Keeper()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", channels.ErrNotStored, err)
	}
	topic := ""
	if w == nil {
		topic = a.Name
	}
	m := newMemory(keeper, a, w)
	state, err := h.load(p, m)
	if err != nil {
		return nil, err
	}
	if state == nil {
		b, err := h.newBody(r, p, topic)
		if err != nil {
			return nil, err
		}
		b.memory = m
		b.awaits()
		return b, nil
	}
	of, err := h.writer(p, r, state)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	m.born, m.revision, m.woken, m.silent, m.held = state.Born, state.Revision, true, true, sum(state.Held)
	b := &body{home: h, release: of, process: p, memory: m}
	err = of.Module.ResumeIn(&b.guest, topic, b, state.Guest)
	if errors.Is(err, sandbox.ErrClosed) { // retired since it was found
		if b.release, err = h.writer(p, of, state); err == nil {
			err = b.release.Module.ResumeIn(&b.guest, topic, b, state.Guest)
		}
	}
	if err != nil {
		if errors.Is(err, sandbox.ErrDamaged) || errors.Is(err, sandbox.ErrSnapshot) {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return nil, err
	}
	if err := b.restore(state.Held); err != nil {
		b.Close(err)
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return b, nil
}

// load returns the stored state of an actor; nil if there is none.
func (h *Home) load(p *supervisor.Process, m *memory) (state *durable.State, err error) {
	for begun := time.Now(); ; {
		p.Block(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			state, err = m.keeper.Load(ctx, m.actor)
		})
		switch {
		case err == nil:
			return state, nil
		case errors.Is(err, durable.ErrNone):
			return nil, nil
		case errors.Is(err, durable.ErrTooLarge): // its name: nothing of it will ever be stored
			h.complain(m.actor, "an actor with so long a name cannot be durable", err)
			return nil, fmt.Errorf("%w: %w: %w", channels.ErrNotStored, channels.ErrTooLarge, err)
		case errors.Is(err, durable.ErrDamaged):
			return nil, fmt.Errorf("%w, and does not begin anew by itself; rtd state repair goes on without what is lost, rtd state reset begins anew, or restore a backup: %w", errUnreadable, err)
		}
		if !m.patient || m.worker.neverRan() && time.Since(begun) > patience {
			return nil, fmt.Errorf("%w: %w", channels.ErrNotStored, err)
		}
		select {
		case <-p.Stopping():
			return nil, fmt.Errorf("%w: %w", channels.ErrNotStored, err)
		default:
		}
		p.Block(func() {
			over := time.NewTimer(tryAgain)
			defer over.Stop()
			select {
			case <-over.C:
			case <-p.Stopping():
			}
		})
	}
}

// writer returns the release that wrote a state: r, or an earlier one.
func (h *Home) writer(p *supervisor.Process, r *release.Release, s *durable.State) (of *release.Release, err error) {
	use := durable.Use{Version: s.Version, Snapshot: s.Snapshot}
	if r.Use == use && !r.Retired() {
		return r, nil
	}
	p.Block(func() {
		ctx, cancel := context.WithTimeout(context.Background(), loadPatience)
		defer cancel()
		of, err = h.App.ReleaseOf(ctx, use)
	})
	return of, err
}

// loadPatience is how long it may take to load a release that wrote a state.
const loadPatience = 90 * time.Second

// restore takes again what the host held for the actor. What cannot be had again has ended: the guest will hear of it.
func (b *body) restore(stored []byte) error {
	h, err := parseHeld(stored)
	if err != nil {
		return err
	}
	m := b.memory
	if h.TrapExit {
		m.traps = true
		b.process.TrapExit(true)
	}
	for _, name := range h.Names {
		if err := b.home.registerAnyway(name, b.process); err != nil {
			b.home.complain(m.actor, "a durable actor has lost its name "+strconv.Quote(name), err)
			continue
		}
		m.named(name)
	}
	now := time.Now()
	for _, t := range h.Timers {
		b.arm(t, now)
	}
	for _, topic := range h.Subscriptions {
		b.home.keepAnyway(thingSize + len(topic))
		b.home.kept.things.Add(1)
		b.own()
		b.held++
		b.bytes += len(topic)
		b.subscriptions[topic] = &subscription{}
		b.subscribe(topic)
	}
	for _, event := range h.Intercepts {
		_ = b.willIntercept(event)
		m.restored = append(m.restored, abi.Effect{Kind: abi.EffectIntercept, Name: event})
	}
	for _, p := range h.Presences {
		b.trackAgain(p)
	}
	for _, t := range h.Monitors {
		m.missed = append(m.missed, missed{b, abi.Event{Kind: abi.EventDown, Name: t.ID, Payload: []byte(reasonGone), Detail: t.PID}})
	}
	for _, pid := range h.Links {
		if m.traps { // else nothing is told, as with any end that is no crash
			m.missed = append(m.missed, missed{b, abi.Event{Kind: abi.EventExit, Name: pid, Payload: []byte(reasonGone)}})
		}
	}
	for _, id := range h.Asked {
		m.missed = append(m.missed, missed{b, abi.Event{Kind: abi.EventReply, Flags: abi.Failed, Name: id, Payload: []byte(reasonGone)}})
	}
	if m.worker != nil {
		for _, e := range m.missed {
			_ = b.process.Post(e) // or it ends
		}
	}
	b.awaits()
	return nil
}

// awaits has an actor that begins take the posts that wait for it. Of later ones it hears by [Home.Posted].
func (b *body) awaits() {
	if awaited(b.memory.keeper, b.memory.actor) {
		_ = b.process.Post(postsWait{}) // or it ends
	}
}

// arm sets a timer again, which may be due already.
func (b *body) arm(t heldTimer, now time.Time) {
	m := b.memory
	left := min(t.Due.Sub(now), t.After)
	b.own()
	b.home.kept.things.Add(1)
	b.home.keepAnyway(thingSize + len(t.Payload))
	b.held++
	b.bytes += len(t.Payload)
	set := &timer{id: b.process.Runtime().NewRef(), payload: t.Payload, binary: t.Binary, due: t.Due, after: t.After, missed: left < 0}
	if m.foreign == nil {
		m.foreign, m.foreigns = map[string]supervisor.Ref{}, map[supervisor.Ref]string{}
	}
	m.foreign[t.ID], m.foreigns[set.id] = set.id, t.ID
	b.timers[set.id] = set
	set.Timer = b.process.PostAfter(max(left, 0), fired{set})
}

// timed completes the event of a timer: it has a name for when it is tried again, and says how late it comes, in milliseconds,
// if its actor was not awake when it was due. It returns false if the timer is not tried any more.
func (b *body) timed(t *timer, e *abi.Event) bool {
	m := b.memory
	id := m.nameOf(b, t.id)
	m.next = source{id: id}
	if cause, tired := b.home.tries.tired(m.actor, id); tired {
		item := durable.Post{
			ID: durable.PostID{Born: m.born, Revision: m.revision + 1}, To: m.actor, Kind: uint16(abi.EventInfo), Binary: t.binary, Payload: t.payload,
			Aside: &durable.Aside{Event: id, Timer: true, At: time.Now(), Cause: cause},
		}
		if b.setAside(item) != nil {
			now := time.Now()
			b.arm(heldTimer{ID: id, Due: now.Add(asideAgain), After: asideAgain, Binary: t.binary, Payload: t.payload}, now)
		}
		return false
	}
	if t.missed {
		e.Detail = strconv.FormatInt(max(0, time.Since(t.due).Milliseconds()), 10)
	}
	return true
}

// misses tells of an end that the actor has missed.
func (b *body) misses(msg missed) (e abi.Event, ok bool) {
	if msg.of != b || b.memory == nil {
		return abi.Event{}, false // of a guest before this one
	}
	m := b.memory
	m.missed = slices.DeleteFunc(m.missed, func(other missed) bool {
		return other.event.Kind == msg.event.Kind && other.event.Name == msg.event.Name
	})
	return msg.event, true
}
