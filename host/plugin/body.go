package plugin

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// body is a guest as the code of a process, be it a channel handler or one of the
// plugin's own. It turns what comes into the process's mailbox into events, and
// does what the guest asks of its process (operate.go). Only its process uses it.
//
// It implements [channels.Guest] and [sandbox.Process].
type body struct {
	plugin     *Plugin
	release    *release
	process    *supervisor.Process
	guest      *sandbox.Instance
	topic      string // of a channel
	name       string // of another process, for log lines
	terminates bool   // wants the event terminate
	dead       bool   // there is no guest to ask any more
	*holdings         // nil until there is something to hold
}

// holdings are what a process has open with others. Each counts against the
// plugin's limit.
type holdings struct {
	last     uint64 // number given out
	held     int
	owed     map[uint64]*Request // calls that it has to answer
	asked    map[uint64]*asked   // its own requests
	timers   map[uint64]*timer
	monitors map[supervisor.Ref]bool
	// Topics that it has subscribed to, and how to end that.
	subscriptions map[string]func()
	// Processes that it has spawned under no supervisor, and linked itself with; some
	// have ended.
	spawned map[*supervisor.Process]bool
}

// asked is a request of this process.
type asked struct {
	*Request
	target *supervisor.Process
	watch  supervisor.Ref // tells of the target's end, if the answer comes as an event
}

type timer struct {
	*supervisor.Timer
	payload []byte
	binary  bool
}

