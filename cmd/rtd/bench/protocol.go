package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// protocol is how clients and a server talk over a WebSocket. The methods that
// append write one message's text.
type protocol interface {
	// connects is appended once per connection, before all else, and answered
	// with a reply. Without such a message it returns b.
	connects(b []byte, ref uint32) []byte
	join(b []byte, ref uint32, topic string, params []byte) []byte
	// push sends a message to the handler of a topic, which was joined with joinRef.
	push(b []byte, joinRef, ref uint32, topic, event string, payload []byte) []byte
	// rejoin is join for a client that was there, and wants what came behind a position.
	rejoin(b []byte, ref uint32, topic string, params []byte, since position) []byte
	// stands returns the position that a message says, if it says one. Its epoch is
	// valid as long as the message.
	stands(m message) (p position, ok bool)
	// recovered returns whether a message ends what a rejoin is told, and whether all was told.
	recovered(m message) (complete, ok bool)
	// heartbeat is sent every 30 s. A protocol without them returns b.
	heartbeat(b []byte, ref uint32) []byte
	// parse calls yield with what a text frame of the server says. A message is
	// valid during the call only.
	parse(text []byte, yield func(message)) error
}

// message is one from the server.
type message struct {
	kind    kind
	ref     uint32 // of what a reply answers
	ok      bool   // of a reply
	payload []byte // of a broadcast; of a reply its response, or its error
	event   []byte // in quotes; none in centrifuge
	at      []byte // what may be a position, in Phoenix
}

// position is where a client is in the history of its topic.
type position struct {
	epoch  []byte
	offset uint32
}

type kind uint8

const (
	broadcast kind = iota // or a push of the server
	reply
	crashed // the channel has crashed; a new join is needed
	closed  // the channel has ended
	ping    // to be answered with answerPing
)

// Protocol names a protocol that the generator speaks.
type Protocol string

const (
	// Phoenix is Phoenix Channels with the V2 serializer in JSON: rtd, Phoenix,
	// and what is compatible with them.
	Phoenix Protocol = "phoenix"
	// Centrifuge is the JSON protocol of centrifuge and Centrifugo, so that these can be
	// compared. Event "echo" becomes an RPC, any other a publication.
	Centrifuge Protocol = "centrifuge"
)

func newProtocol(p Protocol) (protocol, error) {
	switch p {
	case Phoenix:
		return phoenix{}, nil
	case Centrifuge:
		return centrifuge{}, nil
	}
	return nil, fmt.Errorf("unknown protocol %q; use %q or %q", p, Phoenix, Centrifuge)
}

// phoenix has messages of the form [join_ref, ref, topic, event, payload].
type phoenix struct{}

func (phoenix) connects(b []byte, _ uint32) []byte { return b }

func (p phoenix) join(b []byte, ref uint32, topic string, params []byte) []byte {
	return p.push(b, ref, ref, topic, "phx_join", params)
}

func (phoenix) push(b []byte, joinRef, ref uint32, topic, event string, payload []byte) []byte {
	b = append(b, `["`...)
	b = strconv.AppendUint(b, uint64(joinRef), 10)
	b = append(b, `","`...)
	b = strconv.AppendUint(b, uint64(ref), 10)
	b = append(b, `","`...)
	b = append(b, topic...) // Options.check lets no topic or event through that needs escapes
	b = append(b, `","`...)
	b = append(b, event...)
	b = append(b, `",`...)
	b = append(b, payload...)
	return append(b, ']')
}

func (p phoenix) rejoin(b []byte, ref uint32, topic string, params []byte, since position) []byte {
	with := append(make([]byte, 0, len(params)+40), bytes.TrimRight(params, " \t\r\n}")...)
	if len(bytes.TrimSpace(with)) > 1 {
		with = append(with, ',')
	}
	with = append(append(with, `"since":"`...), since.epoch...)
	with = strconv.AppendUint(append(with, ':'), uint64(since.offset), 10)
	return p.join(b, ref, topic, append(with, `"}`...))
}

func (phoenix) stands(m message) (p position, ok bool) {
	epoch, offset, ok := bytes.Cut(unquoted(m.at), []byte(":"))
	return position{epoch, number(offset)}, ok && m.kind == broadcast
}

func (phoenix) recovered(m message) (complete, ok bool) {
	if m.kind != broadcast || string(m.event) != `"recovered"` {
		return false, false
	}
	members(m.payload, func(key, value []byte) {
		complete = complete || string(key) == "complete" && string(value) == "true"
	})
	return complete, true
}

func (phoenix) heartbeat(b []byte, ref uint32) []byte {
	b = append(b, `[null,"`...)
	b = strconv.AppendUint(b, uint64(ref), 10)
	return append(b, `","phoenix","heartbeat",{}]`...)
}

