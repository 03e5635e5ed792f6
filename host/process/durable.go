package process

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Between the turn of a durable actor and its effects is a gate:
//
//	Handle ──► operations that can wait are noted ──► effects are checked ──► Commit ──► what was noted happens ──► effects are applied
//	             (send, cast, track, untrack)                                   │
//	                                                                            └ an error: nothing of it has happened
//
// memory is what all this needs of an actor besides its body.
type memory struct {
	keeper   durable.Keeper
	actor    durable.Actor
	patient  bool // waits for the keeper for as long as it takes: nobody is to be answered in time
	born     uint64
	revision uint64 // of the last commit
	woken    bool   // it goes on with a stored state
	silent   bool   // nothing but members has come since it woke, and nothing need be stored
	behind   bool   // members have left since the last commit: what the guest made of that is not stored yet
	held     uint64 // sum of what the host held at the last commit
	traps    bool   // exits, as the guest has said
	shown    bool   // others may know its pid, so that it must not leave memory

	worker   *Worker                   // nil: a handler of a topic
	names    map[string]bool           // that the guest registered for it
	present  map[presenceKey][]byte    // entries of presence of its own, and their metas
	foreign  map[string]supervisor.Ref // texts of timers that were set in another run of the server
	foreigns map[supervisor.Ref]string
	missed   []missed // ends of what it watched or asked, of which it has not heard yet
	restored []abi.Effect

	// Of the event at hand.
	event   abi.Kind
	source  source                // what it came from
	next    source                // what the event that comes now comes from
	later   []func()              // what happens when it is stored
	posts   []durable.Post        // messages for durable actors
	drops   []durable.PostID      // what was set aside and goes
	spawned []*supervisor.Process // by this event
}

// source is what an event came from, if that can be tried again.
type source struct {
	id       string         // of the timer or post; "" for others
	post     durable.PostID // zero: it is no post
	decision *decision      // somebody has it tried again, and wants to know what comes of it
}

type presenceKey struct{ topic, key string }

// missed says that something has ended while the actor was not awake.
type missed struct {
	of    *body
	event abi.Event
}

// postsWait says that posts wait for the actor.
type postsWait struct{}

// patience is how long an event of a topic waits until it is stored. Clients wait for an answer.
const patience = 5 * time.Second

// tryAgain is how long a patient actor waits before it tries again to have an event stored.
const tryAgain = 250 * time.Millisecond

func newMemory(k durable.Keeper, a durable.Actor, w *Worker) *memory {
	return &memory{keeper: k, actor: a, worker: w, patient: w != nil, born: drawBorn()}
}

func drawBorn() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // which never fails
	return binary.NativeEndian.Uint64(b[:]) | 1
}

// begin is the begin of an event. It fails if nothing can be stored now.
func (b *body) beginEvent(e *abi.Event) error {
	m := b.memory
	m.event, m.source, m.next = e.Kind, m.next, source{}
	m.silent = m.silent && e.Kind == abi.EventMembers
	for m.keeper.Err() != nil {
		if !m.patient || !b.pause(tryAgain) {
			return fmt.Errorf("%w: %w", channels.ErrNotStored, m.keeper.Err())
		}
	}
	return nil
}

// pause waits, and returns false if the process is asked to end meanwhile.
func (b *body) pause(d time.Duration) (on bool) {
	b.process.Block(func() {
		over := time.NewTimer(d)
		defer over.Stop()
		select {
		case <-over.C:
			on = true
		case <-b.process.Stopping():
		}
	})
	return on
}

// crashed notes that the guest died of the event at hand, and returns the reason.
func (m *memory) crashed(h *Home, reason error) error {
	switch {
	case m.source.decision != nil:
		m.decide(fmt.Errorf("it has crashed again: %s", shortCause(reason)))
	case m.source.id != "" && h.tries.add(m.actor, m.source.id, shortCause(reason)) > 1:
		return supervisor.Repeated(reason)
	}
	return reason
}

