package image

import (
	"bytes"
	"encoding/binary"
	"os"
)

var pageSize = os.Getpagesize()

// Memory is the linear memory of a slot. It begins as its snapshot and changes
// into one actor's memory after another. It is used by one goroutine at a time.
type Memory struct {
	snapshot *Snapshot
	limit    int
	backing  backing
	size     int  // of what the guest has
	scratch  span // what Save forgets

	// What was written, in order. The pages stay written when the snapshot's bytes
	// are put back. So while known is true, which Begin and End see to, spans has
	// all that may differ from the snapshot, and nobody has to ask.
	spans    []span
	known    bool
	watching bool
	turns    int // of the guest since Save or Reset
	kept     int // bytes of pages that stayed its own then

	settled settled // differs from the snapshot, besides spans
	debt    int     // what Diff has looked at too much since then, in bytes
	least   int     // that it has looked at since then

	counting []span // reused by Own
}

// span is a range of addresses, relative to the memory's begin.
type span struct{ from, to int }

// backing is where a memory's bytes are: ordinary ones, or on Linux a private
// mapping of the snapshot.
type backing interface {
	// bytes returns the first size bytes; those never written are zero. It may
	// move them. nil says that the system has no memory.
	bytes(size int) []byte
	// written appends spans, in order, that hold at least all that differs
	// from the snapshot, or from zero beyond its end.
	written(spans []span, size int) []span
	// watch is called before the guest runs and unwatch after it, on the same
	// goroutine. unwatch says whether written would say the same as before.
	watch()
	unwatch() bool
	// tidy is called when the memory is the snapshot again, or may become it, with the
	// bytes that written told. It may call renew, and says so.
	tidy(written int) bool
	renew()
	// settle makes written leave out these spans until they are written again, or as many of them as
	// the system allows. Others that it tells of must be as they were before they were written: the
	// snapshot's, or as they were settled. false says that nothing was done.
	settle(spans []span) bool
	close()
}

// NewMemory returns a memory with the content of s that can grow to limit
// bytes.
func (s *Snapshot) NewMemory(limit int) (*Memory, error) {
	b, err := s.newBacking(max(limit, len(s.bytes)))
	if err != nil {
		return nil, err
	}
	return &Memory{snapshot: s, limit: limit, backing: b, size: len(s.bytes)}, nil
}

// Bytes is what the guest has now. It is invalid after Grow, Load and Close.
func (m *Memory) Bytes() []byte { return m.backing.bytes(m.size) }

// Grow makes the memory larger by zeros and returns its bytes, or nil if size is
// more than the limit or there is no memory. A memory that is the snapshot, and
// zeros behind it, may also be made smaller.
func (m *Memory) Grow(size int) []byte {
	if size > m.limit {
		return nil
	}
	b := m.backing.bytes(size)
	if b != nil && size != m.size {
		m.size, m.known = size, false
	}
	return b
}

// Begin and End enclose all that the guest does for an event, on one goroutine.
// Then nothing but Load may write to the memory outside of them. Save can do
// without, but has to ask for what was written.
func (m *Memory) Begin() {
	// Watching costs about half of what asking does, so a memory that gets event
	// after event without a Save is not worth it.
	if m.turns++; m.turns > 1 {
		m.known = false
	}
	m.Resume()
}

// End ends what Begin or Resume has begun.
func (m *Memory) End() {
	if m.watching {
		m.watching = false
		m.known = m.backing.unwatch() && m.known // it may have grown meanwhile
	}
}

// Resume is for a guest that goes on after a pause, before which End was called.
func (m *Memory) Resume() {
	if m.known {
		m.watching = true
		m.backing.watch()
	}
}

// Size is the number of bytes that the guest has.
func (m *Memory) Size() int { return m.size }

// Forget makes Save leave out what is in [from, to), so that it is the snapshot's
// after a Load.
func (m *Memory) Forget(from, to int) { m.scratch = span{from, to} }

// Save appends what the memory differs by from the snapshot to dst, and makes
// its content the snapshot's again, zeros beyond it; the size stays.
func (m *Memory) Save(dst []byte) []byte {
	return m.revert(binary.AppendUvarint(dst, uint64(m.size)), true)
}

// Diff appends what Save would, and leaves the memory as it is: the guest may go on in
// it at once. What Forget names is not in there, and stays in the memory. Whoever asks for it after
// each event pays for what that has written, as a rule (settle.go).
func (m *Memory) Diff(dst []byte) []byte {
	m.find()
	dst = binary.AppendUvarint(dst, uint64(m.size))
	at := len(dst)
	m.settled.said = 0
	dst = m.each(dst, true, false)
	m.known, m.turns = true, 0
	m.mayBeSettled(len(dst) - at - m.settled.said)
	return dst
}

