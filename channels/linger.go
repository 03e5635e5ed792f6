package channels

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// A Channel can outlast a connection that breaks, if its version lingers ([Version].Linger). Its client is told a key by the event
// resume, behind the reply to the join, and sends it with its next join, over whatever connection:
//
//	            ┌────────────── back: accepted, a new key ◄───────────────┐
//	            ▼                                                         │
//	joined ── attached ──── connection breaks, is taken over ──► away ────┴─── back: refused ───┐
//	            │                                                 │  ▲                          │
//	            │                                                 │  └──────────────────────────┘
//	      leave, drain, kick,                                     │
//	      duplicate join, crash …                   time is over, too many, overflow, crash, drain
//	            ▼                                                 ▼
//	          gone                                              gone
//
// Away, the process, its guest, its mailbox and its presences are as before; the guest gets its messages and timers, and
// sleeps like any that rests. Its member has a socket that leads nowhere, as all have that are away. What the guest pushes meanwhile is kept, in bounds, and sent
// behind the reply to the next join. Broadcasts are not: who wants them has a history, and sends since besides. Those that the
// guest intercepts it gets as ever. They all may wait in the mailbox; what does not fit ends the handler, as its client could not
// know what it missed.
//
// All that comes from connections goes through the mailbox. A socket that closes posts awayMessage behind the messages that it
// gave before. A join with a key posts backMessage. If that finds the old connection still attached, it has its socket hold its frames,
// and posts awayMessage for it and itself behind that. So whatever order a break and a join come in, away comes before back.
//
// Why does a crash away end the handler, when a restart would have replayed its join? What lingers for is gone: the memory. The next join
// is an ordinary one, which knows the client better than the replay of an old one.
//
// Why does a handler that refuses stay away? A client with an old token is refused, gets another one, and is accepted. A guest that
// wants to end stops itself.
//
// Why are tokens of messages worth nothing after a break? The next connection may be that of another program, in which the
// same ref is that of another message.

// Lingering says for how long handlers of one join stay when their connection has broken, and how many of them. The zero value
// is not at all.
type Lingering struct {
	For time.Duration
	// Most is how many of the plugin may be away at a time, PerAddress of those whose client had the same address, and PerID of
	// those whose socket had the same id. The oldest goes first. Zero or less: no bound.
	Most, PerAddress, PerID int
}

// Bounds of what is kept for a client that is away.
const (
	// maxKeptPushes and maxKeptBytes bound the pushes.
	maxKeptPushes, maxKeptBytes = 100, 64 << 10
	// keptPushSize is what a push takes besides its texts.
	keptPushSize = 96
	// maxShown bounds the topics whose presences are shown again.
	maxShown = 16
)

// The event by which a client learns its key. The member of a join's payload that has it is called the same.
const eventResume = "resume"

// linger is what a Channel needs to outlast its connection. It is made with the first join, and stays.
type linger struct {
	channel *Channel

	// Guarded by lingers.mu.
	keys    [2]keyHash // the newest, and the one before until the client has used the newest; zero for none
	waiting            // while it is away

	// Guarded by the handler's mu.
	kept *kepts // nil for nothing
}

// kepts is what is kept for a client that is away, or might be.
type kepts struct {
	assigns string     // of the connection before
	coming  *member    // that comes back, while the guest decides
	number  uint64     // tells whose broadcast_from a message in a history was; 0 until there was one
	pushes  []keptPush // while it is away
	bytes   int        // of pushes
	full    bool       // there was no room for one more
	shown   []string   // topics whose presences it has shown
}

// keeps returns what is kept, which is made if need be. Callers hold the handler's mu.
func (x *linger) keeps() *kepts {
	if x.kept == nil {
		x.kept = &kepts{}
	}
	return x.kept
}

// keptPush is a push that waits for the client.
type keptPush struct {
	name    string
	payload []byte
	binary  bool
}

// awayMessage says that a member's connection has ended, or is taken over.
type awayMessage struct {
	member *member
	reason error
}

// backMessage is a join that has a handler's key.
type backMessage struct {
	member *member
	key    keyHash
}

// overMessage ends a handler that has been away long enough.
type overMessage struct {
	turn   uint64 // in which it went away
	reason error
}

// Why the connection of a handler that lingers is gone, besides reasonClosed, and why it ends, besides that.
var (
	reasonTaken    = supervisor.ShutdownBecause("taken_over")
	reasonOverflow = supervisor.ShutdownBecause("overflow")
)

