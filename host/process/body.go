package process

import (
	"errors"
	"maps"
	"strings"
	"time"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// body is a guest as the code of a process, a channel handler or a worker. It turns the
// messages in the process's mailbox into events, and carries out the guest's operations
// (operate.go). Only its process uses it.
//
// It implements [channels.Guest] and [sandbox.Process].
type body struct {
	home       *Home
	release    *release.Release
	process    *supervisor.Process
	guest      sandbox.Instance // with the topic of a channel
	terminates bool             // wants the event terminate
	parts      bool             // wants the event away
	returns    bool             // wants the event back
	dead       bool             // there is no guest to ask any more
	event      supervisor.Ref   // id of the event at hand; 0 until it is asked for
	*holdings                   // nil until there is something to hold
	memory     *memory          // of a durable actor; else nil
	spoken     *[]spoken        // broadcasts of the event at hand that were to be stored; else nil
}

// holdings are the requests, timers, links and so on that a process has open. The counts
// against its plugin's bounds are derived from them, see things and settle (budget.go).
type holdings struct {
	owed     map[supervisor.Ref]*ask.Request // calls that it has to answer
	sweep    int                             // of how many calls owed those are forgotten that have ended
	asked    map[supervisor.Ref]*asked       // its own requests
	timers   map[supervisor.Ref]*timer
	monitors map[supervisor.Ref]string // the pid, of a durable actor
	// Processes that it has asked to be linked with, and the monitor that tells of the end.
	links         map[*supervisor.Process]supervisor.Ref
	subscriptions map[string]*subscription
	intercepts    map[string]bool // events of which it may get the broadcasts as out
	// Processes that it has spawned under no supervisor, and linked itself with; some
	// have ended.
	spawned map[*supervisor.Process]bool

	held  int // things that are counted
	bytes int // of timers, subscriptions and intercepts
}

// things returns how many of them count.
func (h *holdings) things() int {
	return len(h.asked) + len(h.timers) + len(h.monitors) + len(h.links) + len(h.subscriptions) + len(h.intercepts)
}

// asked is a request of this process.
type asked struct {
	*ask.Request
	target peer
	watch  supervisor.Ref // tells of the target's end, if the answer comes as an event
}

type timer struct {
	*supervisor.Timer
	id      supervisor.Ref
	payload []byte
	binary  bool
	due     time.Time     // by the clock on the wall
	after   time.Duration // that it was set to
	missed  bool          // it was due before its actor woke
}

// fired says that a timer has fired.
type fired struct{ *timer }

// newBody starts a guest of a release for a process.
//
// A process may have asked for the current release just before another one replaced it
// and closed this one. It then gets a guest of the other release at once; a channel is
// asked to move there, and soon knows.
func (h *Home) newBody(r *release.Release, p *supervisor.Process, topic string) (*body, error) {
	b := &body{home: h, release: r, process: p}
	err := r.Module.StartIn(&b.guest, topic, b)
	if next := r.Next(); next != nil && errors.Is(err, sandbox.ErrClosed) {
		return h.newBody(next, p, topic)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// NewHandler starts a guest of a release for the life of a channel handler.
func (h *Home) NewHandler(r *release.Release, p *supervisor.Process, topic string) (channels.Guest, error) {
	b, err := h.newBody(r, p, topic)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Name implements [sandbox.Process]. A channel has none.
func (b *body) Name() string {
	switch a := b.process.Actor().(type) {
	case *Worker:
		return a.Label()
	case *connector:
		return "connect"
	}
	return ""
}

// Handle implements [channels.Guest].
func (b *body) Handle(e *abi.Event) ([]abi.Effect, error) {
	if b.memory != nil {
		if err := b.beginEvent(e); err != nil {
			return nil, err
		}
	}
	b.event = 0
	effects, err := b.guest.Handle(e)
	b.release.Latency.Observe(b.guest.Took())
	if err == nil {
		return effects, nil
	}
	if errors.Is(err, sandbox.ErrTooLarge) {
		if e.Kind == abi.EventCall {
			b.takeOwed(e.Name).Fail(abi.CodeTooLarge)
		}
		if b.memory != nil {
			b.memory.decide(err)
			b.triedInVain(err)
		}
		return nil, channels.ErrTooLarge
	}
	b.dead = true
	var trap *sandbox.Trap
	if errors.As(err, &trap) && trap.Kind == sandbox.KindEnded {
		switch reason := b.process.StopReason(); {
		case errors.Is(reason, channels.ErrTooLarge): // of another process, which this one is linked with
			return nil, errors.New(reason.Error())
		case reason != nil:
			return nil, reason
		}
	}
	if b.memory != nil {
		err = b.memory.crashed(b.home, err)
	}
	return nil, err
}

// Message implements [channels.Guest].
func (b *body) Message(msg any) (e abi.Event, ok bool) {
	switch msg := msg.(type) {
	case *ask.Request:
		return b.called(abi.EventCall, msg), true
	case *ask.Message:
		msg.Dropped()
		return abi.Event{Kind: msg.Kind, Payload: msg.Payload, Flags: binaryFlag(msg.Binary)}, true
	case broadcasted:
		msg.Dropped()
		return abi.Event{
			Kind: abi.EventBroadcast, Name: msg.Event, Payload: msg.Payload, Detail: msg.Topic, Flags: binaryFlag(msg.Binary),
		}, true
	case ask.Answered:
		return b.replied(msg.Request)
	case fired:
		return b.fired(msg.timer)
	case missed:
		return b.misses(msg)
	case postsWait:
		return b.nextPost()
	case decision:
		return b.decided(msg)
	case supervisor.Down:
		return b.down(msg)
	case supervisor.Exit:
		return abi.Event{Kind: abi.EventExit, Name: pidOf(msg.From), Payload: []byte(msg.Reason.Error())}, true
	}
	return abi.Event{}, false
}

// called makes the event that gives a question to the guest, with a token for the answer.
func (b *body) called(kind abi.Kind, r *ask.Request) abi.Event {
	b.own()
	// Calls that have ended are not owed any more. For each of the others an asker waits,
	// and the number of those is bounded.
	if n := len(b.owed); n >= b.sweep {
		maps.DeleteFunc(b.owed, func(_ supervisor.Ref, r *ask.Request) bool { return r.Ended() })
		b.sweep = max(16, 2*len(b.owed))
	}
	token := b.process.Runtime().NewRef()
	b.owed[token] = r
	return abi.Event{Kind: kind, Name: b.textOf(token), Payload: r.Take(), Flags: binaryFlag(r.Binary)}
}

func (b *body) replied(r *ask.Request) (e abi.Event, ok bool) {
	a := b.takeAsked(r)
	if a == nil {
		return abi.Event{}, false // awaited meanwhile, or asked by a guest before this one
	}
	answer, binary, err := a.Fetch()
	e = abi.Event{Kind: abi.EventReply, Name: b.textOf(a.ID), Payload: answer, Flags: binaryFlag(binary)}
	if err != nil {
		reason, code := ask.CodeOf(err)
		if reason == nil {
			reason = []byte(code.Error())
		}
		e.Flags, e.Payload = abi.Failed, reason
	}
	return e, true
}

func (b *body) fired(t *timer) (e abi.Event, ok bool) {
	if b.takeTimer(t.id, t) == nil {
		return abi.Event{}, false // cancelled meanwhile, or of a guest before this one
	}
	e = abi.Event{Kind: abi.EventInfo, Payload: t.payload, Flags: binaryFlag(t.binary)}
	if b.memory != nil {
		return e, b.timed(t, &e)
	}
	return e, true
}

// down takes the end of a process that the guest monitors, that it is linked with, or that
// owes it an answer.
func (b *body) down(d supervisor.Down) (e abi.Event, ok bool) {
	if b.holdings == nil {
		return abi.Event{}, false
	}
	if _, monitors := b.monitors[d.Ref]; monitors {
		delete(b.monitors, d.Ref)
		b.settle(0)
		return abi.Event{Kind: abi.EventDown, Name: b.textOf(d.Ref), Payload: []byte(d.Reason.Error()), Detail: pidOf(d.Process)}, true
	}
	if b.links[d.Process] == d.Ref {
		delete(b.links, d.Process)
		b.settle(0)
		return abi.Event{}, false // if it is to hear of that, an Exit tells it
	}
	for _, a := range b.asked {
		if a.watch == d.Ref {
			a.Lose(d.Reason)
			return b.replied(a.Request)
		}
	}
	return abi.Event{}, false
}

// Apply implements [channels.Guest].
func (b *body) Apply(e *abi.Effect) {
	switch e.Kind {
	case abi.EffectAnswer:
		b.takeOwed(e.Name).Answer(e.Payload, e.Flags&abi.Binary != 0)
	case abi.EffectWants:
		b.terminates = b.terminates || e.Name == abi.EventTerminate.String()
		b.parts = b.parts || e.Name == abi.EventAway.String()
		b.returns = b.returns || e.Name == abi.EventBack.String()
	case abi.EffectHibernate:
		b.guest.Hibernate()
	case abi.EffectPublish:
		if s, stored := b.Said(e); !stored {
			b.publish(e)
		} else if s != nil {
			s.Release()
		}
	case abi.EffectSubscribe:
		b.subscribe(e.Name)
	case abi.EffectUnsubscribe:
		b.unsubscribe(e.Name)
	case abi.EffectDisconnect:
		b.home.Node.Endpoint.Disconnect(e.Name)
	}
}

// Adopt implements [channels.Guest].
func (b *body) Adopt(other channels.Guest) {
	from := other.(*body)
	b.holdings, from.holdings = from.holdings, nil
	if from.memory != nil {
		b.memory, from.memory = from.memory, nil
	}
	b.terminates = b.terminates || from.terminates
	b.parts = b.parts || from.parts
	b.returns = b.returns || from.returns
}

// Wants implements [channels.Guest].
func (b *body) Wants(kind abi.Kind) bool {
	wanted := kind == abi.EventTerminate && b.terminates || kind == abi.EventAway && b.parts || kind == abi.EventBack && b.returns
	return wanted && !b.dead
}

// Release implements [channels.Guest].
func (b *body) Release() {
	b.sendRest()
	b.guest.Release()
}

// Close implements [channels.Guest]: processes that wait for an answer are told that
// there will be none.
func (b *body) Close(reason error) {
	b.sendRest()
	b.guest.Close()
	if errors.Is(reason, channels.Replaced) {
		b.part(reason)
	}
	if b.memory != nil {
		b.undo(reason)
	}
	h := b.holdings
	if h == nil {
		return
	}
	b.holdings = nil
	h.settleAll(b.home)
	for _, r := range h.owed {
		r.Fail(&ask.EndedError{Reason: reason})
	}
	for _, t := range h.timers {
		t.Cancel()
	}
	for _, s := range h.subscriptions {
		s.end()
	}
	for ref := range h.monitors {
		b.process.Demonitor(ref)
	}
	for _, a := range h.asked {
		if a.watch != 0 {
			b.process.Demonitor(a.watch)
		}
		a.Forget(&ask.EndedError{Reason: reason})
	}
	for _, watch := range h.links {
		b.process.Demonitor(watch)
	}
}

// part parts the process, which goes on with another guest, from those that would have ended with it.
func (b *body) part(reason error) {
	if b.holdings == nil {
		return
	}
	for p := range b.links {
		b.process.Unlink(p)
	}
	for p := range b.spawned {
		b.process.Unlink(p)
		_ = p.Exit(b.process, reason) // or it has ended
	}
}

// own makes the holdings.
func (b *body) own() {
	if b.holdings == nil {
		b.holdings = &holdings{
			owed: map[supervisor.Ref]*ask.Request{}, asked: map[supervisor.Ref]*asked{},
			timers: map[supervisor.Ref]*timer{}, monitors: map[supervisor.Ref]string{},
			links: map[*supervisor.Process]supervisor.Ref{}, subscriptions: map[string]*subscription{},
			intercepts: map[string]bool{}, spawned: map[*supervisor.Process]bool{},
		}
	}
}

// spawns notes a process that does not outlive the guest. Now and then it forgets
// processes that have ended.
func (b *body) spawns(p *supervisor.Process) {
	b.own()
	if n := len(b.holdings.spawned); n >= 16 && n&(n-1) == 0 {
		maps.DeleteFunc(b.holdings.spawned, func(p *supervisor.Process, _ bool) bool { return p.Reason() != nil })
	}
	b.holdings.spawned[p] = true
}

// begets notes a process that ends if the event at hand is not stored.
func (b *body) begets(p *supervisor.Process) {
	if b.memory != nil {
		b.memory.shown = true
		b.memory.spawned = append(b.memory.spawned, p)
	}
}

// takeOwed returns the call with a token. For an unknown token it returns a call that
// nobody waits for.
func (b *body) takeOwed(token string) *ask.Request {
	if b.holdings != nil {
		ref := b.refOf(token)
		if r := b.owed[ref]; r != nil {
			delete(b.owed, ref)
			return r
		}
	}
	return ask.New(nil, nil, nil, false)
}

// takeAsked takes a request out of the holdings, if it is still there.
func (b *body) takeAsked(r *ask.Request) *asked {
	if b.holdings == nil || b.asked[r.ID] == nil || b.asked[r.ID].Request != r {
		return nil
	}
	a := b.asked[r.ID]
	delete(b.asked, r.ID)
	b.settle(0)
	if a.watch != 0 {
		b.process.Demonitor(a.watch)
	}
	return a
}

// takeTimer takes the timer with the id out of the holdings; with t, only if it is t.
func (b *body) takeTimer(id supervisor.Ref, t *timer) *timer {
	if b.holdings == nil || b.timers[id] == nil || t != nil && b.timers[id] != t {
		return nil
	}
	t = b.timers[id]
	delete(b.timers, id)
	b.settle(len(t.payload))
	return t
}

func binaryFlag(binary bool) abi.Flags {
	if binary {
		return abi.Binary
	}
	return 0
}

// Usage implements [supervisor.Meter].
func (b *body) Usage() supervisor.Usage {
	reductions, memory := b.guest.Usage()
	return supervisor.Usage{Reductions: reductions, Memory: memory}
}

// printable bounds a text of a guest that will be read by people.
func printable(text []byte) string {
	const longest = 300
	if len(text) > longest {
		text = text[:longest]
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
