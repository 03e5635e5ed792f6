package channels

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"rtd/supervisor"
)

// Socket is one client's protocol state: which topics it has joined, and where each of
// its frames goes. The transport gives the frames to Receive, one after the other, and
// calls Close at the end.
//
// A join is decided by a guest, in the process of the topic's handler. While a topic
// changes hands (a join is being decided, a membership is ending) its frames are held in
// the socket, and dispatched again, in order, when that is over.
//
// Why are joins asynchronous, when Phoenix's socket waits for each? There a join that
// takes a second delays every other topic of the client and its heartbeats. Here the
// guest may have to wait for a slot, or loop until its deadline. The client sees no other
// difference than that its other topics go on: frames for the joining topic are held, and
// then served as if they had just come.
//
// Why do a topic's frames wait behind a leave or a duplicate join, too? A topic has one
// channel at a time. If the next one began while the last still handled a message, their
// frames could mix, and a broadcast could come twice.
//
// Why does a held leave or second join not cancel the join it waits for? A guest cannot
// be interrupted half-way without losing its effects, and it has a deadline anyway. Join,
// leave, join are answered by three replies in order, as a client expects.
//
// Why does a full mailbox answer "overloaded", rather than make the reader wait? The
// reader serves all topics of the client: one slow handler would stop the others, and the
// heartbeats, until the client takes the connection for dead. An answer lets the client
// decide about that one message. A leave of a channel that serves, and a join in its
// place, always find room: with these a client ends the trouble.
type Socket struct {
	endpoint *Endpoint
	codec    Codec
	out      Outbox
	assigns  string
	pending  atomic.Int64 // bytes of frames that wait, held or in mailboxes
	admitted bucket

	// As SocketOptions have them.
	serves     func(Plugin) bool
	disconnect func()
	owner      *socketOwner // nil for most
	named      *namedSocket // nil if it has no ID

	mu     sync.Mutex // taken after a handler's; Outbox, Hub and mailboxes come later
	topics topics
	closed bool
	// What the client did, or the server decided about it, ended the connection: nothing lingers. Not guarded by mu.
	refused atomic.Bool
	turned  chan struct{} // closed when a join is decided, if Decided waits; else nil
}

// SocketOptions say who is connected.
type SocketOptions struct {
	Codec Codec // of the client's frames
	Out   Outbox
	// ID is a name by which [Endpoint.Disconnect] finds the socket. Several may
	// have the same. Default: none.
	ID string
	// Assigns are known of the client since it connected. Every join's event has
	// them as its extra, also when it is replayed.
	Assigns []byte
	// Closed, if given, is called once, when the socket closes: from then on nothing is
	// kept for the client. Callers hold locks: it must not block, nor call back into this
	// package.
	Closed func()
	// Serves says whether a plugin serves this socket. Joining a topic of any other
	// plugin fails with "unmatched topic". Callers hold locks: it must not block,
	// nor call back into this package. Default: all do.
	Serves func(Plugin) bool
	// Disconnect is called by [Endpoint.Disconnect], from any goroutine: the
	// connection is to be closed, after which somebody calls Close. Callers hold
	// locks: it must not block, nor call back into this package.
	Disconnect func()
	// Control is asked about events on topic phoenix other than heartbeat. It returns
	// whether it takes the event; if it does, it calls reply once, now or later,
	// from any goroutine. Callers hold locks: it must not block, nor call back into
	// this package but for reply. Default: there are none.
	Control func(event string, payload []byte, reply func(status string, response []byte)) bool
}

// socketOwner has functions of [SocketOptions] that most sockets have none of.
type socketOwner struct {
	closed  func()
	control func(event string, payload []byte, reply func(status string, response []byte)) bool
}

// seat is a member's place in its socket, from the client's join to its end.
type seat struct {
	// Guarded by the socket's lock.
	held    *[]Message // in every state but serving; nil for none
	state   joinState
	lingers bool // its handler stays if the connection breaks
	unsure  bool // the client may not know its newest key

	dismissed atomic.Bool // the socket has ended the membership of a SharedChannel
}

