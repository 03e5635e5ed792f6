package channels

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// V2 is version 2.0.0 of the Phoenix protocol as JSON text: the array
// [join_ref, ref, topic, event, payload], both ways.
var V2 Codec = v2{}

type v2 struct{}

// Decode checks the whole frame with encoding/json, which bounds its depth,
// and then cuts it at its commas. Nothing but topic and event is looked into.
func (v2) Decode(frame []byte, binary bool) (Message, error) {
	if binary {
		return Message{}, fmt.Errorf("%w: binary frames are not supported yet", ErrDecode)
	}
	if !json.Valid(frame) {
		return Message{}, fmt.Errorf("%w: not JSON", ErrDecode)
	}
	var elements [5][]byte
	if n := cutArray(frame, elements[:]); n < len(elements) {
		return Message{}, fmt.Errorf("%w: %d elements of 5", ErrDecode, max(n, 0))
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

func (v2) Encode(o *Outgoing) (Frame, error) {
	if o.Binary {
		return Frame{}, fmt.Errorf("encode %s of topic %s: binary payloads are not supported yet", o.Name, o.Topic)
	}
	b := make([]byte, 0, 64+len(o.JoinRef)+len(o.Ref)+len(o.Topic)+len(o.Name)+len(o.Payload))
	b = append(b, '[')
	b = append(appendValue(b, o.JoinRef), ',')
	b = append(appendValue(b, o.Ref), ',')
	b = append(appendString(b, o.Topic), ',')
	if o.Kind == Reply {
		b = append(appendString(b, eventReply), `,{"status":`...)
		b = append(appendString(b, o.Name), `,"response":`...)
		b = append(append(b, o.Payload...), '}')
	} else {
		b = append(appendString(b, o.Name), ',')
		b = append(b, o.Payload...)
	}
	return Frame{Data: append(b, ']')}, nil
}

// cutArray fills into with the elements of a valid JSON array and returns how
// many there are, at most len(into); -1 if text is no array.
func cutArray(text []byte, into [][]byte) int {
	text = bytes.TrimLeft(text, " \t\r\n")
	if text[0] != '[' {
		return -1
	}
	n, depth, start := 0, 0, 1
	for i := 1; i < len(text) && n < len(into); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth > 0 {
				depth--
				continue
			}
			fallthrough // the end of the array itself
		case ',':
			if depth == 0 {
				if into[n] = bytes.Trim(text[start:i], " \t\r\n"); len(into[n]) == 0 {
					return n // of the empty array
				}
				n, start = n+1, i+1
			}
		}
	}
	return n
}

// unquote reads a valid JSON string.
func unquote(text []byte) (string, bool) {
	if text[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), true
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err == nil
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

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}
