package connect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"rtd/channels/client"
)

// Push is a message to send: an event, and its payload as JSON.
type Push struct {
	Event   string
	Payload []byte
}

// ParsePush reads a line such as: say {"body": "hello"}. Without a payload it is {}.
func ParsePush(line string) (Push, error) {
	event, payload, _ := strings.Cut(strings.TrimSpace(line), " ")
	payload = strings.TrimSpace(payload)
	switch {
	case event == "":
		return Push{}, errors.New("a push is EVENT JSON; there is no event")
	case payload == "":
		payload = "{}"
	case !json.Valid([]byte(payload)):
		return Push{}, fmt.Errorf("a push is EVENT JSON; %.100q is no JSON", payload)
	}
	return Push{event, []byte(payload)}, nil
}

// line is a message as --json prints it.
type line struct {
	At       string          `json:"at"`
	Event    string          `json:"event"`
	Of       string          `json:"of,omitempty"`     // of a reply: the event that it answers
	Status   string          `json:"status,omitempty"` // of a reply
	Position string          `json:"position,omitempty"`
	Payload  json.RawMessage `json:"payload,omitempty"`
	Binary   []byte          `json:"binary,omitempty"` // in place of payload, base64
}

// print writes a message as a line. of is the event that a reply answers.
func (o *Options) print(m client.Message, of string) error {
	l := line{At: time.Now().UTC().Format(time.RFC3339Nano), Event: m.Event, Of: of, Status: m.Status}
	if _, ok := parsePosition(m.Ref); ok && !m.IsReply() {
		l.Position = m.Ref
	}
	payload := "" // compact, on one line
	if m.Binary {
		l.Binary, payload = m.Payload, "base64:"+base64.StdEncoding.EncodeToString(m.Payload)
	} else if b := new(bytes.Buffer); json.Compact(b, m.Payload) == nil {
		l.Payload, payload = b.Bytes(), b.String()
	}
	if o.JSON {
		e := json.NewEncoder(o.Out)
		e.SetEscapeHTML(false)
		return e.Encode(l)
	}
	name := plain(m.Event)
	if m.IsReply() {
		name = "reply " + plain(of) + " " + plain(m.Status)
	}
	_, err := io.WriteString(o.Out, name+" "+plain(payload)+"\n")
	return err
}

// plain returns text without what a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
