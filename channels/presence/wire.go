package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A piece, as nodes send it to each other. Numbers are unsigned varints (encoding/binary), of clocks in order the differences:
//
//	piece    version 1 │ name │ incarnation │ section …
//	section  shard │ after │ removed clock … │ 0 │ entry … │ 0 │ length of the run
//	entry    clock │ topic │ key │ meta
//
// A name, key or meta is its length and its bytes. A topic is its length and one more, and its bytes, or 0 if it is that of the entry before. The first
// removed clock is counted from 0, the first entry's from after. All removed clocks are at most after; those of entries are in the run.
const (
	wireVersion = 1
	maxPiece    = 256 << 10 // of what is written, unless one entry is larger
	endsRoom    = 1 << 10   // for sections without entries behind the last one with any, one for each shard
	maxRemoved  = 1 << 14   // clocks that are written in a section; whoever merges it has a map of them meanwhile
	maxMerged   = 4 << 20   // of what is read
	maxName     = 255
	maxClock    = 1 << 62
)

// ErrPiece says that a piece is malformed, or of a version that is not known, or too large. Nothing of it has been merged.
var ErrPiece = errors.New("presence: malformed piece")

// writer writes pieces.
type writer struct {
	self  Replica
	piece []byte
}

// take returns the piece, which has no section perhaps, and begins another.
func (w *writer) take() []byte {
	w.begin()
	piece := w.piece
	w.piece = nil
	return piece
}

func (w *writer) begin() {
	if w.piece == nil {
		w.piece = appendText(append(w.piece, wireVersion), w.self.Name)
		w.piece = binary.AppendUvarint(w.piece, w.self.Incarnation)
	}
}

// section writes a run of clocks behind after, up to which all is said if it has room: clocks of entries that are not there any more, and the entries of the
// run, in order. It returns how many of them are written, and the end of the run. A piece without sections has room for one entry.
func (w *writer) section(shard int, after uint64, removed []uint64, entries []*Entry, now uint64) (gone, there int, upTo uint64) {
	const numbers = 4 * binary.MaxVarintLen64
	fresh := w.piece == nil
	w.begin()
	room := func(size int) bool { return len(w.piece)+size+endsRoom <= maxPiece }
	w.piece = binary.AppendUvarint(append(w.piece, byte(shard)), after)
	last := uint64(0)
	for gone < min(len(removed), maxRemoved) && room(numbers) {
		w.piece = binary.AppendUvarint(w.piece, removed[gone]-last)
		last = removed[gone]
		gone++
	}
	w.piece = append(w.piece, 0)
	topic, first := "", true
	upTo = after
	for gone == len(removed) && there < len(entries) {
		e := entries[there]
		if size := len(e.Topic) + len(e.Key) + len(e.Meta) + numbers; !room(size) && !(fresh && there+gone == 0) {
			break
		}
		w.piece = binary.AppendUvarint(w.piece, e.Tag.Clock-upTo)
		if first || e.Topic != topic {
			topic, first = e.Topic, false
			w.piece = append(binary.AppendUvarint(w.piece, uint64(len(topic))+1), topic...)
		} else {
			w.piece = append(w.piece, 0)
		}
		w.piece = appendText(w.piece, e.Key)
		w.piece = append(binary.AppendUvarint(w.piece, uint64(len(e.Meta))), e.Meta...)
		upTo = e.Tag.Clock
		there++
	}
	w.piece = append(w.piece, 0)
	if gone == len(removed) && there == len(entries) {
		upTo = now
	}
	w.piece = binary.AppendUvarint(w.piece, upTo-after)
	return gone, there, upTo
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// section is a part of a piece, as it was read.
type section struct {
	shard       int
	after, upTo uint64
	removed     []uint64 // not above after
	entries     []*Entry // in the run
}

// reader reads a piece. Once something is missing, it reads zeros, and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

// readPiece reads a piece. may is asked about each entry; what it refuses is left out and counted. The result shares no memory with the piece.
func readPiece(piece []byte, may func(shard int, topic string, key, meta []byte) bool) (self Replica, list []section, refused int, err error) {
	r := reader{rest: piece}
	if len(piece) > maxMerged {
		return self, nil, 0, fmt.Errorf("%w: it has %d bytes", ErrPiece, len(piece))
	}
	if version := r.byte(); version != wireVersion {
		return self, nil, 0, fmt.Errorf("%w: it is of version %d", ErrPiece, version)
	}
	if name := r.text(); len(name) <= maxName {
		self.Name = string(name)
	} else {
		r.bad = true
	}
	self.Incarnation = r.number()
	for !r.bad && len(r.rest) > 0 {
		var s section
		var n int
		if s, n = r.section(self, may); !r.bad {
			list = append(list, s)
			refused += n
		}
	}
	if r.bad {
		return self, nil, 0, fmt.Errorf("%w: of %d bytes, those behind %d are not understood", ErrPiece, len(piece), len(piece)-len(r.rest))
	}
	return self, list, refused, nil
}

func (r *reader) section(self Replica, may func(shard int, topic string, key, meta []byte) bool) (s section, refused int) {
	s.shard = int(r.byte())
	s.after = r.clock(0)
	for last := uint64(0); ; {
		d := r.clock(last) - last
		if d == 0 || r.bad {
			break
		}
		last += d
		s.removed = append(s.removed, last)
	}
	if n := len(s.removed); n > 0 && s.removed[n-1] > s.after || s.shard >= shards {
		r.bad = true
	}
	topic, known := "", false
	last := s.after
	for {
		d := r.clock(last) - last
		if d == 0 || r.bad {
			break
		}
		last += d
		if n := r.number(); n > 0 {
			if text := r.bytes(n - 1); !known || string(text) != topic {
				topic, known = string(text), true
			}
		}
		key, meta := r.text(), r.text()
		switch {
		case r.bad || !known:
			r.bad = true
		case !may(s.shard, topic, key, meta):
			refused++
		default:
			s.entries = append(s.entries, &Entry{
				Tag: Tag{self, last}, Topic: topic, Key: string(key), Meta: append(make([]byte, 0, len(meta)), meta...),
			})
		}
	}
	if s.upTo = r.clock(s.after); s.upTo < last {
		r.bad = true
	}
	return s, refused
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) text() []byte { return r.bytes(r.number()) }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// clock reads a clock, as the difference from another.
func (r *reader) clock(from uint64) uint64 {
	n := r.number()
	if n > maxClock-from {
		r.bad = true
		return from
	}
	return from + n
}

// delta is what the section says. Merging it costs as much as it has, and as many clocks as the run has if something before that is missing.
func (s *section) delta(self Replica) *Delta {
	c := &clocks{after: s.after, upTo: s.upTo}
	if len(s.removed) > 0 {
		c.cloud = make(map[uint64]struct{}, len(s.removed))
		for _, clock := range s.removed {
			c.cloud[clock] = struct{}{}
		}
	}
	d := &Delta{seen: tags{self: c}}
	for _, e := range s.entries {
		d.put(e)
	}
	return d
}