// said is the number by which the history knows what the handler says to all but its own client. Callers hold the handler's mu.
func (x *linger) said(l *lingers) uint64 {
	k := x.keeps()
	if k.number == 0 {
		k.number = l.number()
	}
	return k.number
}

// comeback says of a member whether it comes back to its handler, and by which number the history knows what that said itself.
type comeback struct {
	ok     bool
	number uint64 // 0 for nothing
}

// assigns are those of the client's connection, or of the one before if it is away. Callers hold the handler's mu, or are its process.
func (m *member) assigns() string {
	switch {
	case !m.away:
		return m.socket.assigns
	case m.channel.(*Channel).linger.kept == nil:
		return ""
	}
	return m.channel.(*Channel).linger.kept.assigns
}

// nowhere is the outbox of a member that is away.
type nowhere struct{}

func (nowhere) Send(Frame) {}

// away reports whether the client is away. Callers hold mu, or are its process.
func (h *handler) away() bool { return h.sole != nil && h.sole.away }

// lingers begins to, if the version does, and returns the frames that tell the client.
func (c *Channel) lingers() []Frame {
	if c.version.Linger.For <= 0 {
		return nil
	}
	var key string
	c.linger, key = c.endpoint.lingers.open(c, c.sole.socket.id())
	return []Frame{c.sole.keyFrame(key, false)}
}

// keyFrame tells the client its key, and whether this join has found the handler of the one before.
func (m *member) keyFrame(key string, resumed bool) Frame {
	return m.socket.encode(&Outgoing{
		Kind: Push, JoinRef: m.outRef(), Topic: m.Topic, Name: eventResume,
		Payload: fmt.Appendf(nil, `{"key":%q,"resumed":%t}`, key, resumed),
	})
}

// dismiss implements channel: the handler ends, or is away from now on.
func (c *Channel) dismiss(m *member, reason error) {
	broke := errors.Is(reason, reasonTaken) || errors.Is(reason, reasonClosed) && !m.socket.refused.Load()
	if !broke || !m.lingers || m.state == ending {
		c.tree.Stop(c, reason)
		return
	}
	m.dismissed.Store(true)
	_ = c.box.Post(awayMessage{m, reason}) // or it has ended, and says so
}

// handleAway takes the client's connection from the handler, and tells the guest.
func (c *Channel) handleAway(p *supervisor.Process, msg awayMessage) error {
	c.mu.Lock()
	switch {
	case c.process != p:
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	case c.sole != msg.member || c.sole.away: // it was taken over before, or its join was not accepted
		c.mu.Unlock()
		return nil
	case c.version.Linger.For <= 0: // not any more
		c.final = true
		c.mu.Unlock()
		return reasonClosed
	}
	c.detach(msg.reason)
	wants := c.guest.Wants(abi.EventAway)
	c.event = ""
	if wants {
		c.event = abi.EventAway.String()
	}
	c.mu.Unlock()
	if !wants {
		return nil
	}
	return c.handleEvent(p, &abi.Event{Kind: abi.EventAway, Name: c.topic, Payload: []byte(supervisor.Detail(msg.reason))}, c.only)
}

// detach makes the member one whose client is away. Callers hold mu.
func (c *Channel) detach(reason error) {
	m, was := c.sole, c.sole.socket
	hub := c.endpoint.Hub
	var last *Frame
	if errors.Is(reason, reasonTaken) {
		f := m.closeFrame()
		last = &f
	}
	if c.interceptor() != nil {
		hub.mute(&m.Subscription)
	} else {
		hub.Unsubscribe(&m.Subscription)
		m.Codec, m.Out = V2, nowhere{}
	}
	was.ended(m, last)
	m.away = true
	m.socket = &c.endpoint.nowhere
	if was.assigns != "" || c.linger.kept != nil {
		c.linger.keeps().assigns = was.assigns
	}
	m.held, m.state = nil, serving
	m.dismissed.Store(false)
	c.ref = c.process.Runtime().NewRef() // tokens of before are worth nothing
	c.box.Rest()
	for _, old := range c.endpoint.lingers.wait(c.linger, addressOf(was.out), was.id(), c.version.Linger) {
		old.over(reasonClosed)
	}
}