// Reset makes the content the snapshot's again, zeros beyond it.
func (m *Memory) Reset() { m.revert(nil, false) }

// Renew makes the content the snapshot's at once, without a look at what was written:
// for a memory that was written to in many places.
func (m *Memory) Renew() {
	m.Bytes() // the backing must know of all of it
	m.unsettle()
	m.backing.renew()
	m.known, m.turns, m.kept = false, 0, 0
}

// Own is how many bytes of the snapshot the memory has pages of its own for, since
// they were written, and how many it has settled. It asks the system.
func (m *Memory) Own() int {
	m.counting = m.backing.written(m.counting[:0], min(m.size, len(m.snapshot.bytes)))
	return length(m.counting) + m.settled.bytes
}

// Kept is how many bytes of pages of its own the memory has, right after Save, Reset
// or Renew.
func (m *Memory) Kept() int { return m.kept }

// Load applies a delta of Save or Diff to a memory that is the snapshot and has the
// delta's size. It writes nothing outside of the memory, whatever the delta says. But a
// delta does not say which snapshot it is of, nor whether it was damaged: whoever has it
// from elsewhere compares both before. The error is [ErrDelta], after which the memory is
// neither the snapshot nor the state: Reset makes it the snapshot.
func (m *Memory) Load(delta []byte) error {
	size, runs, err := deltaSize(delta)
	if err != nil || size != m.size {
		return ErrDelta
	}
	inside, err := applyRuns(m.Bytes(), runs, m.spans)
	m.known = m.known && inside
	return err
}

// Close gives the memory back. Nothing may use it any more.
func (m *Memory) Close() {
	m.unsettle()
	m.backing.close()
}

// revert makes the content the snapshot's again. If save is set it first
// appends what differs.
func (m *Memory) revert(dst []byte, save bool) []byte {
	if len(m.settled.spans) > 0 {
		if save {
			m.find()
			dst = m.each(dst, true, false)
		}
		m.Renew()
		return dst
	}
	m.find()
	m.debt = 0
	written := length(m.spans)
	if !save && m.backing.tidy(written) { // nobody wants what is there
		m.known, m.turns, m.kept = false, 0, 0
		return dst
	}
	dst = m.each(dst, save, true)
	m.known, m.turns, m.kept = true, 0, written
	if m.backing.tidy(written) {
		m.known, m.kept = false, 0
	}
	return dst
}

// find makes spans say what may differ from the snapshot.
func (m *Memory) find() {
	m.Bytes() // the backing must know of all of it
	if !m.known || m.turns != 1 {
		m.spans = m.backing.written(m.spans[:0], m.size)
	}
}

// each goes through spans, and appends what differs from the snapshot if save is set, with what
// is settled, and puts the snapshot's bytes back if revert is.
func (m *Memory) each(dst []byte, save, revert bool) []byte {
	mem := m.Bytes()
	last := 0 // end of the latest run
	parts := m.settled.parts
	for _, s := range m.spans {
		dst, last, parts = m.settled.appendParts(dst, parts, last, s)
		for from := s.from; from < s.to; {
			end, base, forget := m.stretch(from, s.to)
			part := mem[from:end]
			if save && !forget {
				dst, last = appendRuns(dst, part, base, from, last, revert)
			} else if revert && !bytes.Equal(part, base) {
				copy(part, base)
			}
			from = end
		}
	}
	dst, _, _ = m.settled.appendParts(dst, parts, last, span{m.size, m.size})
	return dst
}

// stretch is how much of [from, to) is looked at at once, and what it is in the snapshot. No stretch crosses
// a page's end. forget says that it is scratch.
func (m *Memory) stretch(from, to int) (end int, base []byte, forget bool) {
	end, forget = m.scratch.cut(from, min(to, from&^(stretchSize-1)+stretchSize))
	if from < len(m.snapshot.bytes) {
		return end, m.snapshot.bytes[from:end], forget
	}
	return end, zeros[:end-from], forget
}

// cut shortens [from, to) to what is wholly inside of s, or wholly outside.
func (s span) cut(from, to int) (end int, inside bool) {
	switch {
	case from >= s.from && from < s.to:
		return min(to, s.to), true
	case from < s.from && s.from < s.to:
		return min(to, s.from), false
	}
	return to, false
}

// stretchSize is how much is compared, saved and copied at once: what stays in the
// processor's nearest cache.
const stretchSize = 4096

var zeros [stretchSize]byte