// Commit implements [channels.Guest].
func (b *body) Commit(effects []abi.Effect) error {
	b.sendRest()
	m := b.memory
	switch {
	case m == nil:
		b.sayAlone(effects)
		return nil
	case m.event == abi.EventExport || m.event == abi.EventTerminate:
		return nil
	case m.event == abi.EventImport && !channels.Accepts(effects):
		return nil // what is stored remains that of the version before
	}
	ends := false
	for i := range effects {
		if effects[i].Kind != abi.EffectStop {
			continue
		}
		reason := channels.StopReason(&effects[i])
		if supervisor.IsCrash(reason) {
			return b.Blame(true, reason) // as by a trap: it has not happened
		}
		ends = errors.Is(reason, supervisor.Normal)
		break
	}
	if m.revision == 0 && m.event == abi.EventJoin && !channels.Accepts(effects) && b.holdsNothing() {
		b.sayAlone(effects)
		m.happen() // a stranger was refused: nobody has topics stored by making up their names
		return nil
	}
	var held []byte
	if !ends {
		held = b.heldAfter(effects).append(make([]byte, 0, 32))
		if b.canWait(effects, held) {
			m.behind = m.behind || m.event == abi.EventLeave
			return nil
		}
	}
	c := &durable.Commit{Actor: m.actor, Last: m.revision, Posts: m.posts}
	if m.source.post != (durable.PostID{}) {
		c.Took = append(m.drops, m.source.post)
	} else {
		c.Took = m.drops
	}
	if !ends {
		state, err := b.state(held)
		if err != nil {
			return err
		}
		c.State = state
	}
	list, err := b.speak(effects)
	for err != nil {
		forsakeSaid(list)
		b.home.complain(m.actor, "an event of a durable actor is not stored, as the history of a topic that it broadcasts to cannot be", err)
		if !m.patient || !b.pause(tryAgain) {
			return fmt.Errorf("%w: %w", channels.ErrNotStored, err)
		}
		list, err = b.speak(effects)
	}
	c.Said = prepared(list)
	if err := b.store(c); err != nil {
		forsakeSaid(list)
		return err
	}
	if len(list) > 0 {
		b.spoken = &list
	}
	if m.stored(c); ends {
		m.revision, m.born = 0, drawBorn()
	}
	if m.source.id != "" {
		b.home.tries.forget(m.actor, m.source.id)
	}
	m.decide(nil)
	m.happen()
	return nil
}

// canWait reports whether the next commit, or Save, may store what an event has changed: members, with which each guest begins that
// wakes, and leave. Nobody is told that these are over, and whoever wakes hears anyway who is there. Ten thousand members that go at
// a time cost no commit each. What the event would have done, or the host now holds for the actor, does not wait.
func (b *body) canWait(effects []abi.Effect, held []byte) bool {
	m := b.memory
	return (m.silent || m.event == abi.EventLeave && m.revision > 0) && len(effects)+len(m.later)+len(m.posts) == 0 && m.held == sum(held)
}

// Save implements [channels.Durable].
func (b *body) Save() error {
	m := b.memory
	if !m.behind {
		return nil
	}
	state, err := b.state(b.heldAfter(nil).append(nil))
	if err != nil {
		return err
	}
	c := &durable.Commit{Actor: m.actor, Last: m.revision, State: state}
	if err := b.store(c); err != nil {
		return err
	}
	m.stored(c)
	return nil
}

// stored notes that c is.
func (m *memory) stored(c *durable.Commit) {
	m.revision++
	m.silent, m.behind = false, false
	if c.State != nil {
		m.held = sum(c.State.Held)
	}
}

var seed = maphash.MakeSeed()

func sum(held []byte) uint64 { return maphash.Bytes(seed, held) }

// happen lets happen what has waited until the event at hand is over.
func (m *memory) happen() {
	later := m.later
	m.later, m.posts, m.spawned = nil, nil, nil
	for _, f := range later {
		f()
	}
}

// holdsNothing reports whether nothing would be lost of an actor that is not stored, but its guest's memory.
func (b *body) holdsNothing() bool {
	m := b.memory
	return len(m.posts)+len(m.names)+len(m.present) == 0 && (b.holdings == nil || b.things() == 0)
}

// store waits until c is stored, or it is known that it is not.
func (b *body) store(c *durable.Commit) (err error) {
	m := b.memory
	for {
		b.process.Block(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			err = m.keeper.Commit(ctx, c)
		})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, durable.ErrTooLarge):
			return b.tooLarge(err)
		case errors.Is(err, durable.ErrFull):
			b.home.complain(m.actor, "there is no room for the states of durable actors; raise durable_bytes in the plugin's table of config.toml, or max_bytes in [bus]", err)
		}
		if !m.patient || errors.Is(err, durable.ErrConflict) || errors.Is(err, durable.ErrUnavailable) || !b.pause(tryAgain) {
			return fmt.Errorf("%w: %w", channels.ErrNotStored, err)
		}
	}
}

// tooLarge says that the event at hand has made the state too large. If it would come again it was tried.
func (b *body) tooLarge(err error) error {
	if m := b.memory; m.source.id != "" && m.source.decision == nil {
		b.home.tries.add(m.actor, m.source.id, shortCause(err))
	}
	b.home.complain(b.memory.actor, "the state of a durable actor is too large and is not stored; raise durable_state in its plugin's table of config.toml, or have it keep less", err)
	return fmt.Errorf("%w: %w: %w", channels.ErrNotStored, channels.ErrTooLarge, err)
}

// triedInVain notes that the guest had no room for a timer or message, which is tried once more and then set aside.
func (b *body) triedInVain(err error) {
	m := b.memory
	if m.source.id == "" || m.source.decision != nil {
		return
	}
	b.home.tries.add(m.actor, m.source.id, shortCause(err))
	_ = b.process.Post(postsWait{}) // or it ends
}

