package crashes

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// Report describes a crash, as in its file: the first of its kind. Only Count and Last
// tell of the others.
type Report struct {
	ID      string `json:"id"`             // also the name of its file
	Like    string `json:"like,omitempty"` // the same for all that differ in the name of an event only
	Plugin  string `json:"plugin"`
	Version string `json:"version"`           // of the plugin, by its content
	Topic   string `json:"topic,omitempty"`   // of a channel
	Process string `json:"process,omitempty"` // what else it was
	Event   string `json:"event,omitempty"`   // what it was handling

	Trap   string   `json:"trap,omitempty"` // how the guest died; "" if it was ended for what it asked for
	Cause  string   `json:"cause"`
	Stack  []string `json:"stack,omitempty"`  // functions of the guest, innermost first
	Output string   `json:"output,omitempty"` // its last words on standard error
	Log    []string `json:"log,omitempty"`    // its last lines

	Then     string    `json:"then"`     // what followed, such as "restarts"
	Restarts int       `json:"restarts"` // of that process before
	Count    int64     `json:"count"`    // of such crashes so far
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`

	// Events are what the guest has handled last, oldest first; it died of the last
	// one. Whole says that there were no others. If there were, Opening is the one that it
	// began with, as far as that is known.
	Opening *Event  `json:"opening,omitempty"`
	Events  []Event `json:"events,omitempty"`
	Whole   bool    `json:"whole"`
	// Withheld says that payloads and memory are left out, by configuration.
	Withheld bool `json:"withheld,omitempty"`

	Memory *Memory `json:"memory,omitempty"`
}

// Memory says where the guest's memory is, as it was when it died.
type Memory struct {
	File  string `json:"file"`  // next to the report, packed by gzip
	Bytes int    `json:"bytes"` // in it: the first ones
	Size  int    `json:"size"`  // that the guest had
}

// Event is an event of a guest, see package abi.
type Event struct {
	Kind    string    `json:"kind"`
	Name    string    `json:"name,omitempty"`
	Flags   abi.Flags `json:"flags,omitempty"`
	Payload Bytes     `json:"payload,omitempty"`
	Detail  Bytes     `json:"detail,omitempty"`
	Extra   Bytes     `json:"extra,omitempty"`
	Size    int       `json:"size"`          // bytes of the record that is kept
	Cut     bool      `json:"cut,omitempty"` // there was more than is kept
}

// newEvent keeps an event; with withhold, without the fields in which a client may have
// sent a secret.
func newEvent(e *sandbox.PastEvent, withhold bool) Event {
	kept := Event{Kind: e.Kind.String(), Name: e.Name, Flags: e.Flags, Size: e.Size(), Cut: e.Cut}
	if !withhold {
		kept.Payload, kept.Detail, kept.Extra = e.Payload, Bytes(e.Detail), Bytes(e.Extra)
	}
	return kept
}

// forGuest is the event as a guest gets it.
func (e *Event) forGuest() (abi.Event, error) {
	for kind := abi.Kind(1); kind.IsEvent(); kind++ {
		if kind.Known() && kind.String() == e.Kind {
			return abi.Event{
				Kind: kind, Flags: e.Flags, Name: e.Name, Payload: e.Payload, Detail: string(e.Detail), Extra: string(e.Extra),
			}, nil
		}
	}
	return abi.Event{}, fmt.Errorf("event of kind %.80q, which this rtd does not know; use the one that wrote the report", e.Kind)
}

// Bytes are written to JSON as the text that they mostly are, else as an object with
// the key base64.
type Bytes []byte

type packedBytes struct {
	Base64 string `json:"base64"`
}

// MarshalJSON implements [json.Marshaler].
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	return json.Marshal(packedBytes{base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*b = Bytes(text)
		return nil
	}
	var packed packedBytes
	if err := json.Unmarshal(data, &packed); err != nil {
		return fmt.Errorf("bytes are neither a text nor an object with base64: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(packed.Base64)
	*b = raw
	return err
}

// kindOfCrash has the properties that crashes with one report share.
type kindOfCrash struct {
	plugin, version string
	trap            string
	event, name     string // by kind of event, and its name where the guest gives it a meaning
	stack           string
}

// kindOfTrap leaves out the properties that differ by chance: the place of a loop when
// its time was up, the topic, and the cause, which may quote a client.
func kindOfTrap(t *sandbox.Trap) kindOfCrash {
	k := kindOfCrash{plugin: t.Plugin, version: t.Version, trap: string(t.Kind), event: t.Event.String()}
	switch t.Event {
	case abi.EventMessage, abi.EventOut, abi.EventBroadcast, abi.EventInit:
		k.name = t.Name
	}
	if hasStack(t.Kind) {
		k.stack = strings.Join(t.Stack, "\n")
	}
	return k
}

// hasStack says whether a trap of this kind has the same stack each time: not if the
// clock decided where the guest was, nor after a recursion, of which there may be none.
func hasStack(k sandbox.TrapKind) bool {
	return k != sandbox.KindDeadline && k != sandbox.KindTimeout && k != sandbox.KindStack
}

func (k kindOfCrash) id() string {
	hash := sha256.New()
	for _, part := range []string{k.plugin, k.version, k.trap, k.event, k.name, k.stack} {
		hash.Write(abi.AppendField(nil, part))
	}
	return hex.EncodeToString(hash.Sum(nil))[:idSize]
}

const idSize = 10