// addressOf is where the client of an outbox is, or was, if that is known.
func addressOf(out Outbox) string {
	if a, ok := out.(interface{ Address() string }); ok {
		return a.Address()
	}
	return ""
}

// over ends a handler that waits in vain.
func (x waiter) over(reason error) { _ = x.channel.box.Post(overMessage{x.turn, reason}) }

// handleOver ends the handler, unless its client is back.
func (c *Channel) handleOver(msg overMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger == nil || !c.sole.away || c.endpoint.lingers.turn(c.linger) > msg.turn {
		return nil
	}
	c.final = true
	return msg.reason
}

// overflows ends a handler that is away, and for whose guest a broadcast found no room. Callers may hold the lock of a hub's shard.
func (h *handler) overflows() {
	if h.linger == nil {
		return
	}
	if x, away := h.endpoint.lingers.overflow(h.linger); away {
		x.over(reasonOverflow)
	}
}

// back gives a join with the handler's key to it. It returns nil if the handler has ended. Callers hold the socket's lock.
func (c *Channel) back(s *Socket, join Message, old *member, key keyHash) *member {
	m := &member{channel: c}
	m.init(s, join, old)
	m.lingers = true
	if c.box.Post(backMessage{m, key}) != nil { // past the bound, as a socket has one join of the topic at a time
		return nil
	}
	return m
}

// handleBack lets the guest decide about a client that comes back.
func (c *Channel) handleBack(p *supervisor.Process, msg backMessage) error {
	m := msg.member
	c.mu.Lock()
	switch {
	case c.process != p:
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	case m.dismissed.Load(): // its connection has ended, too
		m.end(nil)
		c.mu.Unlock()
		return nil
	case c.sole.away && !c.endpoint.lingers.isAway(c.linger): // its time is over: an overMessage is under way
		c.final = true
		c.putBack(msg) // Exited has it join anew
		c.mu.Unlock()
		return reasonClosed
	case !c.sole.away:
		c.sole.socket.holdAll(c.sole)
		_ = c.box.Post(awayMessage{c.sole, reasonTaken})
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	}
	c.event, c.linger.keeps().coming = abi.EventBack.String(), m
	c.mu.Unlock()

	var effects []abi.Effect
	var err error
	if c.guest.Wants(abi.EventBack) { // else it accepts everybody
		event := m.joinEvent()
		event.Kind = abi.EventBack
		effects, err = c.ask(p, event, &Message{member: m, Ref: m.ref()})
	}
	reply := replyIn(effects)
	if err == nil && m.checkAnswer(reply) != nil {
		err = blame(c.guest, false, fmt.Errorf("reply %.100q: %w", reply.status, m.checkAnswer(reply)))
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return nil
	}
	switch {
	case errors.Is(err, errInterrupted):
		return nil // Exited has it join anew
	case errors.Is(err, ErrTooLarge):
		reply = refusal(reasonTooLarge)
	case err != nil:
		return fmt.Errorf("back: %w", err) // Exited answers it
	}
	c.linger.kept.coming = nil
	if reply.status != statusOK {
		m.refuse(reply)
		stop := c.apply(effects, c.sole, nil, c.only)
		m.end(nil)
		return c.finish(stop)
	}
	c.attach(m, reply, msg.key)
	c.showAgain(effects)
	stop := c.apply(effects, m, nil, c.only)
	m.socket.accepted(m, true)
	return c.finish(stop)
}

// attach puts m in the place of the member that was away. Callers hold mu.
func (c *Channel) attach(m *member, reply answer, used keyHash) {
	was := c.sole
	c.sole = m
	m.answered, m.joined = true, true
	m.before = c.interceptor()
	first := []Frame{m.socket.encode(m.joinReply(reply))}
	if m.old != nil {
		first = append(first, m.socket.encode(m.old.closing()))
		m.old = nil
	}
	first = append(first, m.keyFrame(c.endpoint.lingers.back(c.linger, used, m.socket.id()), true))
	for _, k := range c.takePushes() {
		o := Outgoing{Kind: Push, JoinRef: m.outRef(), Topic: m.Topic, Name: k.name, Payload: k.payload, Binary: k.binary}
		if m.Codec.Check(&o) != nil {
			c.endpoint.Hub.undelivered.Add(1)
			continue
		}
		first = append(first, m.socket.encode(&o))
	}
	c.endpoint.counts.accepted.Add(1)
	c.endpoint.counts.direct.Add(uint64(len(first)))
	again := comeback{ok: true}
	if c.linger.kept != nil {
		again.number = c.linger.kept.number
	}
	c.endpoint.Hub.replace(&was.Subscription, m, first, again)
}

