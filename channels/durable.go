package channels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// A durable handler is a [SharedChannel] whose guest is remembered. What its guest has done
// is stored after each event, before the effects leave (askGuest). Its guest comes and goes
// within a life, and its lives come and go:
//
//	        join, message, timer, restart
//	asleep ───────────────────────────────► awake ──► event ──stored──► effects leave
//	  ▲  ▲                                   │  ▲        │
//	  │  └────── nobody there for Idle ──────┘  │        │ not stored: the guest is dropped
//	  │                                         │        ▼
//	  │                                         └─── without a guest, until the next message
//	  └── crash beyond max_restarts, a version to which the state cannot move: refused
//
// Whoever wakes goes on with the state of its last stored event, in the version that wrote
// it, and is told by members who is there. So does a handler after a crash: what was stored
// is never replayed, and what was not has not happened.

// wakeMessage has the handler wake if it sleeps.
type wakeMessage struct{}

// sleepMessage asks an idle handler whether it can sleep.
type sleepMessage struct{}

// ErrUnmoved says that the state of a durable handler cannot go on in the plugin's version. It stays
// as it is stored.
var ErrUnmoved = errors.New("the stored state cannot go on in this version or config")

var (
	reasonAsleep = supervisor.ShutdownBecause("asleep")
	// errUnsendable is for replies that the client cannot be sent. The event has not happened.
	errUnsendable = fmt.Errorf("%w: the client cannot be sent the reply", ErrNotStored)
)

const (
	// refusedFor is how long a topic stays refused whose handler has crashed beyond its intensity.
	refusedFor = 30 * time.Second
	// tryAgain is how long a handler with members waits before it tries again to wake.
	tryAgain = time.Second
	// idleTime is the default of [Version].Idle.
	idleTime = time.Minute
	// maxRefused bounds the topics that are refused at a time. Others are tried again by the next join.
	maxRefused = 10_000
	// maxRefusal is how many bytes of a cause are kept.
	maxRefusal = 300
)

// durable says whether the version's handler of a topic is remembered.
func (v *Version) durable(topic string) bool { return v.Durable != nil && v.Durable(topic) }

// whyNot is the answer to a message of a client that was not stored.
func whyNot(err error) answer {
	switch {
	case errors.Is(err, ErrTooLarge):
		return refusal(reasonTooLarge)
	case errors.Is(err, errUnsendable):
		return refusal(reasonCrashed)
	}
	return refusal(reasonGone)
}

// remembers notes at the beginning of a life whether the handler is durable.
func (c *SharedChannel) remembers() bool {
	version := c.plugin.Next(c.version, c.topic)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable = version.durable(c.topic)
	c.dozing, c.active, c.trying = false, false, false
	return c.durable
}

// checkSendable says why a reply cannot be sent, before the event that asks for it is stored. m is the message behind
// the event, or the join.
func (h *handler) checkSendable(event *abi.Event, e *abi.Effect, m *Message) error {
	if e.Kind != abi.EffectReply || e.Detail != "" || m == nil {
		return nil
	}
	var err error
	if a := answerOf(e); event.Kind == abi.EventJoin {
		err = m.member.checkAnswer(a)
	} else {
		err = m.member.Codec.Check(&Outgoing{
			Kind: Reply, JoinRef: m.member.outRef(), Ref: m.Ref, Topic: h.topic, Name: a.status, Payload: a.response, Binary: a.binary,
		})
	}
	if err != nil {
		return errUnsendable
	}
	return nil
}

// awake has the handler awake before it takes a message. again says that it is; if not, the
// message has been dealt with.
func (c *SharedChannel) awake(p *supervisor.Process, msg any) (again bool, err error) {
	if _, asks := msg.(sleepMessage); asks {
		return false, c.sleep(p)
	}
	if m, asks := msg.(restateMessage); asks {
		return false, c.restate(p, m)
	}
	c.active = true
	if c.guest != nil {
		return true, nil
	}
	switch msg := msg.(type) {
	case leaveMessage, dismissMessage: // nobody need wake for that
		return true, nil
	case renewMessage:
		msg.end(Unmoved, nil) // it wakes in the right version
		return false, nil
	}
	if err = c.wake(p); err == nil {
		return true, nil
	}
	if errors.Is(err, errInterrupted) {
		c.putBack(msg)
		return false, nil
	}
	c.unmet(msg, err)
	if !errors.Is(err, ErrNotStored) {
		return false, err
	}
	if _, tried := msg.(wakeMessage); tried {
		c.trying = false
	}
	c.tryLater(p)
	return false, c.endIfEmpty(p)
}