// keep holds a message back.
func (at *seat) keep(m Message) {
	if at.held == nil {
		at.held = new([]Message)
	}
	*at.held = append(*at.held, m)
}

// holds is how many messages are held back.
func (at *seat) holds() int {
	if at.held == nil {
		return 0
	}
	return len(*at.held)
}

// release returns what was held back.
func (at *seat) release() (held []Message) {
	if at.held != nil {
		held, at.held = *at.held, nil
	}
	return held
}

type joinState uint8

const (
	joining   joinState = iota // the handler decides
	serving                    // frames go to the handler
	ending                     // the client left, or the handler ended by itself
	replacing                  // it ends for a new join, which is the first frame held
	taken                      // the handler goes on with another connection
)

// NewSocket connects a client.
func (e *Endpoint) NewSocket(o SocketOptions) *Socket {
	e.counts.sockets.Add(1)
	s := &Socket{
		endpoint: e, codec: o.Codec, out: o.Out, assigns: string(o.Assigns), serves: o.Serves, disconnect: o.Disconnect,
	}
	if o.Closed != nil || o.Control != nil {
		s.owner = &socketOwner{o.Closed, o.Control}
	}
	e.sockets.add(s, o.ID)
	return s
}

// Receive takes one frame, which from then on belongs to the socket. It does not
// wait for handlers. After an error the connection has to end: the frame is
// malformed, which wraps [ErrDecode], or one too many, which wraps [ErrRate].
// After Close, frames are ignored.
func (s *Socket) Receive(frame []byte, binary bool) error {
	if rate := s.endpoint.Limits.Rate; !s.admitted.admit(rate) {
		s.endpoint.counts.overRate.Add(1)
		s.refused.Store(true)
		return fmt.Errorf("%w: more than %d", ErrRate, rate)
	}
	m, err := s.codec.Decode(frame, binary)
	if err != nil {
		s.endpoint.counts.malformed.Add(1)
		s.refused.Store(true)
		return err
	}
	m.size = int64(len(frame)+len(m.Topic)+len(m.Event)) + messageOverhead
	s.endpoint.counts.in.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.dispatch(m)
	}
	return nil
}

// messageOverhead is about how much memory a waiting message takes besides the client's
// bytes, in bytes.
const messageOverhead = 256

// Close ends all that was joined: the connection is gone. It does not wait for them, and
// may be called from any goroutine and again.
func (s *Socket) Close() { s.end(reasonClosed) }

// Drain is Close for a server that is about to stop, which handlers learn as the
// reason of their end.
func (s *Socket) Drain() { s.end(reasonDraining) }

func (s *Socket) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.turn()
	s.endpoint.counts.sockets.Add(-1)
	s.endpoint.sockets.remove(s)
	if s.owner != nil && s.owner.closed != nil {
		s.owner.closed()
	}
	for at := range s.topics.all() {
		at.held = nil
		at.channel.dismiss(at, reason)
	}
}

