package channels

import (
	"strconv"
	"strings"
)

// A token is what a guest answers a message by in a later event:
//
//	<handler>.<member>:<ref>
//
// The first two are numbers, the ref is the client's. So nothing has
// to be kept for messages that are never answered. A token that was given out by
// another handler, such as the one that a join replaced, or that a guest made up, finds
// nobody.

// token names a message of a member. A handler's serial is unique in its
// endpoint; the id of a Channel's only member is 0.
func (l *lives) token(m *Message) string {
	b := make([]byte, 0, 64)
	b = append(strconv.AppendUint(b, l.serial, 36), '.')
	b = append(strconv.AppendUint(b, m.member.id, 10), ':')
	return string(append(b, m.Ref...))
}

// asker finds the member who sent the message with a token, and its ref; nil if
// there is none. What goes into a frame is held to be a JSON value: guests can
// write what they like.
func (l *lives) asker(token string, named func(id string) *member) (m *member, ref []byte) {
	names, value, _ := strings.Cut(token, ":")
	handler, id, _ := strings.Cut(names, ".")
	if n, err := strconv.ParseUint(handler, 36, 64); err != nil || n != l.serial {
		return nil, nil
	}
	ref = []byte(value)
	if checkJSON(ref) != nil {
		return nil, nil
	}
	return named(id), ref
}