// tryLater has a handler without a guest wake soon, as timers may be due.
func (c *SharedChannel) tryLater(p *supervisor.Process) {
	if c.guest == nil && !c.trying {
		c.trying = true
		p.SendAfter(tryAgain, wakeMessage{})
	}
}

// unmet answers a message that the handler cannot wake for.
func (c *SharedChannel) unmet(msg any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch msg := msg.(type) {
	case *Message:
		msg.member.socket.pending.Add(-msg.size)
		msg.refuse(whyNot(err))
	case joinMessage:
		c.waiting.Add(-1)
		if !msg.ended {
			msg.refuse(whyNot(err))
			msg.end(nil)
		}
	default:
		c.drop(msg)
	}
}

// wake starts the guest with the stored state, moves it to the plugin's version, and tells it who is there.
func (c *SharedChannel) wake(p *supervisor.Process) error {
	c.mu.Lock()
	if c.process != p {
		c.mu.Unlock()
		return errInterrupted
	}
	version := c.plugin.Next(c.version, c.topic)
	c.event, c.version = abi.EventMembers.String(), version
	c.mu.Unlock()
	if version.scope(c.topic) != PerTopic {
		return errScope
	}
	c.endpoint.Presence.Hold(c)
	guest, err := version.Wake(p, c.topic)
	if err != nil {
		if errors.Is(err, ErrUnmoved) {
			return c.unmoved(err)
		}
		return interruption(p, err)
	}
	if err := c.seat(p, guest); err != nil {
		guest.Close(err)
		return err
	}
	if guest.Woken() || c.entered {
		if err := c.tellMembers(p); err != nil {
			return err
		}
	}
	for _, msg := range guest.Missed() {
		if c.guest != guest {
			break // it will be told when it wakes again
		}
		if err := c.handleOther(p, msg, c.named); err != nil {
			return err
		}
	}
	c.endpoint.Presence.Settle(c)
	if c.guest != nil && c.outdated() {
		if err := c.renew(p, renewMessage{keep: c.plugin.Next(c.version, c.topic).Keep}, c.enter, c.importList, c.named); err != nil {
			return err
		}
	}
	if c.guest == nil {
		return ErrNotStored
	}
	c.endpoint.Readmit(c.plugin, c.topic)
	return nil
}

// seat makes a guest that has woken the handler's.
func (c *SharedChannel) seat(p *supervisor.Process, guest Durable) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return errInterrupted
	}
	c.guest, c.version = guest, guest.Version()
	c.declare(guest.Restored(), true)
	return nil
}

// tellMembers gives the guest the event members.
func (c *SharedChannel) tellMembers(p *supervisor.Process) error {
	c.mu.Lock()
	event := &abi.Event{Kind: abi.EventMembers, Name: c.topic}
	event.Payload, event.Extra = c.membersFields()
	c.keepPresences()
	c.mu.Unlock()
	return c.handleEvent(p, event, c.named)
}

// unmoved ends the handler for good whose state cannot go on in the plugin's version. The topic is refused for a while, or until
// there is another one.
func (h *handler) unmoved(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.final = true
	h.endpoint.refuse(h.plugin, h.topic, Refusal{Unmoved: true, Cause: err.Error()})
	return err
}

// doze has the handler asked later whether it can sleep. One that has no guest has nothing to wait for, nor
// has one that refused whoever came first. Callers hold mu.
func (c *SharedChannel) doze(p *supervisor.Process) error {
	if g, awake := c.guest.(Durable); !awake || !g.Stored() && c.box.Len() == 0 {
		c.final = true
		return reasonAsleep
	}
	if !c.dozing {
		c.dozing, c.active = true, false
		p.SendAfter(cmp.Or(c.version.Idle, idleTime), sleepMessage{})
	}
	return nil
}

