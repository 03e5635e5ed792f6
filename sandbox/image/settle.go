package image

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync/atomic"
)

// settled is what a memory differed by from its snapshot when it was settled: as parts of a delta, and in pages of which
// the backing tells when they are written again. The zero value is nothing.
type settled struct {
	spans []span // of pages, in order
	parts []part // in order
	runs  []byte // of all parts
	bytes int    // that the backing has for it; some may have been written again, and settled again
	maps  int    // mappings that it has, at most
	said  int    // bytes of runs that were appended
}

// part is what one stretch of a memory differs by.
type part struct {
	at   int  // where the stretch begins
	end  int  // where its last run ends
	runs span // in settled.runs; the first gap is from the memory's begin
}

const (
	// A memory is settled when it pays: when what Diff has looked at too much, since it was settled last, has taken as
	// long as to settle it would. Too much is what is more than settleOver bytes, and than the least since then: so a
	// guest that writes to many pages in each event is settled once.
	settleOver = 64 << 10
	settleCost = 16 // times as long as to compare it

	// runWeight is how much longer than to find a byte equal it takes to put it into a run.
	runWeight = 4

	// Of each span the system keeps a mapping; a process may have some 65,000. Up to settleGap bytes that are the
	// snapshot's are settled with the pages around them.
	settleGap   = 16 << 10
	settleMaps  = 256      // of a memory
	settleAll   = 16 << 10 // of all
	settleBytes = 16 << 20 // of a memory
)

// allSettled is how many mappings all memories have for what is settled.
var allSettled atomic.Int64

// mayBeSettled is called by Diff, which has looked at spans, and found runs of so many bytes in them.
func (m *Memory) mayBeSettled(found int) {
	work := length(m.spans) + runWeight*found
	if m.least > work {
		m.least = work
	}
	m.debt += max(0, work-m.least-settleOver)
	if m.debt <= settleCost*length(m.spans) {
		return
	}
	m.debt, m.least = 0, math.MaxInt
	next, changed := m.survey()
	next.bytes, next.maps = m.settled.bytes+length(changed), m.settled.maps+2*len(changed)
	if next.bytes > 2*length(next.spans) || next.maps > settleMaps { // all anew, without what is of no use any more
		changed = next.spans
		next.bytes, next.maps = length(changed), len(changed)
	}
	if len(changed) == 0 || next.bytes > settleBytes || next.maps > settleMaps {
		return
	}
	more := int64(next.maps - m.settled.maps)
	if allSettled.Add(more) > settleAll || !m.backing.settle(changed) {
		allSettled.Add(-more)
		return
	}
	// Pages for which there was no mapping stay written, so that what is said of them here is not looked at.
	m.settled, m.known = next, false
}

// survey returns what settling the memory would keep, and the spans of it that were written since the last time.
func (m *Memory) survey() (next settled, changed []span) {
	mem, written := m.Bytes(), m.spans
	old, parts := m.settled.spans, m.settled.parts
	for _, s := range joined(old, written, 0) {
		for from := s.from; from < s.to; {
			end, base, forget := m.stretch(from, s.to)
			old, written = behind(old, from), behind(written, from)
			keep := len(old) > 0 && old[0].from < end
			dirty := len(written) > 0 && written[0].from < end
			for len(parts) > 0 && parts[0].at < from {
				parts = parts[1:]
			}
			at, last := len(next.runs), 0
			switch {
			case forget:
				keep = keep || !bytes.Equal(mem[from:end], base)
			case dirty:
				next.runs, last = appendRuns(next.runs, mem[from:end], base, from, 0, false)
			case len(parts) > 0 && parts[0].at == from:
				next.runs, last = append(next.runs, m.settled.runs[parts[0].runs.from:parts[0].runs.to]...), parts[0].end
			}
			if len(next.runs) > at {
				next.parts = append(next.parts, part{from, last, span{at, len(next.runs)}})
				keep = true
			}
			if keep {
				pages := span{from &^ (pageSize - 1), (end + pageSize - 1) &^ (pageSize - 1)}
				next.spans = append(next.spans, pages)
				if dirty {
					changed = append(changed, pages)
				}
			}
			from = end
		}
	}
	next.spans = joined(next.spans, nil, settleGap)
	return next, joined(changed, nil, settleGap)
}

// unsettle forgets what was settled, when the memory is the snapshot again.
func (m *Memory) unsettle() {
	allSettled.Add(-int64(m.settled.maps))
	m.settled, m.debt, m.least = settled{}, 0, 0
}

// appendParts appends the parts that begin before s, and returns those behind it. last is where the latest
// run has ended; it returns where it ends now.
func (t *settled) appendParts(dst []byte, parts []part, last int, s span) ([]byte, int, []part) {
	for len(parts) > 0 && parts[0].at < s.from {
		runs := t.runs[parts[0].runs.from:parts[0].runs.to]
		first, n := binary.Uvarint(runs)
		dst = binary.AppendUvarint(dst, first-uint64(last))
		dst = append(dst, runs[n:]...)
		t.said += len(runs)
		last, parts = parts[0].end, parts[1:]
	}
	for len(parts) > 0 && parts[0].at < s.to {
		parts = parts[1:]
	}
	return dst, last, parts
}

// joined are the spans of a and b, in order, with those as one between which there is no more than a gap.
func joined(a, b []span, gap int) (all []span) {
	for len(a)+len(b) > 0 {
		if len(a) == 0 || len(b) > 0 && b[0].from < a[0].from {
			a, b = b, a
		}
		if n := len(all); n > 0 && a[0].from <= all[n-1].to+gap {
			all[n-1].to = max(all[n-1].to, a[0].to)
		} else {
			all = append(all, a[0])
		}
		a = a[1:]
	}
	return all
}

// behind are the spans that end behind at.
func behind(spans []span, at int) []span {
	for len(spans) > 0 && spans[0].to <= at {
		spans = spans[1:]
	}
	return spans
}

// length is how many bytes spans have.
func length(spans []span) (n int) {
	for _, s := range spans {
		n += s.to - s.from
	}
	return n
}