// state is the actor's state: its guest's memory as it is, and what the host holds for it.
func (b *body) state(held []byte) (*durable.State, error) {
	m := b.memory
	guest, err := b.guest.State(nil)
	if err != nil {
		return nil, err
	}
	s := &durable.State{
		Revision: m.revision + 1, Born: m.born, At: time.Now(), Version: b.release.Use.Version, Snapshot: b.release.Use.Snapshot,
		Guest: guest, Held: held,
	}
	if size, most := len(s.Guest)+len(s.Held), b.release.Settings.DurableState; most > 0 && size > most {
		return nil, b.tooLarge(fmt.Errorf("%w: %d bytes, and at most %d are kept", durable.ErrTooLarge, size, most))
	}
	if b.holdings != nil {
		for _, t := range b.timers {
			if s.Due.IsZero() || t.due.Before(s.Due) {
				s.Due = t.due
			}
		}
	}
	return s, nil
}

// heldAfter is what the host holds for the actor when the effects have been applied.
func (b *body) heldAfter(effects []abi.Effect) *held {
	m := b.memory
	h := &held{TrapExit: m.traps}
	if w := m.worker; w != nil {
		h.Module, h.Args, h.Binary, h.Begun = w.module, w.args, w.binary, m.event == abi.EventInit
		if w.under != nil {
			h.Under = w.under.id
		}
	}
	for name := range m.names {
		h.Names = append(h.Names, name)
	}
	for k, meta := range m.present {
		h.Presences = append(h.Presences, heldPresence{k.topic, k.key, meta})
	}
	for _, missed := range m.missed {
		switch e := &missed.event; e.Kind {
		case abi.EventDown:
			h.Monitors = append(h.Monitors, heldTie{e.Name, e.Detail})
		case abi.EventExit:
			h.Links = append(h.Links, e.Name)
		case abi.EventReply:
			h.Asked = append(h.Asked, e.Name)
		}
	}
	if b.holdings != nil {
		b.addHoldings(h, effects)
	}
	h.sort()
	return h
}

// addHoldings adds what the body holds to h.
func (b *body) addHoldings(h *held, effects []abi.Effect) {
	m := b.memory
	for ref, t := range b.timers {
		h.Timers = append(h.Timers, heldTimer{ID: m.nameOf(b, ref), Due: t.due, After: t.after, Binary: t.binary, Payload: t.payload})
	}
	for ref, pid := range b.monitors {
		h.Monitors = append(h.Monitors, heldTie{b.textOf(ref), pid})
	}
	for p := range b.links {
		h.Links = append(h.Links, pidOf(p))
	}
	for ref := range b.asked {
		h.Asked = append(h.Asked, b.textOf(ref))
	}
	for event := range b.intercepts {
		h.Intercepts = append(h.Intercepts, event)
	}
	for topic := range b.subscribedAfter(effects) {
		h.Subscriptions = append(h.Subscriptions, topic)
	}
}

// subscribedAfter yields the topics that the guest is subscribed to when the effects have been applied.
func (b *body) subscribedAfter(effects []abi.Effect) map[string]bool {
	topics := make(map[string]bool, len(b.subscriptions))
	for topic := range b.subscriptions {
		topics[topic] = true
	}
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case abi.EffectSubscribe:
			topics[e.Name] = true
		case abi.EffectUnsubscribe:
			delete(topics, e.Name)
		}
	}
	return topics
}

// nameOf is a timer's ref as the guest knows it.
func (m *memory) nameOf(b *body, ref supervisor.Ref) string {
	if text, foreign := m.foreigns[ref]; foreign {
		return text
	}
	return b.textOf(ref)
}

// show notes that others may know the actor's pid from now on, which has to be its own for as long as the server runs.
func (b *body) show() {
	if b.memory != nil {
		b.memory.shown = true
	}
}

// named notes a name that the guest has registered for the actor.
func (m *memory) named(name string) {
	if m.names == nil {
		m.names = map[string]bool{}
	}
	m.names[name] = true
}

// undo ends what the event at hand has begun, if it was not stored.
func (b *body) undo(reason error) {
	b.memory.decide(reason)
	for _, p := range b.memory.spawned {
		_ = p.Exit(b.process, supervisor.Killed) // or it has ended
	}
	b.memory.spawned = nil
}

// Woken implements [channels.Durable].
func (b *body) Woken() bool { return b.memory.woken }

// Stored implements [channels.Durable].
func (b *body) Stored() bool { return b.memory.revision > 0 }

// Version implements [channels.Durable].
func (b *body) Version() *channels.Version { return &b.release.Version }

// Restored implements [channels.Durable].
func (b *body) Restored() []abi.Effect { return b.memory.restored }

// Missed implements [channels.Durable].
func (b *body) Missed() (messages []any) {
	for _, m := range b.memory.missed {
		messages = append(messages, m)
	}
	return messages
}

// Rests implements [channels.Durable].
func (b *body) Rests() bool {
	m, h := b.memory, b.holdings
	if m.shown || len(m.names)+len(m.present)+len(m.missed) > 0 || awaited(m.keeper, m.actor) {
		return false
	}
	if h == nil {
		return true
	}
	for p := range h.spawned {
		if p.Reason() == nil {
			return false
		}
	}
	return len(h.owed)+len(h.asked)+len(h.monitors)+len(h.links)+len(h.subscriptions)+len(h.intercepts) == 0
}

var _ channels.Durable = (*body)(nil)
