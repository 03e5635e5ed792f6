package channels

import "fmt"

// V1 is version 1.0.0 of the Phoenix protocol: a JSON object with topic, event,
// payload and ref, both ways. Clients may add join_ref; servers never do. There
// are no binary payloads: V1 cannot write them, and reads a binary frame as text.
var V1 Codec = v1{}

type v1 struct{}

// Decode checks the whole frame and then cuts it at the members of the object.
// Of a key that comes twice the last one counts; unknown keys are ignored.
func (v1) Decode(frame []byte, _ bool) (Message, error) {
	if err := checkJSON(frame); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	var topic, event, payload, ref, joinRef []byte
	rest, ok := openObject(frame)
	if !ok {
		return Message{}, fmt.Errorf("%w: not an object", ErrDecode)
	}
	for {
		key, value, next, more := cutMember(rest)
		if !more {
			break
		}
		rest = next
		if escaped(key) {
			name, _ := unquote(key)
			key = []byte(`"` + name + `"`)
		}
		switch string(key[1 : len(key)-1]) {
		case "topic":
			topic = value
		case "event":
			event = value
		case "payload":
			payload = value
		case "ref":
			ref = value
		case "join_ref":
			joinRef = value
		}
	}
	if topic == nil || event == nil || payload == nil || ref == nil {
		return Message{}, fmt.Errorf("%w: an object without topic, event, payload or ref", ErrDecode)
	}
	return newMessage(joinRef, ref, topic, event, payload), nil
}

// newMessage makes a message of five JSON values; joinRef may be missing. A
// topic or event that is no string is legal, if of little use.
func newMessage(joinRef, ref, topic, event, payload []byte) Message {
	m := Message{JoinRef: nullable(joinRef), Ref: nullable(ref), Payload: payload}
	var ok bool
	if m.Topic, ok = unquote(topic); !ok {
		m.oddTopic = topic
	}
	if m.Event, ok = unquote(event); !ok {
		m.Event = string(event)
	}
	return m
}

// Check refuses binary payloads.
func (v1) Check(o *Outgoing) error {
	if o.Binary {
		return fmt.Errorf("encode %.100q of topic %.100q: a client of version 1 cannot be sent binary payloads", o.Name, o.Topic)
	}
	return nil
}

// Encode copies ref and payload into the frame as they are.
func (c v1) Encode(o *Outgoing) (Frame, error) {
	if err := c.Check(o); err != nil {
		return Frame{}, err
	}
	b := make([]byte, 0, 96+len(o.Ref)+len(o.Topic)+len(o.Name)+len(o.Payload))
	b = o.appendTopic(append(b, `{"topic":`...))
	b = appendString(append(b, `,"event":`...), o.event())
	b = o.appendPayload(append(b, `,"payload":`...))
	b = appendValue(append(b, `,"ref":`...), o.Ref)
	return Frame{Data: append(b, '}')}, nil
}

func (o *Outgoing) appendTopic(b []byte) []byte {
	if o.oddTopic != nil {
		return append(b, o.oddTopic...)
	}
	return appendString(b, o.Topic)
}

// event is the event that text frames carry.
func (o *Outgoing) event() string {
	if o.Kind == Reply {
		return eventReply
	}
	return o.Name
}

// appendPayload appends the payload that text frames carry.
func (o *Outgoing) appendPayload(b []byte) []byte {
	if o.Kind == Reply {
		b = appendString(append(b, `{"status":`...), o.Name)
		b = append(b, `,"response":`...)
	}
	if len(o.Payload) == 0 {
		b = append(b, `{}`...)
	} else {
		b = append(b, o.Payload...)
	}
	if o.Kind == Reply {
		b = append(b, '}')
	}
	return b
}

func nullable(text []byte) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}

func appendValue(b, value []byte) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	return append(b, value...)
}