// newBody starts a guest of a release for a process.
//
// A process may have asked for the current release just before another one replaced
// it and closed this one. It then gets a guest of the other at once; channels
// are among those that are told to move there, and soon know.
func (r *release) newBody(pl *Plugin, p *supervisor.Process, topic, name string) (*body, error) {
	b := &body{plugin: pl, release: r, process: p, topic: topic, name: name}
	var err error
	b.guest, err = r.module.Start(topic, b)
	if next := r.next.Load(); next != nil && errors.Is(err, sandbox.ErrClosed) {
		return next.newBody(pl, p, topic, name)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Name implements [sandbox.Process].
func (b *body) Name() string { return b.name }

// Handle implements [channels.Guest].
func (b *body) Handle(e *abi.Event) ([]abi.Effect, error) {
	start := time.Now()
	effects, err := b.guest.Handle(e)
	b.release.latency.observe(time.Since(start))
	if err == nil {
		return effects, nil
	}
	if errors.Is(err, sandbox.ErrTooLarge) {
		if e.Kind == abi.EventCall {
			b.takeOwed(e.Name).Fail(abi.CodeTooLarge)
		}
		return nil, channels.ErrTooLarge
	}
	b.dead = true
	var trap *sandbox.Trap
	if errors.As(err, &trap) && trap.Kind == sandbox.KindEnded {
		if reason := b.process.StopReason(); reason != nil {
			return nil, reason
		}
	}
	return nil, err
}

// Message implements [channels.Guest].
func (b *body) Message(msg any) (e abi.Event, ok bool) {
	switch msg := msg.(type) {
	case *Request:
		msg.plugin.unqueue(len(msg.Question))
		return b.called(abi.EventCall, msg), true
	case *Message:
		msg.plugin.unqueue(len(msg.Payload))
		return abi.Event{Kind: msg.Kind, Payload: msg.Payload, Flags: binaryFlag(msg.Binary)}, true
	case broadcasted:
		return abi.Event{
			Kind: abi.EventBroadcast, Name: msg.Event, Payload: msg.Payload, Detail: msg.Topic, Flags: binaryFlag(msg.Binary),
		}, true
	case answered:
		return b.replied(msg.id)
	case fired:
		return b.fired(msg.id)
	case supervisor.Down:
		return b.down(msg)
	case supervisor.Exit:
		b.drop()
		return abi.Event{Kind: abi.EventExit, Name: pidOf(msg.From), Payload: []byte(msg.Reason.Error())}, true
	}
	return abi.Event{}, false
}

// called makes the event that gives a question to the guest, and a token for its
// answer.
func (b *body) called(kind abi.Kind, r *Request) abi.Event {
	b.own()
	b.last++
	b.owed[b.last] = r
	return abi.Event{Kind: kind, Name: strconv.FormatUint(b.last, 10), Payload: r.Question, Flags: binaryFlag(r.Binary)}
}

func (b *body) replied(id uint64) (e abi.Event, ok bool) {
	a := b.takeAsked(id)
	if a == nil {
		return abi.Event{}, false // awaited meanwhile
	}
	e = abi.Event{Kind: abi.EventReply, Name: strconv.FormatUint(id, 10), Payload: a.answer, Flags: binaryFlag(a.binary)}
	if a.err != nil {
		reason, code := codeOf(a.err)
		if reason == nil {
			reason = []byte(code.Error())
		}
		e.Flags, e.Payload = abi.Failed, reason
	}
	return e, true
}

func (b *body) fired(id uint64) (e abi.Event, ok bool) {
	t := b.takeTimer(id)
	if t == nil {
		return abi.Event{}, false // cancelled meanwhile
	}
	return abi.Event{Kind: abi.EventInfo, Payload: t.payload, Flags: binaryFlag(t.binary)}, true
}

// down takes the end of a process that the guest monitors, or that owes it an
// answer.
func (b *body) down(d supervisor.Down) (e abi.Event, ok bool) {
	if b.holdings == nil {
		return abi.Event{}, false
	}
	if b.monitors[d.Ref] {
		delete(b.monitors, d.Ref)
		b.drop()
		return abi.Event{Kind: abi.EventDown, Name: refText(d.Ref), Payload: []byte(d.Reason.Error()), Detail: pidOf(d.Process)}, true
	}
	for id, a := range b.asked {
		if a.watch == d.Ref {
			a.Fail(&EndedError{d.Reason})
			return b.replied(id)
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
	case abi.EffectHibernate:
		b.guest.Hibernate()
	case abi.EffectPublish:
		_ = b.plugin.set.endpoint.Publish(e.Detail, e.Name, e.Payload, e.Flags&abi.Binary != 0) // it was checked
	case abi.EffectSubscribe:
		b.subscribe(e.Name)
	case abi.EffectUnsubscribe:
		b.unsubscribe(e.Name)
	case abi.EffectDisconnect:
		b.plugin.set.endpoint.Disconnect(e.Name)
	}
}

// Adopt implements [channels.Guest].
func (b *body) Adopt(other channels.Guest) {
	from := other.(*body)
	b.holdings, from.holdings = from.holdings, nil
	b.terminates = b.terminates || from.terminates
}

// Wants implements [channels.Guest].
func (b *body) Wants(kind abi.Kind) bool {
	return kind == abi.EventTerminate && b.terminates && !b.dead
}

// Release implements [channels.Guest].
func (b *body) Release() { b.guest.Release() }

// Close implements [channels.Guest]: who waits for an answer hears that there
// will be none.
func (b *body) Close(reason error) {
	b.guest.Close()
	h := b.holdings
	if h == nil {
		return
	}
	b.holdings = nil
	for _, r := range h.owed {
		r.Fail(&EndedError{reason})
	}
	for _, t := range h.timers {
		t.Cancel()
	}
	for _, cancel := range h.subscriptions {
		cancel()
	}
	for ref := range h.monitors {
		b.process.Demonitor(ref)
	}
	for _, a := range h.asked {
		if a.watch != 0 {
			b.process.Demonitor(a.watch)
		}
	}
	b.plugin.references.Add(-int64(h.held))
	if errors.Is(reason, errReplaced) { // else the process ends, and they with it
		for p := range h.spawned {
			b.process.Unlink(p)
			_ = p.Exit(b.process, reason) // or it has ended
		}
	}
}

// own makes the holdings.
func (b *body) own() {
	if b.holdings == nil {
		b.holdings = &holdings{
			owed: map[uint64]*Request{}, asked: map[uint64]*asked{},
			timers: map[uint64]*timer{}, monitors: map[supervisor.Ref]bool{},
			subscriptions: map[string]func(){}, spawned: map[*supervisor.Process]bool{},
		}
	}
}

// spawns notes a process that does not outlive the guest. Of those that have ended some
// are forgotten now and then.
func (b *body) spawns(p *supervisor.Process) {
	b.own()
	if n := len(b.holdings.spawned); n >= 16 && n&(n-1) == 0 {
		maps.DeleteFunc(b.holdings.spawned, func(p *supervisor.Process, _ bool) bool { return p.Reason() != nil })
	}
	b.holdings.spawned[p] = true
}

// hold counts one thing more that is open, if the plugin may have it.
func (b *body) hold() error {
	if b.plugin.references.Add(1) > int64(b.release.settings.References) {
		b.plugin.references.Add(-1)
		return abi.CodeLimit
	}
	b.own()
	b.held++
	return nil
}

func (b *body) drop() {
	if b.holdings != nil && b.held > 0 {
		b.held--
		b.plugin.references.Add(-1)
	}
}

// takeOwed returns the call with a token. A token that there is not, or no more,
// gives one that nobody waits for.
func (b *body) takeOwed(token string) *Request {
	if id, err := strconv.ParseUint(token, 10, 64); err == nil && b.holdings != nil {
		if r := b.owed[id]; r != nil {
			delete(b.owed, id)
			return r
		}
	}
	return newRequest(nil, false)
}

func (b *body) takeAsked(id uint64) *asked {
	if b.holdings == nil || b.asked[id] == nil {
		return nil
	}
	a := b.asked[id]
	delete(b.asked, id)
	b.drop()
	if a.watch != 0 {
		b.process.Demonitor(a.watch)
	}
	return a
}

func (b *body) takeTimer(id uint64) *timer {
	if b.holdings == nil || b.timers[id] == nil {
		return nil
	}
	t := b.timers[id]
	delete(b.timers, id)
	b.drop()
	return t
}

func binaryFlag(binary bool) abi.Flags {
	if binary {
		return abi.Binary
	}
	return 0
}

func refText(r supervisor.Ref) string { return strconv.FormatUint(uint64(r), 10) }

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
