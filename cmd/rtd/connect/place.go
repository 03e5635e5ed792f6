package connect

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"rtd/channels/client"
)

// place is where the client stands in the history of its topic, as sdk/js has it: up to at all has come, and seen is the newest that has.
// They differ while a recovery leaves something out, so that the next one begins before the gap.
type place struct {
	at, seen position
	asks     bool // a join has asked what was missed, and was not told yet that this was it
}

// position is "EPOCH:OFFSET". The zero value is none.
type position struct {
	epoch  string
	offset uint64
}

var positions = regexp.MustCompile(`^([0-9a-v]{10}):([0-9]{1,19})$`)

// parsePosition reads a position; ok is false if text is none.
func parsePosition(text string) (p position, ok bool) {
	parts := positions.FindStringSubmatch(text)
	if parts == nil {
		return p, false
	}
	offset, err := strconv.ParseUint(parts[2], 10, 64)
	return position{parts[1], offset}, err == nil
}

func (p position) String() string {
	if p.epoch == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.epoch, p.offset)
}

// asking returns the payload of a join that is sent now.
func (p *place) asking(payload []byte) ([]byte, error) {
	if p.at.epoch == "" {
		return payload, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("%w: a join from a position needs an object as payload, which %.100s is not", ErrOptions, payload)
	}
	p.asks = true
	fields["since"] = fmt.Appendf(nil, "%q", p.at)
	return json.Marshal(fields)
}

// recovery is what the event recovered says.
type recovery struct {
	Complete bool
	Reason   string
	Position string
	Count    int
}

// take notes a message. isNew is false if it came before; told is what the server says of the recovery that ends with the message.
func (p *place) take(m client.Message) (isNew bool, told *recovery) {
	at, ok := parsePosition(m.Ref)
	if m.IsReply() || !ok {
		return true, nil
	}
	var says recovery
	isServers := json.Unmarshal(m.Payload, &says) == nil && says.Position == m.Ref
	if isServers && m.Event == "recovered" && m.JoinRef != "" && p.asks {
		p.at, p.seen, p.asks = at, at, false
		return true, &says
	}
	if p.seen.epoch == at.epoch && at.offset <= p.seen.offset {
		return isServers, nil
	}
	if !p.asks || at.epoch == p.at.epoch && at.offset == p.at.offset+1 {
		p.at = at
	}
	p.seen = at
	return true, nil
}
