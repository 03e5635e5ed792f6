package rtd

import (
	"runtime"
	"slices"
)

// The way in: where the host puts an event, and which part of the program takes it.

// maxEvent bounds the inbox: an event above it is refused, not fatal.
const maxEvent = 32 << 20

// inbox is where the host writes the event at hand.
var inbox []byte

// reserve returns an inbox of n bytes, or nil if that is too many. It keeps
// the largest so far.
func reserve(n uint32) []byte {
	if n > maxEvent {
		return nil
	}
	if int(n) > len(inbox) {
		inbox = make([]byte, max(int(n), 4096, 2*len(inbox)))
	}
	return inbox
}

// receive handles the event of n bytes in the inbox.
func receive(n uint32) int32 {
	if int(n) > len(inbox) {
		return 1
	}
	e, ok := parseRecord(inbox[:n])
	if !ok {
		return 1
	}
	atHand.binary = e.flags&flagBinary != 0
	switch e.kind {
	case eventMessage:
		atHand.token = e.extra
	case eventInfo:
		atHand.late = e.detail
	}
	if err := dispatch(e); err != nil {
		abort(err.Error())
	}
	atHand.binary, atHand.token, atHand.late = false, "", ""
	outgoing.wipe()
	answers.wipe()
	if this.events < pacedAt && this.body != nil {
		pace()
	}
	return 0
}

// dispatch takes one event of this instance.
func dispatch(e record) error {
	switch e.kind {
	case eventStart:
		return start(e.payload)
	case eventStop:
		for _, f := range slices.Backward(plugin.onStop) {
			f()
		}
		return nil
	case eventIdle:
		runtime.GC()
		if this.body == nil { // the host is about to take the snapshot
			rehearse()
		}
		return nil
	case eventInit:
		create := plugin.modules[e.name]
		switch {
		case create != nil:
		case e.flags&flagReplay != 0: // this version does without it
			Stop("shutdown: " + noModule(e.name))
			return nil
		default:
			return errText(noModule(e.name) + "; register it from init, for example with rtd.Serve")
		}
		reseed()
		this.body = create()
	case eventConnect:
		reseed()
		return connect(e)
	case eventJoin, eventMembers:
		if err := openChannel(e); err != nil {
			return err
		}
	case eventImport:
		if err := openImported(e); err != nil {
			return err
		}
	}
	if this.body == nil {
		switch {
		case e.kind == eventMessage:
			return errText("message before join")
		case e.kind < eventStop:
			return errText("event before join or init")
		}
		return nil // a newer host tells of something that this SDK does not know
	}
	return this.body.handle(e)
}
