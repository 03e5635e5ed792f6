package channels

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"rtd/supervisor"
)

// Socket is one client's protocol state: which topics it has joined, and what to
// do with each of its frames. Whatever carries the frames gives them to Receive,
// one after the other, and calls Close at the end.
//
// A join is decided by a guest, in the process of the topic's handler. Until then the
// topic's further frames are held, and then served in order, so that a slow join
// delays no other topic; Phoenix would let it delay the whole connection.
type Socket struct {
	endpoint *Endpoint
	options  SocketOptions
	assigns  string       // options.Assigns
	pending  atomic.Int64 // bytes of frames that wait, held or in mailboxes
	taken    bucket

	next, prev *Socket // with the same ID; guarded by the endpoint's names

	mu     sync.Mutex // taken after a handler's; Outbox, Hub and mailboxes come later
	topics topics
	closed bool
	turned chan struct{} // closed when a join is decided, if Decided waits; else nil
}

// SocketOptions say who is connected.
type SocketOptions struct {
	Codec Codec // of the client's frames
	Out   Outbox
	// ID is a name by which [Endpoint.Disconnect] finds the socket. Several may
	// have the same. Default: none.
	ID string
	// Assigns is what is known of the client since it connected. Every join's
	// event has it as its extra, also when it is replayed.
	Assigns []byte
	// Serves says whether a plugin serves this socket; to join a topic of one that does
	// not fails as "unmatched topic". Callers hold locks: it must not block,
	// nor call back into this package. Default: all do.
	Serves func(Plugin) bool
	// Disconnect is called by [Endpoint.Disconnect], from any goroutine: the
	// connection is to be closed, after which somebody calls Close. Callers hold
	// locks: it must not block, nor call back into this package.
	Disconnect func()
	// Control is asked about events on topic phoenix other than heartbeat. It returns
	// whether the event was meant for it; then it calls reply once, now or later,
	// from any goroutine. Callers hold locks: it must not block, nor call back into
	// this package but for reply. Default: there are none.
	Control func(event string, payload []byte, reply func(status string, response []byte)) bool
}

// joined is a topic's place in a socket, from the client's join to its end.
type joined struct {
	member *member
	state  joinState
	held   []Message // in every state but serving
}

type joinState uint8

const (
	joining   joinState = iota // the handler decides
	serving                    // frames go to the handler
	ending                     // the client left, or the handler ended by itself
	replacing                  // it ends for a new join, which is the first frame held
)

// NewSocket connects a client.
func (e *Endpoint) NewSocket(o SocketOptions) *Socket {
	e.counts.sockets.Add(1)
	s := &Socket{endpoint: e, options: o, assigns: string(o.Assigns)}
	s.options.Assigns = nil // once is enough
	e.names.add(s)
	return s
}

