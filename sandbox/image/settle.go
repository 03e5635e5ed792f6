package image

import (
	"bytes"
	"encoding/binary"
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
}

// part is what one stretch of a memory differs by.
type part struct {
	at   int  // where the stretch begins
	end  int  // where its last run ends
	runs span // in settled.runs; the first gap is from the memory's begin
}

const (
	// A memory is settled when Diff has looked at more than settleOver bytes, for the settleAfter-th time at least: it
	// takes as long as some such Diffs, and each page that is written again then costs a fault. If
	// that is soon so again, it was of little use, and waits for twice as many Diffs the next time.
	settleOver  = 128 << 10
	settleAfter = 8
	settleSlow  = 1 << 10 // Diffs, at most

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

// mayBeSettled is called by Diff, which has compared spans, and found runs of so many bytes in them.
func (m *Memory) mayBeSettled(found int) {
	m.diffs++
	if m.diffs < max(m.patience, settleAfter) || length(m.spans)+runWeight*found <= settleOver {
		return
	}
	if m.diffs > m.patience {
		m.patience = settleAfter
	}
	m.patience, m.diffs = min(2*m.patience, settleSlow), 0
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
	mem, old, written := m.Bytes(), m.settled.spans, m.spans
	for _, s := range joined(old, written, 0) {
		for from := s.from; from < s.to; {
			end, base, forget := m.stretch(from, s.to)
			old, written = behind(old, from), behind(written, from)
			keep := len(old) > 0 && old[0].from < end
			if forget {
				keep = keep || !bytes.Equal(mem[from:end], base)
			} else {
				at := len(next.runs)
				var last int
				if next.runs, last = appendRuns(next.runs, mem[from:end], base, from, 0, false); len(next.runs) > at {
					next.parts = append(next.parts, part{from, last, span{at, len(next.runs)}})
					keep = true
				}
			}
			if keep {
				pages := span{from &^ (pageSize - 1), (end + pageSize - 1) &^ (pageSize - 1)}
				next.spans = append(next.spans, pages)
				if len(written) > 0 && written[0].from < end {
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
	m.settled, m.diffs, m.patience = settled{}, 0, 0
}

// appendParts appends the parts that begin before s, and returns those behind it. last is where the latest
// run has ended; it returns where it ends now.
func (t *settled) appendParts(dst []byte, parts []part, last int, s span) ([]byte, int, []part) {
	for len(parts) > 0 && parts[0].at < s.from {
		runs := t.runs[parts[0].runs.from:parts[0].runs.to]
		first, n := binary.Uvarint(runs)
		dst = binary.AppendUvarint(dst, first-uint64(last))
		dst = append(dst, runs[n:]...)
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
