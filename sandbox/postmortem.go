package sandbox

import (
	"bytes"

	"rtd/sandbox/abi"
)

// What a post-mortem may have of one guest.
const (
	pastEvents  = 8        // the one at hand included
	maxPast     = 4 << 10  // bytes of each field of an event
	maxOpening  = 64 << 10 // of the one that the guest began with
	pastLines   = 16
	maxPastLine = 512
	maxExamined = 16 << 20 // bytes of memory
)

// PostMortem is what is left of a guest that died of a [Trap], for a crash report:
// enough to look at, and to run it again up to where it died.
type PostMortem struct {
	// Events are what the guest has handled last, oldest first and at most 8. It
	// died of the last one. They go back to when it was brought into its slot.
	Events []PastEvent
	// Whole says that the guest handled no others, so that Events begin with its
	// first one.
	Whole bool
	// Opening is the event that the guest began with, if Events have it no more and
	// its process knows it, see [Opener].
	Opening *PastEvent
	// Lines are the last ones that the guest has logged or printed, at most 16.
	Lines []string
	// Memory is the guest's linear memory as it died, at most the first 16 MiB of
	// MemorySize bytes.
	Memory     []byte
	MemorySize int
}

// PastEvent is an event that a guest has handled. Of each field it has at most the
// first 4 KiB.
type PastEvent struct {
	abi.Event
	Cut bool // there was more
}

// Opener is a [Process] that knows with which event its guest has begun, or would
// begin if it had to begin now. It is called as the other methods are.
type Opener interface {
	Opening() (e abi.Event, ok bool)
}

// PostMortem returns what is left of the guest, to the first who asks: it is
// large, and traps are kept by those who tell why a process ended. It is nil for
// all others, and if [Options].Examine did not want it.
func (t *Trap) PostMortem() *PostMortem { return t.left.Swap(nil) }

// examine keeps what is left of i's guest, which died of i.trap in s, if
// anybody wants it.
func (i *Instance) examine(s *slot) {
	wants := i.plugin.engine.examine
	if wants == nil || i.trap.Kind == KindEnded || !wants(i.trap) {
		return
	}
	memory := s.memory.image.Bytes()
	m := &PostMortem{
		Events: s.recent.list(), Lines: s.recent.printed(), Whole: s.recent.whole && s.recent.events <= pastEvents,
		Memory: bytes.Clone(memory[:min(len(memory), maxExamined)]), MemorySize: len(memory),
	}
	if o, ok := i.process.(Opener); ok && !m.Whole {
		if e, ok := o.Opening(); ok {
			past := PastEvent{e, false}
			past.cut(maxOpening)
			m.Opening = &past
		}
	}
	i.trap.left.Store(m)
}

// recent is what the guest in a slot has handled and said lately. It belongs to the
// slot and not to the actor: so it costs only those something that are at work, and
// who leaves a slot leaves it behind.
type recent struct {
	whole  bool // the guest has begun in this slot
	events int  // since it came
	lines  int
	event  [pastEvents]struct {
		record []byte // reused
		cut    bool
	}
	line [pastLines][]byte // reused
}

// newRecent is nil if nobody will ask.
func (e *Engine) newRecent() *recent {
	if e.examine == nil {
		return nil
	}
	return &recent{whole: true}
}

// begin is for an actor that was brought into the slot. Fresh says that its guest
// has not handled anything yet.
func (r *recent) begin(fresh bool) {
	if r != nil {
		r.whole, r.events, r.lines = fresh, 0, 0
	}
}

func (r *recent) handle(e *abi.Event) {
	if r == nil {
		return
	}
	place := &r.event[r.events%pastEvents]
	r.events++
	place.cut = false
	if e.Size() > maxPast {
		past := PastEvent{Event: *e}
		past.cut(maxPast)
		e, place.cut = &past.Event, past.Cut
	}
	place.record = abi.AppendEvent(place.record[:0], e)
}

func (r *recent) say(line []byte) {
	if r == nil {
		return
	}
	place := &r.line[r.lines%pastLines]
	*place = append((*place)[:0], line[:min(len(line), maxPastLine)]...)
	r.lines++
}

func (r *recent) list() (list []PastEvent) {
	for n := max(0, r.events-pastEvents); n < r.events; n++ {
		place := &r.event[n%pastEvents]
		if e, err := abi.ParseEvent(bytes.Clone(place.record)); err == nil { // it is our own
			list = append(list, PastEvent{e, place.cut})
		}
	}
	return list
}

func (r *recent) printed() (lines []string) {
	for n := max(0, r.lines-pastLines); n < r.lines; n++ {
		lines = append(lines, printable(r.line[n%pastLines], maxPastLine))
	}
	return lines
}

// cut shortens the fields that may be large.
func (e *PastEvent) cut(most int) {
	if len(e.Name) > most {
		e.Name, e.Cut = e.Name[:most], true
	}
	if len(e.Payload) > most {
		e.Payload, e.Cut = e.Payload[:most], true
	}
	if len(e.Detail) > most {
		e.Detail, e.Cut = e.Detail[:most], true
	}
	if len(e.Extra) > most {
		e.Extra, e.Cut = e.Extra[:most], true
	}
}
