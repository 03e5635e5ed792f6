package process

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// held is what the host holds for a durable actor besides its memory, as it is stored with that.
// Names of things are texts: the refs of another run of the server mean nothing to this one, but the guest
// still knows them.
type held struct {
	TrapExit bool

	// Of a process, not of a topic: how it began, so that it can begin again by itself.
	Module, Under string
	Args          []byte
	Binary        bool
	Begun         bool // it has had its init, and no other event

	Timers        []heldTimer
	Monitors      []heldTie
	Links         []string // pids
	Asked         []string // requests
	Subscriptions []string // topics
	Intercepts    []string // events
	Names         []string // besides the one that a process is known by
	Presences     []heldPresence
}

type heldTimer struct {
	ID      string
	Due     time.Time
	After   time.Duration // that it was set to: a clock that is set back does not make it wait for longer
	Binary  bool
	Payload []byte
}

type heldTie struct{ ID, PID string }

type heldPresence struct {
	Topic, Key string
	Meta       []byte
}

// sort has the same things be the same bytes.
func (h *held) sort() {
	slices.SortFunc(h.Timers, func(a, b heldTimer) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(h.Monitors, func(a, b heldTie) int { return cmp.Compare(a.ID, b.ID) })
	for _, texts := range [][]string{h.Links, h.Asked, h.Subscriptions, h.Intercepts, h.Names} {
		slices.Sort(texts)
	}
	slices.SortFunc(h.Presences, func(a, b heldPresence) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Key, b.Key))
	})
}

// heldFormat is the first byte of what append writes. A later format gets another.
const heldFormat = 1

// Bits of the second byte: what there is.
const (
	heldTrapExit = 1 << iota
	heldBinary
	heldProcess // module, arguments, supervisor
	heldLists   // all others
	heldBegun
)

var errHeld = errors.New("what is held for the actor is damaged")

// append writes h as bytes:
//
//	byte     heldFormat
//	byte     bits
//	texts    module, arguments, id of the supervisor; if it is a process
//	lists    each of them a count, and that many elements; if there are any
//
// A text is its length and bytes, a number an unsigned varint, a time nanoseconds since 1970, signed.
func (h *held) append(b []byte) []byte {
	var bits byte
	if h.TrapExit {
		bits |= heldTrapExit
	}
	if h.Binary {
		bits |= heldBinary
	}
	if h.Begun {
		bits |= heldBegun
	}
	if h.Module != "" || len(h.Args) > 0 || h.Under != "" {
		bits |= heldProcess
	}
	if len(h.Timers)+len(h.Monitors)+len(h.Links)+len(h.Asked)+len(h.Subscriptions)+len(h.Intercepts)+len(h.Names)+len(h.Presences) > 0 {
		bits |= heldLists
	}
	b = append(b, heldFormat, bits)
	if bits&heldProcess != 0 {
		b = appendText(appendText(appendText(b, h.Module), h.Args), h.Under)
	}
	if bits&heldLists == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(h.Timers)))
	for i := range h.Timers {
		t := &h.Timers[i]
		b = appendText(b, t.ID)
		b = binary.AppendVarint(b, t.Due.UnixNano())
		b = binary.AppendUvarint(b, uint64(t.After))
		isBinary := byte(0)
		if t.Binary {
			isBinary = 1
		}
		b = appendText(append(b, isBinary), t.Payload)
	}
	b = binary.AppendUvarint(b, uint64(len(h.Monitors)))
	for _, m := range h.Monitors {
		b = appendText(appendText(b, m.ID), m.PID)
	}
	for _, texts := range [][]string{h.Links, h.Asked, h.Subscriptions, h.Intercepts, h.Names} {
		b = binary.AppendUvarint(b, uint64(len(texts)))
		for _, text := range texts {
			b = appendText(b, text)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(h.Presences)))
	for i := range h.Presences {
		p := &h.Presences[i]
		b = appendText(appendText(appendText(b, p.Topic), p.Key), p.Meta)
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// parseHeld reads what append has written. The bytes may be anything: it takes no more memory than they have.
func parseHeld(b []byte) (*held, error) {
	r := &heldReader{rest: b}
	h := &held{}
	if format := r.byte(); r.bad || format != heldFormat {
		return nil, fmt.Errorf("%w: it has the format %d, and this rtd reads %d", errHeld, format, heldFormat)
	}
	bits := r.byte()
	h.TrapExit, h.Binary, h.Begun = bits&heldTrapExit != 0, bits&heldBinary != 0, bits&heldBegun != 0
	if bits&heldProcess != 0 {
		h.Module, h.Args, h.Under = r.text(), r.bytes(), r.text()
	}
	if bits&heldLists != 0 {
		for range r.count(5) {
			h.Timers = append(h.Timers, heldTimer{
				ID: r.text(), Due: time.Unix(0, r.signed()), After: time.Duration(min(r.number(), uint64(maxTime))),
				Binary: r.byte() != 0, Payload: r.bytes(),
			})
		}
		for range r.count(2) {
			h.Monitors = append(h.Monitors, heldTie{r.text(), r.text()})
		}
		for _, texts := range []*[]string{&h.Links, &h.Asked, &h.Subscriptions, &h.Intercepts, &h.Names} {
			for range r.count(1) {
				*texts = append(*texts, r.text())
			}
		}
		for range r.count(3) {
			h.Presences = append(h.Presences, heldPresence{r.text(), r.text(), r.bytes()})
		}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errHeld
	}
	return h, nil
}

// heldReader reads what append has written. After the first fault all that it returns is zero.
type heldReader struct {
	rest []byte
	bad  bool
}

func (r *heldReader) fail() {
	r.bad, r.rest = true, nil
}

func (r *heldReader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *heldReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *heldReader) signed() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count reads how many elements follow, of at least so many bytes each.
func (r *heldReader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.rest)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *heldReader) bytes() []byte {
	n := r.count(1)
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *heldReader) text() string { return string(r.bytes()) }