// Decided waits until none of the socket's joins waits for its handler, or for ctx,
// whose error it returns. Phoenix takes no frame before; a transport that says when a
// frame is dealt with has to wait as well. It may be called from any goroutine.
func (s *Socket) Decided(ctx context.Context) error {
	for {
		turned := s.undecided()
		if turned == nil {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// undecided returns a chan that is closed when one of the joins is decided, or nil if
// none waits.
func (s *Socket) undecided() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	for at := range s.topics.all() {
		if at.state == joining || at.state == replacing {
			if s.turned == nil {
				s.turned = make(chan struct{})
			}
			return s.turned
		}
	}
	return nil
}

// turn lets Decided look again. Callers hold mu.
func (s *Socket) turn() {
	if s.turned != nil {
		close(s.turned)
		s.turned = nil
	}
}

// dispatch is the protocol: one case for each kind of message. Callers hold mu.
func (s *Socket) dispatch(m Message) {
	at := s.topics.get(m.Topic)
	if m.oddTopic != nil {
		at = nil // nobody can join it
	}
	switch {
	case m.Topic == topicPhoenix && m.Event != eventHeartbeat && s.control(m):

	case m.Topic == topicPhoenix && m.Event == eventHeartbeat:
		s.reply(nil, &m, statusOK, nil)

	case at != nil && at.state != serving:
		// The topic is about to change hands; its next handler gets the frame too.
		s.hold(at, m)

	case m.Event == eventJoin && at == nil && m.oddTopic == nil:
		s.join(m, nil)

	case m.Event == eventJoin && at != nil:
		// A duplicate join: the old one ends first. It is held whatever else
		// waits, for it is how a client gets rid of a channel that is stuck.
		// One with the handler's own key has that go on.
		reason := reasonDuplicate
		if at.lingers && s.resumes(&m, at) {
			reason = reasonTaken
		}
		s.pending.Add(m.size)
		at.keep(m)
		at.state = replacing
		at.channel.dismiss(at, reason)

	case at == nil && m.Event == eventLeave:
		s.reply(m.JoinRef, &m, statusOK, nil)

	case at == nil:
		s.reply(nil, &m, statusError, reasonUnmatched)

	case m.JoinRef != nil && !sameRef(m.JoinRef, at.joinRef()):
		// Meant for a channel that is gone. Dropped without a reply.
		s.endpoint.counts.stale.Add(1)

	case m.Event == eventLeave:
		at.state = ending
		m.member = at
		if at.channel.Mailbox().Post(leaveMessage{m}) != nil {
			s.hold(at, m) // it has ended by itself; then there is nothing to leave
		}

	default:
		if at.unsure {
			at.unsure = false
			s.endpoint.lingers.confirm(at.channel.(*Channel).linger)
		}
		s.deliver(at, m)
	}
}

// join has the handler of a topic that is not joined decide. old is the member
// that the join replaces, whose end the client has yet to be told. Callers hold
// mu.
func (s *Socket) join(m Message, old *member) {
	refuse := func(response []byte) {
		s.endpoint.counts.unmatched.Add(1)
		s.reply(nil, &m, statusError, response)
		if old != nil {
			s.send(s.encode(old.closing()))
		}
	}
	plugin, serves := s.endpoint.Router.Match(m.Topic), true
	if plugin == nil {
		plugin, serves = s.endpoint.Router.Coming(m.Topic), false
	}
	switch {
	case plugin == nil || s.serves != nil && !s.serves(plugin):
		refuse(reasonUnmatched)
		return
	case !serves:
		refuse(reasonGone)
		return
	}
	if s.topics.len() >= s.endpoint.Limits.Joins {
		refuse(reasonTooMany)
		return
	}
	joining := s.resume(plugin, m, old)
	if joining == nil {
		var err error
		if joining, err = s.endpoint.start(plugin, s, m, old); err != nil {
			refuse(reasonGone)
			return
		}
	}
	s.topics.add(joining)
	s.endpoint.counts.channels.Add(1)
}

// deliver puts a message into the handler's mailbox. Callers hold mu.
func (s *Socket) deliver(at *member, m Message) {
	if !at.channel.current().admits() || !s.reserve(&m) {
		s.overloaded(m)
		return
	}
	m.member = at
	err := at.channel.Mailbox().Send(&m)
	if err == nil {
		return
	}
	s.pending.Add(-m.size)
	if errors.Is(err, supervisor.ErrEnded) {
		// It has ended by itself and is about to say so; behind that the answer
		// is "unmatched topic".
		at.state = ending
		s.hold(at, m)
		return
	}
	s.overloaded(m)
}

// control asks the socket's owner about a message on topic phoenix, and says whether the
// owner takes it. Callers hold mu.
func (s *Socket) control(m Message) bool {
	return !m.Binary && s.owner != nil && s.owner.control != nil &&
		s.owner.control(m.Event, m.Payload, func(status string, response []byte) {
			s.reply(nil, &m, status, response)
		})
}

// hold keeps a message until the topic has changed hands. Callers hold mu.
func (s *Socket) hold(at *member, m Message) {
	if at.holds() >= s.endpoint.Limits.Held || !s.reserve(&m) {
		s.overloaded(m)
		return
	}
	at.keep(m)
}

// reserve counts the bytes of a message that is to wait, if there is room.
// Callers hold mu.
func (s *Socket) reserve(m *Message) bool {
	if s.pending.Load()+m.size > int64(s.endpoint.Limits.Pending) {
		return false
	}
	s.pending.Add(m.size)
	return true
}

// accepted takes note that a join succeeded: from now on the handler serves the topic. lingers says that it stays if
// the connection breaks.
func (s *Socket) accepted(m *member, lingers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	if at := s.topics.get(m.Topic); at.state == joining && !s.closed {
		at.state, at.lingers, at.unsure = serving, lingers, lingers
		s.dispatchHeld(at)
	}
}

// ended takes note that m is no member any more, and sends its last frame, if the client
// is owed one.
func (s *Socket) ended(m *member, last *Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	at := s.topics.remove(m.Topic)
	s.endpoint.counts.channels.Add(-1)
	switch {
	case s.closed:
		return
	case at.state == replacing:
		// The end of m is told behind the answer to the join that replaces it.
		next := (*at.held)[0]
		*at.held = (*at.held)[1:]
		s.pending.Add(-next.size)
		s.join(next, m)
	case last != nil:
		s.send(*last)
	}
	s.dispatchHeld(at)
}

// joinAgain starts over with a join to which its handler did not come before it
// ended in order: there may be another one.
func (s *Socket) joinAgain(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	at := s.topics.remove(m.Topic)
	s.endpoint.counts.channels.Add(-1)
	if s.closed {
		return
	}
	s.join(Message{
		JoinRef: m.joinRef(), Ref: m.ref(), Topic: m.Topic, Event: eventJoin, Payload: m.params(), Binary: m.join.binary,
	}, m.old)
	s.dispatchHeld(at)
}

// dispatchHeld dispatches the messages that were held. If one of the frames makes the topic change
// hands again, those behind it are held anew, in order. Callers hold mu.
func (s *Socket) dispatchHeld(at *member) {
	for _, m := range at.release() {
		s.pending.Add(-m.size)
		s.dispatch(m)
	}
}

// overloaded answers a message for which there is no room, if it wants an answer.
func (s *Socket) overloaded(m Message) {
	s.endpoint.counts.overloaded.Add(1)
	if m.Ref != nil {
		s.reply(m.JoinRef, &m, statusError, reasonOverloaded)
	}
}

// Tell sends the client an event of the host's own, on topic phoenix. It may be
// called from any goroutine.
func (s *Socket) Tell(event string, payload []byte) {
	s.send(s.encode(&Outgoing{Kind: Push, Topic: topicPhoenix, Name: event, Payload: payload}))
}

// reply answers a message on the host's behalf.
func (s *Socket) reply(joinRef []byte, to *Message, status string, response []byte) {
	s.send(s.encode(&Outgoing{
		Kind: Reply, JoinRef: joinRef, Ref: to.Ref, Topic: to.Topic, oddTopic: to.oddTopic, Name: status, Payload: response,
	}))
}

// encode writes a message that the codec can carry: text, or one that was checked.
func (s *Socket) encode(o *Outgoing) Frame {
	f, _ := s.codec.Encode(o)
	return f
}

func (s *Socket) send(frames ...Frame) {
	s.endpoint.counts.direct.Add(uint64(len(frames)))
	for _, f := range frames {
		s.out.Send(f)
	}
}
