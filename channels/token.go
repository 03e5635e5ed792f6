package channels

import (
	"strings"

	"rtd/supervisor"
)

// A message that wants a reply comes with a token, a text that guests keep or hand around
// as they like. A reply with that token, in any later event of the same handler, answers
// the message; in a shared handler it also finds the member.
//
//	<member>:<ref>
//
// The first is the member's id, or in its place the name of a handler with one member; the
// ref is the client's. A token is good for as long as the client has the channel: through
// restarts, but not after a leave, another join in its place, or the end of the connection. A token of another handler
// or of an earlier life of the server, or one that a guest made up, finds nobody.
//
// Why is a token made of the client's own ref? A table of messages that may be answered
// some day would need a bound, and its entries an end. The price is that a guest may answer
// twice, or a ref that it made up. A client ignores answers that it does not expect, and
// nothing but JSON gets into a frame.

// token names a message of a member.
func (h *handler) token(p *supervisor.Process, m *Message) string {
	b := make([]byte, 0, 64)
	if h.sole != nil {
		b = p.Runtime().AppendRef(b, h.ref)
	} else {
		b = append(b, m.member.id...)
	}
	b = append(b, ':')
	return string(append(b, m.Ref...))
}

// asker finds the member who sent the message with a token, and the ref of the message; nil
// if there is none. The ref goes into a frame, so that it has to be JSON: guests can write
// any token. p is the handler's process.
func (h *handler) asker(p *supervisor.Process, token string, named func(id string) *member) (m *member, ref []byte) {
	id, value, _ := strings.Cut(token, ":")
	if h.sole != nil {
		if n, err := p.Runtime().ParseRef(id); err != nil || n != h.ref {
			return nil, nil
		}
	}
	ref = []byte(value)
	if checkJSON(ref) != nil {
		return nil, nil
	}
	return named(id), ref
}