// sleep ends the life of a handler that nobody needs at present. The guest is not told, as it will go on.
func (c *SharedChannel) sleep(p *supervisor.Process) error {
	if g, awake := c.guest.(Durable); awake && g.Rests() && g.Save() != nil {
		c.active = true // until it can be stored
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dozing = false
	if c.process != p || !c.idle() {
		return nil
	}
	if g, awake := c.guest.(Durable); awake && (c.active || !g.Rests()) {
		return c.doze(p)
	}
	if c.guest != nil {
		c.guest.Close(reasonAsleep)
		c.guest = nil
	}
	c.final = true
	return reasonAsleep
}

// Wake wakes the durable handler of a plugin's topic, if it sleeps: something waits for it, a timer perhaps. It gets msg,
// unless that is nil, when it is awake. The error says that it cannot begin at present.
func (e *Endpoint) Wake(p Plugin, topic string, msg any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.sharedChannel(sharedKey{p, topic})
	if err != nil {
		return err
	}
	if msg == nil {
		msg = wakeMessage{}
	}
	return c.box.Post(msg)
}

// restateMessage has somebody change what is stored, while no event is at hand.
type restateMessage struct {
	ctx     context.Context // of who waits for the outcome
	change  func() error
	outcome chan<- error // with room for one
}

// Dropped implements [supervisor.Dropper].
func (m restateMessage) Dropped() {
	select {
	case m.outcome <- ErrNotStored:
	default:
	}
}

// Restate changes what is stored of the durable handler of a plugin's topic between two of its events: change is called by the handler's
// process, and what the guest remembers is forgotten, so that the next event wakes it with what is stored then. If ctx ends before it came to
// that, nothing has changed.
func (e *Endpoint) Restate(ctx context.Context, p Plugin, topic string, change func() error) error {
	outcome := make(chan error, 1)
	if err := e.Wake(p, topic, restateMessage{ctx, change, outcome}); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the actor is busy, and nothing has changed unless it has come to that just now: %w", ctx.Err())
	}
}

// restate does what a message says, and has the guest sleep.
func (c *SharedChannel) restate(p *supervisor.Process, m restateMessage) error {
	err := m.ctx.Err() // then nobody waits any more, and was told that nothing has happened
	if err == nil {
		p.Block(func() { err = m.change() })
	}
	c.mu.Lock()
	if err == nil && c.guest != nil {
		c.guest.Close(reasonAsleep)
		c.guest = nil
	}
	c.mu.Unlock()
	m.outcome <- err
	return c.endIfEmpty(p)
}

// Awake reports whether the plugin's topic has a handler in memory, of one for all members.
func (e *Endpoint) Awake(p Plugin, topic string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shared[sharedKey{p, topic}] != nil
}

// Remembered reports whether the handler is durable.
func (c *SharedChannel) Remembered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.durable
}

// Refusal says why a durable topic does not go on.
type Refusal struct {
	Unmoved bool      // its state cannot go on in the plugin's version; else its handler has crashed beyond its intensity
	Until   time.Time // until then nobody can join; whoever comes later has it tried again
	Cause   string    // one line, cut
}

// refused is a durable topic that nobody can join for now, or that could not go on when it was tried last.
type refused struct {
	Refusal
	version *Version // until the plugin has another one
}

// over reports whether nobody need know of a refusal any more.
func (r *refused) over(p Plugin, now time.Time) bool {
	return r.version != p.Current() || !r.Unmoved && now.After(r.Until)
}

// refuse refuses a topic to whoever joins it while the plugin has its present version, for a while: clients come back at
// once, and would only have it crash again.
func (e *Endpoint) refuse(p Plugin, topic string, why Refusal) {
	now := time.Now()
	why.Until = now.Add(refusedFor)
	why.Cause, _, _ = strings.Cut(why.Cause, "\n")
	why.Cause = strings.ToValidUTF8(why.Cause[:min(len(why.Cause), maxRefusal)], "")
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.refused) >= maxRefused {
		maps.DeleteFunc(e.refused, func(key sharedKey, r refused) bool { return r.over(key.plugin, now) })
	}
	if len(e.refused) >= maxRefused {
		clear(e.refused)
	}
	if e.refused == nil {
		e.refused = map[sharedKey]refused{}
	}
	e.refused[sharedKey{p, topic}] = refused{why, p.Current()}
}

// Readmit has a topic tried again at the next join that was refused for a while: what is stored of it is another, or it goes on.
func (e *Endpoint) Readmit(p Plugin, topic string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.refused, sharedKey{p, topic})
}

// Refused returns why a plugin's durable topic does not go on, if that is so. One whose state cannot go on is refused until it does, or there is
// another version, though it is tried again meanwhile. Of some ten thousand such topics all may be forgotten.
func (e *Endpoint) Refused(p Plugin, topic string) (why Refusal, is bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, is := e.refused[sharedKey{p, topic}]
	if !is || r.over(p, time.Now()) {
		return Refusal{}, false
	}
	return r.Refusal, true
}

// refuses says whether a topic is refused at the moment. Callers hold mu.
func (e *Endpoint) refuses(key sharedKey) bool {
	r, is := e.refused[key]
	if !is {
		return false
	}
	now := time.Now()
	if r.over(key.plugin, now) {
		delete(e.refused, key)
		return false
	}
	return now.Before(r.Until)
}