// keep keeps a push for the client, which is away. Callers hold mu.
func (c *Channel) keep(e *abi.Effect) {
	x := c.linger.keeps()
	size := keptPushSize + len(e.Name) + len(e.Payload)
	switch {
	case x.full:
		return
	case len(x.pushes) == maxKeptPushes || x.bytes+size > maxKeptBytes || !c.plugin.Keep(size):
		x.full = true // apply ends it
		c.endpoint.lingers.overflow(c.linger)
		return
	}
	x.bytes += size
	x.pushes = append(x.pushes, keptPush{e.Name, slices.Clone(e.Payload), e.Flags&abi.Binary != 0})
}

// takePushes returns what was kept, which is the caller's then. Callers hold mu.
func (c *Channel) takePushes() []keptPush {
	x := c.linger.kept
	if x == nil {
		return nil
	}
	for _, k := range x.pushes {
		c.plugin.Give(keptPushSize + len(k.name) + len(k.payload))
	}
	pushes := x.pushes
	x.pushes, x.bytes, x.full = nil, 0, false
	return pushes
}

// shows notes that the client is shown the presences of a topic. Callers hold mu.
func (x *kepts) shows(topic string) {
	if !slices.Contains(x.shown, topic) && len(x.shown) < maxShown {
		x.shown = append(x.shown, topic)
	}
}

// showAgain shows a client that is back the presences that it was shown before, unless the guest does: it has missed what changed.
// Callers hold mu.
func (c *Channel) showAgain(effects []abi.Effect) {
	if c.linger.kept == nil {
		return
	}
	for _, topic := range c.linger.kept.shown {
		shows := func(e abi.Effect) bool {
			return e.Kind == abi.EffectPresent && (e.Name == topic || e.Name == "" && topic == c.topic)
		}
		if !slices.ContainsFunc(effects, shows) {
			c.present(&abi.Effect{Kind: abi.EffectPresent, Name: topic}, c.sole)
		}
	}
}

// endLinger ends what there is for a client that might come back, as nobody can any more. It returns the member who was just
// coming. Callers hold mu.
func (c *Channel) endLinger() (coming *member) {
	if c.linger == nil {
		return nil
	}
	c.endpoint.lingers.forget(c.linger)
	c.takePushes()
	if k := c.linger.kept; k != nil {
		coming, k.coming = k.coming, nil
	}
	return coming
}

// resume gives a join to the handler whose key it has, and returns nil if there is none. Callers hold mu.
func (s *Socket) resume(p Plugin, join Message, old *member) *member {
	c, key := s.keyed(p, &join)
	if c == nil {
		return nil
	}
	return c.back(s, join, old, key)
}

// resumes reports whether a join has the key of a member's handler. Callers hold mu.
func (s *Socket) resumes(join *Message, at *member) bool {
	c, isChannel := at.channel.(*Channel)
	if !isChannel {
		return false
	}
	found, _ := s.keyed(c.plugin, join)
	return found == c
}

// keyed returns the handler of the plugin whose key a join has.
func (s *Socket) keyed(p Plugin, join *Message) (*Channel, keyHash) {
	l := &s.endpoint.lingers
	if l.keyed.Load() == 0 || join.Binary {
		return nil, keyHash{}
	}
	return l.find(resumeKey(join.Payload), s.id(), join.Topic, p)
}

// id is the socket's ID, or empty.
func (s *Socket) id() string {
	if s.named == nil {
		return ""
	}
	return s.named.id
}

// resumeKey is the key in the payload of a join, or empty. Everything that is not exactly a key is the application's own.
func resumeKey(payload []byte) (key string) {
	for rest, more := openObject(payload); more; {
		var name, value []byte
		if name, value, rest, more = cutMember(rest); more && string(name) == `"resume"` {
			key, _ = unquote(value) // of one that comes twice the last counts
		}
	}
	return key
}

// holdAll has a member's frames wait, as its handler is about to leave it. Callers hold the handler's mu.
func (s *Socket) holdAll(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.state == serving {
		m.state = taken
	}
}

// giveUp says that there is no further life.
func (h *handler) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.final = true
}
