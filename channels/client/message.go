package client

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Message is a message of the server.
type Message struct {
	JoinRef string // "" for null, as in broadcasts
	Ref     string // of a reply: that of the push that it answers; else "", or the join's when a channel ends
	Topic   string
	Event   string // of a reply: phx_reply
	Status  string // of a reply
	Payload []byte // JSON, or any bytes if Binary; of a reply: its response
	Binary  bool
}

// Answers tells whether the message is the reply to the push with this ref.
func (m Message) Answers(ref string) bool { return m.IsReply() && m.Ref == ref }

// IsReply tells replies from pushes and broadcasts.
func (m Message) IsReply() bool { return m.Event == eventReply }

// String is short for what tests compare: "ok {}" of a reply, otherwise event and payload.
func (m Message) String() string {
	if m.IsReply() {
		return m.Status + " " + string(m.Payload)
	}
	return m.Event + " " + string(m.Payload)
}

const (
	eventJoin  = "phx_join"
	eventReply = "phx_reply"
)

// The kinds of binary frames, see channels.V2.
const (
	binaryPush = iota
	binaryReply
	binaryBroadcast
)

var errMalformed = errors.New("malformed frame")

// Decode reads a frame of the server. The message holds parts of the frame.
func Decode(frame []byte, binary bool) (Message, error) {
	if binary {
		return decodeBinary(frame)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(frame, &elements); err != nil {
		return Message{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if len(elements) != 5 {
		return Message{}, fmt.Errorf("%w: %d elements, want 5", errMalformed, len(elements))
	}
	m := Message{Payload: elements[4]}
	for i, into := range []*string{&m.JoinRef, &m.Ref, &m.Topic, &m.Event} {
		if err := json.Unmarshal(elements[i], into); err != nil { // null leaves ""
			return Message{}, fmt.Errorf("%w: element %d: %w", errMalformed, i, err)
		}
	}
	if !m.IsReply() {
		return m, nil
	}
	var reply struct {
		Status   string
		Response json.RawMessage
	}
	if err := json.Unmarshal(m.Payload, &reply); err != nil {
		return Message{}, fmt.Errorf("%w: reply: %w", errMalformed, err)
	}
	m.Status, m.Payload = reply.Status, reply.Response
	return m, nil
}

func decodeBinary(frame []byte) (Message, error) {
	var m Message
	var names []*string
	var kind byte
	if len(frame) > 0 {
		kind = frame[0]
	}
	switch {
	case len(frame) == 0 || kind > binaryBroadcast:
		return m, fmt.Errorf("%w: binary of no known kind", errMalformed)
	case kind == binaryPush:
		names = []*string{&m.JoinRef, &m.Topic, &m.Event}
	case kind == binaryReply:
		names, m.Event = []*string{&m.JoinRef, &m.Ref, &m.Topic, &m.Status}, eventReply
	default:
		names = []*string{&m.Topic, &m.Event}
	}
	sizes := frame[1:]
	if len(sizes) < len(names) {
		return Message{}, fmt.Errorf("%w: binary of %d bytes", errMalformed, len(frame))
	}
	rest := sizes[len(names):]
	for i, name := range names {
		size := int(sizes[i])
		if size > len(rest) {
			return Message{}, fmt.Errorf("%w: a name of %d bytes, %d left", errMalformed, size, len(rest))
		}
		*name, rest = string(rest[:size]), rest[size:]
	}
	m.Payload, m.Binary = rest, true
	return m, nil
}

// encode writes a push whose payload is JSON, as it is.
func encode(joinRef, ref, topic, event string, payload []byte) []byte {
	b := make([]byte, 0, 32+len(joinRef)+len(ref)+len(topic)+len(event)+len(payload))
	b = append(b, '[')
	if joinRef == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, joinRef)
	}
	for _, name := range []string{ref, topic, event} {
		b = appendString(append(b, ','), name)
	}
	return append(append(append(b, ','), payload...), ']')
}

func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string has JSON
	return append(b, text...)
}

// encodeBinary writes a push whose payload is any bytes.
func encodeBinary(joinRef, ref, topic, event string, payload []byte) ([]byte, error) {
	b := []byte{binaryPush}
	names := []string{joinRef, ref, topic, event}
	for _, name := range names {
		if len(name) > 255 {
			return nil, fmt.Errorf("a name of %d bytes, more than 255: %.40q…", len(name), name)
		}
		b = append(b, byte(len(name)))
	}
	for _, name := range names {
		b = append(b, name...)
	}
	return append(b, payload...), nil
}