// Receive takes one frame, which from then on belongs to the socket. It does not
// wait for handlers. After an error the connection has to end: the frame is
// malformed, which wraps [ErrDecode], or one too many, which wraps [ErrRate].
// After Close, frames are ignored.
func (s *Socket) Receive(frame []byte, binary bool) error {
	if rate := s.endpoint.Limits.Rate; !s.taken.take(rate) {
		s.endpoint.counts.overRate.Add(1)
		return fmt.Errorf("%w: more than %d", ErrRate, rate)
	}
	m, err := s.options.Codec.Decode(frame, binary)
	if err != nil {
		s.endpoint.counts.malformed.Add(1)
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

// messageOverhead is about what a waiting message takes beside the bytes of the
// client, in bytes.
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
	s.endpoint.names.remove(s)
	for j := range s.topics.all() {
		j.held = nil
		j.member.handler.stop(j.member, reason)
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

// undecided returns what is closed when one of the joins is decided, or nil if
// none has to be.
func (s *Socket) undecided() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	for j := range s.topics.all() {
		if j.state == joining || j.state == replacing {
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
	j := s.topics.get(m.Topic)
	if m.oddTopic != nil {
		j = nil // nobody can join it
	}
	switch {
	case m.Topic == topicPhoenix && m.Event != eventHeartbeat && s.control(m):

	case m.Topic == topicPhoenix && m.Event == eventHeartbeat:
		s.reply(nil, &m, statusOK, nil)

	case j != nil && j.state != serving:
		// The topic is about to change hands; whoever gets it gets this too.
		s.hold(j, m)

	case m.Event == eventJoin && j == nil && m.oddTopic == nil:
		s.join(m, nil)

	case m.Event == eventJoin && j != nil:
		// A duplicate join: the old one ends first. It is held whatever else
		// waits, for it is how a client gets rid of a channel that is stuck.
		s.pending.Add(m.size)
		j.held = append(j.held, m)
		j.state = replacing
		j.member.handler.stop(j.member, reasonDuplicate)

	case j == nil && m.Event == eventLeave:
		s.reply(m.JoinRef, &m, statusOK, nil)

	case j == nil:
		s.reply(nil, &m, statusError, reasonUnmatched)

	case m.JoinRef != nil && !sameRef(m.JoinRef, j.member.joinRef):
		// Meant for a channel that is gone. Dropped without a reply.
		s.endpoint.counts.stale.Add(1)

	case m.Event == eventLeave:
		j.state = ending
		m.member = j.member
		if j.member.handler.Mailbox().Post(leaveMessage{m}) != nil {
			s.hold(j, m) // it has ended by itself; then there is nothing to leave
		}

	default:
		s.deliver(j, m)
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
			s.send(old.closeFrame())
		}
	}
	plugin := s.endpoint.Router.Match(m.Topic)
	if plugin == nil || s.options.Serves != nil && !s.options.Serves(plugin) {
		refuse(reasonUnmatched)
		return
	}
	if s.topics.len() >= s.endpoint.Limits.Joins {
		refuse(reasonTooMany)
		return
	}
	joining := newMember(s, m, old)
	if err := s.endpoint.start(plugin, joining); err != nil {
		refuse(reasonGone)
		return
	}
	s.topics.put(&joined{member: joining})
	s.endpoint.counts.channels.Add(1)
}

// deliver puts a message into the handler's mailbox. Callers hold mu.
func (s *Socket) deliver(j *joined, m Message) {
	if !j.member.handler.current().admits() || !s.reserve(&m) {
		s.overloaded(m)
		return
	}
	m.member = j.member
	err := j.member.handler.Mailbox().Send(&m)
	if err == nil {
		return
	}
	s.pending.Add(-m.size)
	if errors.Is(err, supervisor.ErrEnded) {
		// It has ended by itself and is about to say so; behind that the answer
		// is "unmatched topic".
		j.state = ending
		s.hold(j, m)
		return
	}
	s.overloaded(m)
}

// control asks whoever is behind the socket about a message on topic phoenix, and says
// whether it was meant for that. Callers hold mu.
func (s *Socket) control(m Message) bool {
	return !m.Binary && s.options.Control != nil &&
		s.options.Control(m.Event, m.Payload, func(status string, response []byte) {
			s.reply(nil, &m, status, response)
		})
}

// hold keeps a message until the topic has changed hands. Callers hold mu.
func (s *Socket) hold(j *joined, m Message) {
	if len(j.held) >= s.endpoint.Limits.Held || !s.reserve(&m) {
		s.overloaded(m)
		return
	}
	j.held = append(j.held, m)
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

// accepted tells that a join succeeded: from now on the handler serves it.
func (s *Socket) accepted(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	if j := s.topics.get(m.Topic); j.state == joining && !s.closed {
		j.state = serving
		s.release(j)
	}
}

// ended tells that m is no member any more. Its last frame, if the client is
// owed one, is given.
func (s *Socket) ended(m *member, last *Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	j := s.topics.take(m.Topic)
	s.endpoint.counts.channels.Add(-1)
	switch {
	case s.closed:
		return
	case j.state == replacing:
		// The end of m is told behind the answer to the join that replaces it.
		next := j.held[0]
		j.held = j.held[1:]
		s.pending.Add(-next.size)
		s.join(next, m)
	case last != nil:
		s.send(*last)
	}
	s.release(j)
}

// joinAgain starts over with a join to which its handler did not come before it
// ended in order: there may be another one.
func (s *Socket) joinAgain(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	j := s.topics.take(m.Topic)
	s.endpoint.counts.channels.Add(-1)
	if s.closed {
		return
	}
	s.join(Message{
		JoinRef: m.joinRef, Ref: m.ref, Topic: m.Topic, Event: eventJoin, Payload: m.params, Binary: m.binary,
	}, m.old)
	s.release(j)
}

// release dispatches what was held. If one of the frames makes the topic change
// hands again, those behind it are held anew, in order. Callers hold mu.
func (s *Socket) release(j *joined) {
	held := j.held
	j.held = nil
	for _, m := range held {
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

// reply answers a message on the host's behalf.
// Tell sends the client an event of the host's own, on topic phoenix. It may be
// called from any goroutine.
func (s *Socket) Tell(event string, payload []byte) {
	s.send(s.encode(&Outgoing{Kind: Push, Topic: topicPhoenix, Name: event, Payload: payload}))
}

func (s *Socket) reply(joinRef []byte, to *Message, status string, response []byte) {
	s.send(s.encode(&Outgoing{
		Kind: Reply, JoinRef: joinRef, Ref: to.Ref, Topic: to.Topic, oddTopic: to.oddTopic, Name: status, Payload: response,
	}))
}

// encode writes a message that the codec can: text, or what was checked.
func (s *Socket) encode(o *Outgoing) Frame {
	f, _ := s.options.Codec.Encode(o)
	return f
}

func (s *Socket) send(frames ...Frame) {
	s.endpoint.counts.direct.Add(uint64(len(frames)))
	for _, f := range frames {
		s.options.Out.Send(f)
	}
}
