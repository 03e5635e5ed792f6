package channels

import (
	"fmt"
	"unicode/utf8"
)

// V2 is version 2.0.0 of the Phoenix protocol. JSON text is the array
// [join_ref, ref, topic, event, payload], both ways. A binary payload has a
// binary frame: sizes of one byte, then the names, then the payload.
//
//	push, from a client  0  join_ref  ref    topic   event    payload
//	push                 0  join_ref  topic  event            payload
//	reply                1  join_ref  ref    topic   status   payload
//	broadcast            2  topic     event                   payload
//
// A name longer than 255 bytes cannot be written so.
var V2 Codec = v2{}

type v2 struct{}

// Decode checks the whole frame and then cuts it. Of text, only topic and event
// are looked into, and further elements are ignored.
func (v2) Decode(frame []byte, binary bool) (Message, error) {
	if binary {
		return decodeBinary(frame)
	}
	if err := checkJSON(frame); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	var elements [5][]byte
	if n := cutArray(frame, elements[:]); n < len(elements) {
		return Message{}, fmt.Errorf("%w: not an array of 5 elements", ErrDecode)
	}
	return newMessage(elements[0], elements[1], elements[2], elements[3], elements[4]), nil
}

// Check holds the names of binary frames to their length.
func (v2) Check(o *Outgoing) error {
	if !o.Binary {
		return nil
	}
	var room [4]string
	_, _, err := o.binaryNames(room[:0])
	return err
}

// Encode copies refs and payload into the frame as they are.
func (v2) Encode(o *Outgoing) (Frame, error) {
	if o.Binary {
		return encodeBinary(o)
	}
	b := make([]byte, 0, 64+len(o.JoinRef)+len(o.Ref)+len(o.Topic)+len(o.Name)+len(o.Payload))
	b = append(appendValue(append(b, '['), o.JoinRef), ',')
	b = append(appendValue(b, o.Ref), ',')
	b = append(o.appendTopic(b), ',')
	b = append(appendString(b, o.event()), ',')
	return Frame{Data: append(o.appendPayload(b), ']')}, nil
}

// The kinds of binary frames.
const (
	binaryPush      = 0
	binaryReply     = 1
	binaryBroadcast = 2
)

// decodeBinary reads a client's binary frame. Refs become the JSON strings that
// they are in text frames. An empty one is the empty string, not null, as in
// Phoenix.
func decodeBinary(frame []byte) (Message, error) {
	const n = 4
	if len(frame) < 1+n {
		return Message{}, fmt.Errorf("%w: %d bytes are no binary header", ErrDecode, len(frame))
	}
	if frame[0] != binaryPush {
		return Message{}, fmt.Errorf("%w: a binary frame of kind %d", ErrDecode, frame[0])
	}
	sizes, rest := frame[1:1+n], frame[1+n:]
	size := 0
	for _, s := range sizes {
		size += int(s)
	}
	if len(rest) < size {
		return Message{}, fmt.Errorf("%w: %d bytes of names announced, %d left", ErrDecode, size, len(rest))
	}
	names, payload := string(rest[:size]), rest[size:]
	var name [n]string
	for i, s := range sizes {
		name[i], names = names[:s], names[s:]
		if !utf8.ValidString(name[i]) {
			return Message{}, fmt.Errorf("%w: name %q in a binary frame is not UTF-8", ErrDecode, name[i])
		}
	}
	refs := make([]byte, 0, len(`""""`)+len(name[0])+len(name[1]))
	refs = appendString(refs, name[0])
	end := len(refs)
	refs = appendString(refs, name[1])
	return Message{JoinRef: refs[:end:end], Ref: refs[end:], Topic: name[2], Event: name[3], Payload: payload, Binary: true}, nil
}

func encodeBinary(o *Outgoing) (Frame, error) {
	var room [4]string
	kind, names, err := o.binaryNames(room[:0])
	if err != nil {
		return Frame{}, err
	}
	size := 1 + len(names) + len(o.Payload)
	for _, name := range names {
		size += len(name)
	}
	b := append(make([]byte, 0, size), kind)
	for _, name := range names {
		b = append(b, byte(len(name)))
	}
	for _, name := range names {
		b = append(b, name...)
	}
	return Frame{Data: append(b, o.Payload...), Binary: true}, nil
}

// binaryNames appends the names before the payload of a binary frame, in order. The error
// says which one has no room.
func (o *Outgoing) binaryNames(names []string) (kind byte, all []string, err error) {
	var joinRef, ref string
	if o.Kind != Broadcast {
		joinRef, err = refName(o.JoinRef)
	}
	if o.Kind == Reply && err == nil {
		ref, err = refName(o.Ref)
	}
	switch o.Kind {
	case Reply:
		kind, names = binaryReply, append(names, joinRef, ref, o.Topic, o.Name)
	case Push:
		kind, names = binaryPush, append(names, joinRef, o.Topic, o.Name)
	default:
		kind, names = binaryBroadcast, append(names, o.Topic, o.Name)
	}
	for _, name := range names {
		if err == nil && len(name) > 255 {
			err = fmt.Errorf("a name of %d bytes, more than 255, beside a binary payload: %.40q…", len(name), name)
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("encode %.100q of topic %.100q: %w", o.Name, o.Topic, err)
	}
	return kind, names, nil
}

// refName is a ref as binary frames have it: the content of a string, or the text
// of a number. Null is empty.
func refName(ref []byte) (string, error) {
	if len(ref) == 0 {
		return "", nil
	}
	switch ref[0] {
	case '"':
		name, _ := unquote(ref)
		return name, nil
	case '{', '[':
		return "", fmt.Errorf("ref %.100s cannot be sent beside a binary payload; use a string", ref)
	}
	return string(ref), nil
}
