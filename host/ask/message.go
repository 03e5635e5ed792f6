package ask

import (
	"bytes"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// MaxMessage is how many bytes one process may send another at once.
const MaxMessage = 4 << 20

// messageSize is counted for each message that waits, besides its bytes, so that a
// million empty messages are not free.
const messageSize = 64

// Account is the plugin of a process that sends. It accounts for the process's messages
// and questions while they wait, and for answers until they are fetched. So everything
// that could pile up counts against the bounds of the plugin that causes it. Its methods
// may be called from any goroutine, and do not block.
type Account interface {
	// Keep counts bytes that are to be kept, if there is room.
	Keep(bytes int) bool
	// Give counts them no longer.
	Give(bytes int)
	// Name is the name of the plugin.
	Name() string
	// Services are the host's services that config grants to the plugin: "rtd/NAME".
	Services() []string
}

func give(a Account, bytes int) {
	if bytes != 0 {
		a.Give(bytes)
	}
}

// Caller is the sender of a [*Request] or [*Message]; the zero value stands for Go code.
type Caller struct {
	Plugin   string
	Process  *supervisor.Process
	Services []string // those that are granted to the plugin, as it has them in config.toml
}

func callerOf(a Account, p *supervisor.Process) Caller {
	if a == nil {
		return Caller{}
	}
	return Caller{a.Name(), p, a.Services()}
}

// Message is sent by one process to another, without an answer.
type Message struct {
	Kind    abi.Kind // EventCast or EventInfo
	Binary  bool
	Payload []byte

	from    *supervisor.Process
	account Account // of the sender; nil for Go code
}

// Tell sends a message of a process to another. The payload is copied. The error is a code for
// guests.
func Tell(to Receiver, account Account, from *supervisor.Process, kind abi.Kind, payload []byte, binary bool) error {
	send, err := Later(to, account, from, kind, payload, binary)
	if err != nil {
		return err
	}
	return send()
}

// Later is Tell in two steps: it makes room for the message, and send sends it, which is called once.
func Later(to Receiver, account Account, from *supervisor.Process, kind abi.Kind, payload []byte, binary bool) (send func() error, err error) {
	if !account.Keep(messageSize + len(payload)) {
		return nil, abi.CodeFull
	}
	m := &Message{Kind: kind, Payload: bytes.Clone(payload), Binary: binary, from: from, account: account}
	return func() error {
		if err := to.Send(m); err != nil {
			m.Dropped()
			return SendCode(err)
		}
		return nil
	}, nil
}

// From returns the sender.
func (m *Message) From() Caller { return callerOf(m.account, m.from) }

// Dropped implements [supervisor.Dropper]: it does not wait any more.
func (m *Message) Dropped() {
	if m.account != nil {
		m.account.Give(messageSize + len(m.Payload))
	}
}