func (phoenix) parse(text []byte, yield func(message)) error {
	var fields [4][]byte
	i := skipSpace(text, 0, '[')
	for n := range fields {
		end := skip(text, i)
		if end < 0 {
			return fmt.Errorf("the server sent no Phoenix message: %.100s", text)
		}
		fields[n] = text[i:end]
		i = skipSpace(text, end, ',')
	}
	m := message{payload: text[i:], event: fields[3], at: fields[1]} // and the array's end, which hurts nobody
	switch string(fields[3]) {
	case `"phx_reply"`:
		m.kind, m.ref = reply, number(fields[1])
		members(text[i:], func(key, value []byte) {
			switch string(key) {
			case "status":
				m.ok = string(value) == `"ok"`
			case "response":
				m.payload = value
			}
		})
	case `"phx_error"`:
		m.kind = crashed
	case `"phx_close"`:
		m.kind = closed
	}
	yield(m)
	return nil
}

// centrifuge has commands such as {"id":1,"publish":{"channel":"a","data":{}}}, one to a
// line.
type centrifuge struct{}

func (centrifuge) connects(b []byte, ref uint32) []byte {
	return append(command(b, ref, "connect"), `}}`...)
}

func (centrifuge) join(b []byte, ref uint32, topic string, params []byte) []byte {
	b = append(command(b, ref, "subscribe"), `"channel":"`...)
	b = append(b, topic...)
	b = append(b, `","data":`...)
	b = append(b, params...)
	return append(b, `}}`...)
}

func (centrifuge) rejoin(b []byte, ref uint32, topic string, params []byte, since position) []byte {
	b = append(command(b, ref, "subscribe"), `"channel":"`...)
	b = append(b, topic...)
	b = append(append(b, `","recover":true,"epoch":"`...), since.epoch...)
	b = strconv.AppendUint(append(b, `","offset":`...), uint64(since.offset), 10)
	b = append(append(b, `,"data":`...), params...)
	return append(b, `}}`...)
}

// stands finds the position in the answer to a subscribe, or in a publication: {"pub":{"data":…,"offset":7}}.
func (centrifuge) stands(m message) (p position, ok bool) {
	in := m.payload
	if m.kind == broadcast {
		members(m.payload, func(key, value []byte) {
			if string(key) == "pub" {
				in = value
			}
		})
	}
	members(in, func(key, value []byte) {
		switch string(key) {
		case "epoch":
			p.epoch, ok = unquoted(value), true
		case "offset":
			p.offset, ok = number(value), true
		}
	})
	return p, ok && (m.kind == broadcast || m.kind == reply && m.ok)
}

func (centrifuge) recovered(m message) (complete, ok bool) {
	if m.kind != reply || !m.ok {
		return false, false
	}
	members(m.payload, func(key, value []byte) {
		ok = ok || string(key) == "was_recovering" || string(key) == "recovered" // each is left out if it is false
		complete = complete || string(key) == "recovered" && string(value) == "true"
	})
	return complete, ok
}

func (centrifuge) push(b []byte, _, ref uint32, topic, event string, payload []byte) []byte {
	if event == "echo" {
		b = append(command(b, ref, "rpc"), `"method":"echo","data":`...)
	} else {
		b = append(command(b, ref, "publish"), `"channel":"`...)
		b = append(b, topic...)
		b = append(b, `","data":`...)
	}
	b = append(b, payload...)
	return append(b, `}}`...)
}

func command(b []byte, ref uint32, name string) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, uint64(ref), 10)
	b = append(b, `,"`...)
	b = append(b, name...)
	return append(b, `":{`...)
}

func (centrifuge) heartbeat(b []byte, _ uint32) []byte { return b } // the server's pings do

// answerPing is what centrifuge's server wants to hear.
const answerPing = "{}"

func (centrifuge) parse(text []byte, yield func(message)) error {
	for len(text) > 0 {
		if text[0] == '\n' {
			text = text[1:]
			continue
		}
		end := skip(text, 0)
		if end < 0 || text[0] != '{' {
			return fmt.Errorf("the server sent no message of centrifuge: %.100s", text)
		}
		m := message{kind: ping}
		members(text[:end], func(key, value []byte) {
			switch string(key) {
			case "id":
				m.kind, m.ref, m.ok = reply, number(value), true
			case "push":
				m.kind, m.payload = broadcast, value
			default: // what a reply says: the id comes first
				m.ok = m.ok && string(key) != "error"
				m.payload = value
			}
		})
		yield(m)
		text = text[end:]
	}
	return nil
}
