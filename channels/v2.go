package channels

import "fmt"

// V2 is version 2.0.0 of the Phoenix protocol as JSON text: the array
// [join_ref, ref, topic, event, payload], both ways.
var V2 Codec = v2{}

type v2 struct{}

// Decode checks the whole frame and then cuts it at its commas. Only topic and
// event are looked into. Further elements are ignored.
func (v2) Decode(frame []byte, binary bool) (Message, error) {
	if binary {
		return Message{}, fmt.Errorf("%w: binary frames are not supported yet", ErrDecode)
	}
	if err := checkJSON(frame); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	var elements [5][]byte
	if n := cutArray(frame, elements[:]); n < len(elements) {
		return Message{}, fmt.Errorf("%w: not an array of 5 elements", ErrDecode)
	}
	topic, ok := unquote(elements[2])
	if !ok {
		return Message{}, fmt.Errorf("%w: topic is no string", ErrDecode)
	}
	event, ok := unquote(elements[3])
	if !ok {
		return Message{}, fmt.Errorf("%w: event is no string", ErrDecode)
	}
	return Message{
		JoinRef: nullable(elements[0]),
		Ref:     nullable(elements[1]),
		Topic:   topic,
		Event:   event,
		Payload: elements[4],
	}, nil
}

// Encode copies refs and payload into the frame as they are.
func (v2) Encode(o *Outgoing) (Frame, error) {
	if o.Binary {
		return Frame{}, fmt.Errorf("encode %q of topic %q: binary payloads are not supported yet", o.Name, o.Topic)
	}
	payload := o.Payload
	if len(payload) == 0 {
		payload = []byte(`{}`)
	}
	b := make([]byte, 0, 64+len(o.JoinRef)+len(o.Ref)+len(o.Topic)+len(o.Name)+len(payload))
	b = append(b, '[')
	b = append(appendValue(b, o.JoinRef), ',')
	b = append(appendValue(b, o.Ref), ',')
	b = append(appendString(b, o.Topic), ',')
	if o.Kind == Reply {
		b = append(appendString(b, eventReply), `,{"status":`...)
		b = append(appendString(b, o.Name), `,"response":`...)
		b = append(append(b, payload...), '}')
	} else {
		b = append(appendString(b, o.Name), ',')
		b = append(b, payload...)
	}
	return Frame{Data: append(b, ']')}, nil
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
