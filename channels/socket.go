package channels

import (
	"bytes"
	"sync"
	"sync/atomic"

	"rtd/supervisor"
)

// Socket is one client's protocol state: which topics it has joined, and what to
// do with each of its frames. Whatever carries the frames gives them to
// Receive, one after the other, and calls Close at its end.
//
// A join is decided by a guest, in the channel's own process. Until then the
// topic's further frames are held, and then served in order, so that a slow join
// delays no other topic; Phoenix would let it delay the whole connection.
type Socket struct {
	endpoint *Endpoint
	codec    Codec
	out      Outbox
	pending  atomic.Int64 // bytes of frames in mailboxes

	mu     sync.Mutex
	topics map[string]*joined
	closed bool
}

// joined is a topic's place in a socket, from the client's join to the end of its
// channel.
type joined struct {
	channel *Channel
	state   joinState
	held    []Message // in every state but serving
}

type joinState uint8

const (
	joining   joinState = iota // the handler decides
	serving                    // frames go to the channel
	leaving                    // it ends, because the client left
	replacing                  // the channel ends, because the client joins anew
)

// NewSocket connects a client whose frames are in the given codec.
func (e *Endpoint) NewSocket(c Codec, out Outbox) *Socket {
	e.counts.sockets.Add(1)
	return &Socket{endpoint: e, codec: c, out: out, topics: map[string]*joined{}}
}

// Receive takes one frame, which the socket keeps. It does not wait for handlers. An error means that the
// frame is malformed: the connection has to end.
func (s *Socket) Receive(frame []byte, binary bool) error {
	m, err := s.codec.Decode(frame, binary)
	if err != nil {
		s.endpoint.counts.malformed.Add(1)
		return err
	}
	s.endpoint.counts.in.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.dispatch(m)
	}
	return nil
}

// Close ends all channels: the connection is gone. Further frames are ignored.
func (s *Socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.endpoint.counts.sockets.Add(-1)
	for _, j := range s.topics {
		j.held = nil
		j.channel.stop(reasonClosed)
	}
}

// dispatch is the protocol: one case for each kind of message. Callers hold
// mu.
func (s *Socket) dispatch(m Message) {
	j := s.topics[m.Topic]
	switch {
	case m.Topic == topicPhoenix && m.Event == eventHeartbeat:
		s.reply(nil, m.Ref, m.Topic, statusOK, emptyObject)

	case j != nil && j.state != serving:
		// The topic is about to change hands; whoever gets it gets this too.
		if len(j.held) >= s.endpoint.Limits.Held {
			s.overloaded(m)
			return
		}
		j.held = append(j.held, m)

	case m.Event == eventJoin && j == nil:
		s.join(m, nil)

	case m.Event == eventJoin:
		// A duplicate join: the old channel ends first.
		j.state = replacing
		j.held = append(j.held, m)
		j.channel.stop(reasonDuplicate)

	case j == nil && m.Event == eventLeave:
		s.reply(m.JoinRef, m.Ref, m.Topic, statusOK, emptyObject)

	case j == nil:
		s.reply(nil, m.Ref, m.Topic, statusError, reasonUnmatched)

	case m.JoinRef != nil && !bytes.Equal(m.JoinRef, j.channel.joinRef):
		// Meant for a channel that is gone. Dropped without a reply.
		s.endpoint.counts.stale.Add(1)

	case m.Event == eventLeave:
		j.state = leaving
		j.channel.leave(m)

	default:
		if !j.channel.deliver(m) {
			s.overloaded(m)
		}
	}
}

// join starts a channel for a topic that is not joined. old is the channel that it
// replaces, whose end the client has yet to be told. Callers hold mu.
func (s *Socket) join(m Message, old *Channel) {
	refuse := func(response []byte) {
		s.endpoint.counts.unmatched.Add(1)
		s.reply(nil, m.Ref, m.Topic, statusError, response)
		if old != nil {
			s.out.Send(old.closeFrame())
		}
	}
	plugin := s.endpoint.Router.Match(m.Topic)
	if plugin == nil {
		refuse(reasonUnmatched)
		return
	}
	if len(s.topics) >= s.endpoint.Limits.Joins {
		refuse(reasonTooMany)
		return
	}
	c := newChannel(s, plugin, m, old)
	if err := plugin.Supervisor().Start(c, m.Topic); err != nil {
		refuse(reasonGone)
		return
	}
	s.topics[m.Topic] = &joined{channel: c}
	s.endpoint.counts.channels.Add(1)
}

// accepted tells that c's join succeeded: it serves from now on.
func (s *Socket) accepted(c *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.topics[c.topic]
	if j == nil || j.channel != c || j.state != joining || s.closed {
		return
	}
	j.state = serving
	s.release(j)
}

// ended tells that there will be no further life of c, whose last frame, if the client
// is owed one, is given.
func (s *Socket) ended(c *Channel, last *Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint.counts.channels.Add(-1)
	j := s.topics[c.topic]
	delete(s.topics, c.topic)
	if s.closed {
		return
	}
	if j.state != replacing {
		if last != nil {
			s.out.Send(*last)
		}
		s.release(j)
		return
	}
	// The first frame held is the join that replaces c; the end of c is told
	// behind the answer to it.
	first := j.held[0]
	j.held = j.held[1:]
	s.join(first, c)
	s.release(j)
}

// release dispatches what was held. If one of the frames makes the topic change
// hands again, those behind it are held anew, in order.
func (s *Socket) release(j *joined) {
	held := j.held
	j.held = nil
	for _, m := range held {
		s.dispatch(m)
	}
}

func (s *Socket) overloaded(m Message) {
	s.endpoint.counts.overloaded.Add(1)
	if m.Ref != nil {
		s.reply(m.JoinRef, m.Ref, m.Topic, statusError, reasonOverloaded)
	}
}

func (s *Socket) reply(joinRef, ref []byte, topic, status string, response []byte) {
	s.send(&Outgoing{Kind: Reply, JoinRef: joinRef, Ref: ref, Topic: topic, Name: status, Payload: response})
}

// send encodes and sends a message of the host's own, which always can be.
func (s *Socket) send(o *Outgoing) {
	s.endpoint.counts.direct.Add(1)
	if f, err := s.codec.Encode(o); err == nil {
		s.out.Send(f)
	}
}

// Why channels end other than by a crash. The detail is what a handler's
// terminate will see.
var (
	reasonLeft      = supervisor.ShutdownBecause("left")
	reasonClosed    = supervisor.ShutdownBecause("closed")
	reasonDuplicate = supervisor.ShutdownBecause("duplicate_join")
)
