package sandbox

import (
	"bytes"
	"time"

	"rtd/sandbox/abi"
)

// Bounds of a post-mortem.
const (
	pastEvents  = 8        // the one at hand included
	maxPast     = 4 << 10  // bytes of each field of an event
	maxOpening  = 64 << 10 // of the one that the guest began with
	pastLines   = 16
	maxPastLine = 512
	maxExamined = 16 << 20 // bytes of memory
	maxAtATime  = 4        // guests of a plugin that are examined beside the others' turns

	// examinedPiece is how much is copied at once, some 100 µs; others run before the next.
	examinedPiece = 256 << 10
	examinedPause = 100 * time.Microsecond
)

// PostMortem is the remains of a guest that died of a [Trap], for a crash report:
// enough to look at, and to run it again up to its death.
type PostMortem struct {
	// Events are those that the guest handled last, oldest first and at most 8. It
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

	copied chan struct{} // closed when all is there
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

// PostMortem returns the remains of the guest, to the first who asks: they are
// large, and traps are kept by those who tell why a process ended. It is nil for
// all others, and if [Options].Examine did not want it.
//
// It waits until they are copied: up to some ten milliseconds for a large memory, since others
// run meanwhile. Whoever must not wait asks [Trap.Examined] and leaves it to somebody else.
func (t *Trap) PostMortem() *PostMortem {
	m := t.left.Swap(nil)
	if m != nil {
		<-m.copied
	}
	return m
}

// Examined says whether there is a post-mortem that nobody has taken yet.
func (t *Trap) Examined() bool { return t.left.Load() != nil }

// Fault says that the guest, which lives, has to end for an effect or operation of its last
// event: as a trap of [KindEffect] or [KindStop], with a post-mortem if one is wanted. It is
// nil if nobody examines traps, or the events of the guest are not known any more.
func (i *Instance) Fault(kind TrapKind, reason error) *Trap {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.slot // which nobody takes while i.mu is held
	if s == nil || i.trap != nil || s.recent == nil {
		return nil
	}
	past := s.recent.list()
	if len(past) == 0 {
		return nil
	}
	e := past[len(past)-1]
	t := &Trap{
		Kind: kind, Plugin: i.module.name, Version: i.module.version, Event: e.Kind, Name: e.Name,
		Cause: printable([]byte(reason.Error()), maxCause),
	}
	i.examine(s, t)
	return t
}

// examine keeps what is left of i's guest, which died of t in s, if anybody wants it.
// The slot is the guest's own, whose memory stays as it is until that is copied.
func (i *Instance) examine(s *slot, t *Trap) {
	if m := i.begin(s, t); m != nil {
		m.copy(s, 0)
	}
}

// bury is for a slot in which a guest has died of t. It makes the slot ready for others when
// what anybody wants of the guest is copied. For that the actor does not wait, nor do those
// whose turn is next: a goroutine does it, and the module stays until then.
func (i *Instance) bury(s *slot, t *Trap) {
	p := i.module
	m := i.begin(s, t)
	if m == nil {
		p.retire(s)
		return
	}
	if p.examining.Add(1) > maxAtATime || !p.hold() {
		p.examining.Add(-1)
		m.copy(s, 0)
		p.retire(s)
		return
	}
	go func() {
		defer p.letGo()
		m.copy(s, examinedPause)
		p.examining.Add(-1)
		p.retire(s)
	}()
}

// begin notes what has to be known at once for t's post-mortem, if anybody wants one: the rest
// stays in s.
func (i *Instance) begin(s *slot, t *Trap) *PostMortem {
	wants := i.module.engine.examine
	if wants == nil || t.Kind == KindEnded || !wants(t) {
		return nil
	}
	m := &PostMortem{Whole: s.recent.whole && s.recent.events <= pastEvents, copied: make(chan struct{})}
	if o, ok := i.process.(Opener); ok && !m.Whole {
		if e, ok := o.Opening(); ok {
			past := PastEvent{e, false}
			past.cut(maxOpening)
			m.Opening = &past
		}
	}
	t.left.Store(m)
	return m
}

// copy takes from s what is left of a guest in it, with a pause after each piece.
func (m *PostMortem) copy(s *slot, pause time.Duration) {
	defer close(m.copied)
	m.Events, m.Lines = s.recent.list(), s.recent.printed()
	memory := s.memory.image.Bytes()
	m.MemorySize = len(memory)
	memory = memory[:min(len(memory), maxExamined)]
	m.Memory = make([]byte, 0, len(memory))
	for len(memory) > 0 {
		n := min(len(memory), examinedPiece)
		m.Memory = append(m.Memory, memory[:n]...)
		if memory = memory[n:]; len(memory) > 0 {
			time.Sleep(pause)
		}
	}
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
