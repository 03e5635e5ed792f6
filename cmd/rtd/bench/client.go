package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
)

// conn is one client. Idle, it has no memory but this.
type conn struct {
	partial   []byte // of a frame that has not come in full
	fragments []byte // of a message whose last frame has not come
	phase     phase
	ref       uint32 // the last one used
	joinRef   uint32 // of the last join of its own topic
	topic     int32  // number of that
}

type phase uint8

const (
	unborn phase = iota
	dialling
	upgrading
	greeting // waits for the answer to the protocol's own connect
	usable
	dead
)

// send sends a text as one frame. The text may be the generator's own buffer.
func (g *generator) send(i int, text []byte) {
	g.text = text[:0]
	if len(text) == 0 {
		return
	}
	g.frame = appendFrame(g.frame[:0], opText, text, rand.Uint32())
	g.sockets.write(i, g.frame)
}

func (g *generator) control(i int, opcode byte, payload []byte) {
	g.frame = appendFrame(g.frame[:0], opcode, payload[:min(len(payload), 125)], rand.Uint32())
	g.sockets.write(i, g.frame)
}

// join joins a topic. It is the connection's own from now on.
func (g *generator) join(i int, topic int) (ref uint32) {
	c := &g.conns[i]
	c.ref++
	c.joinRef, c.topic = c.ref, int32(topic)
	g.send(i, g.protocol.join(g.text[:0], c.ref, g.topics.name(topic), []byte(g.o.Params)))
	return c.ref
}

// push sends an event to the connection's own topic.
func (g *generator) push(i int, event string, s stamp) (ref uint32) {
	c := &g.conns[i]
	c.ref++
	g.payload = g.bodies.appendPayload(g.payload[:0], s)
	g.send(i, g.protocol.push(g.text[:0], c.joinRef, c.ref, g.topics.name(int(c.topic)), event, g.payload))
	return c.ref
}

// opened implements [socketEvents].
func (g *generator) opened(i int) {
	g.conns[i].phase = upgrading
	g.sockets.write(i, g.upgrade.request)
}

// received implements [socketEvents].
func (g *generator) received(i int, data []byte) {
	c := &g.conns[i]
	continued := len(c.partial) > 0
	if continued {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	for len(data) > 0 && c.phase != dead {
		n, err := g.take(i, data)
		if err != nil {
			g.sockets.close(i)
			g.closed(i, err)
			return
		}
		if n == 0 {
			break
		}
		data = data[n:]
	}
	switch {
	case len(data) == 0 || c.phase == dead:
		c.partial = nil
	case continued:
		c.partial = append(c.partial[:0], data...)
	default:
		c.partial = bytes.Clone(data)
	}
}

// take handles what is at the start of data and returns its length, 0 if it is not
// complete.
func (g *generator) take(i int, data []byte) (n int, err error) {
	c := &g.conns[i]
	if c.phase == upgrading {
		if n, err = g.upgrade.check(data); n > 0 {
			g.greet(i)
		}
		return n, err
	}
	f, n, err := readFrame(data)
	if n == 0 {
		return 0, err
	}
	switch f.opcode {
	case opText, opBinary, opContinuation:
		return n, g.message(i, f)
	case opPing:
		g.control(i, opPong, f.payload)
	case opClose:
		if g.closing {
			return n, nil // its answer to ours; the server goes first
		}
		g.control(i, opClose, f.payload)
		return n, closeText(f.payload)
	}
	return n, nil
}

// message handles a data frame.
func (g *generator) message(i int, f frame) error {
	c := &g.conns[i]
	text := f.payload
	if !f.final || f.opcode == opContinuation {
		if len(c.fragments)+len(text) > maxFrame {
			return errors.New("the server sent a message larger than 16 MiB")
		}
		c.fragments = append(c.fragments, text...)
		if !f.final {
			return nil
		}
		text, c.fragments = c.fragments, nil
	}
	if f.opcode == opBinary {
		return nil // the generator has asked for none, and no scenario needs it
	}
	return g.protocol.parse(text, func(m message) {
		switch {
		case m.kind == ping:
			g.send(i, append(g.text[:0], answerPing...))
		case c.phase == greeting:
			if m.kind == reply && m.ok {
				g.use(i)
			} else if g.refused == nil {
				g.refused = fmt.Errorf("the server answered %.200s", m.payload)
			}
		default:
			g.heard(i, m)
		}
	})
}

// greet says the protocol's own hello, if it has one.
func (g *generator) greet(i int) {
	c := &g.conns[i]
	hello := g.protocol.connects(g.text[:0], c.ref+1)
	if len(hello) == 0 {
		g.use(i)
		return
	}
	c.ref++
	c.phase = greeting
	g.send(i, hello)
}

func (g *generator) use(i int) {
	g.conns[i].phase = usable
	g.open++
	g.greeted++
	g.usable(i)
}

// closed implements [socketEvents].
func (g *generator) closed(i int, err error) {
	c := &g.conns[i]
	was := c.phase
	*c = conn{phase: dead}
	if was != usable {
		if g.again != nil {
			g.again(i, err)
		} else if g.refused == nil {
			g.refused = err
		}
		return
	}
	g.open--
	if g.closing {
		return
	}
	if g.result.Closed == 0 {
		g.result.ClosedCause = err.Error()
	}
	g.result.Closed++
	g.gone(i)
}
