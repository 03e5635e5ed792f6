package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// A delta is what a memory differs by from its snapshot:
//
//	uvarint            size of the memory in bytes
//	runs, in order:
//	  uvarint          bytes that are equal, since the last run
//	  uvarint          length of the run << 1 | filled
//	  bytes            the run's; or, if filled, the 4 that repeat
//
// Beyond the snapshot's end the memory is compared with zeros.

const (
	blockSize = 256 // compared at once, at the speed of the machine
	lineSize  = 64  // then compared at once, in a block that differs
	wordSize  = 8
	joinGap   = 12 // equal bytes between two runs that are not worth a run of their own
	minFill   = 16 // bytes of one pattern that are worth a filled run
)

// ErrDelta says that a delta does not fit the memory, or is none.
var ErrDelta = errors.New("delta does not fit the memory")

// appendRuns appends the runs in which mem differs from base, which is as long, and, if
// revert is set, makes mem equal to it. at is where mem begins in the whole memory and last
// where the latest run ended; it returns the new end.
func appendRuns(dst, mem, base []byte, at, last int, revert bool) ([]byte, int) {
	from, to := 0, 0 // the run at hand, none if to is 0
	for i := 0; i < len(mem); {
		if rest := mem[i:]; len(rest) >= blockSize && bytes.Equal(rest[:blockSize], base[i:i+blockSize]) {
			i += blockSize
			continue
		}
		for end := min(i+blockSize, len(mem)); i < end; i += lineSize {
			var differ [lineSize / wordSize]uint64
			if !difference(&differ, mem[i:], base[i:]) {
				continue
			}
			for n, word := range differ {
				if word == 0 {
					continue
				}
				first := i + n*wordSize + bits.TrailingZeros64(word)/8
				if to > 0 && first-to > joinGap {
					dst = appendRun(dst, mem[from:to], at+from-last)
					if revert {
						copy(mem[from:to], base[from:])
					}
					last, to = at+to, 0
				}
				if to == 0 {
					from = first
				}
				to = i + (n+1)*wordSize - bits.LeadingZeros64(word)/8
			}
		}
	}
	if to > 0 {
		dst = appendRun(dst, mem[from:to], at+from-last)
		if revert {
			copy(mem[from:to], base[from:])
		}
		last = at + to
	}
	return dst, last
}

// difference sets differ to that of the first line, or of as much of it as there
// is, in words whose first byte is the lowest. It says whether there is one.
func difference(differ *[lineSize / wordSize]uint64, mem, base []byte) bool {
	if len(mem) < lineSize {
		var all byte
		for n := range mem {
			d := mem[n] ^ base[n]
			differ[n/wordSize] |= uint64(d) << (n % wordSize * 8)
			all |= d
		}
		return all != 0
	}
	m, b := (*[lineSize]byte)(mem), (*[lineSize]byte)(base)
	if *m == *b {
		return false
	}
	for n := range differ {
		differ[n] = binary.LittleEndian.Uint64(m[n*wordSize:]) ^ binary.LittleEndian.Uint64(b[n*wordSize:])
	}
	return true
}

// appendRun appends one run, cut into filled and plain ones. Freed memory of a
// guest that clobbers it, and stretches of zeros, take a few bytes.
func appendRun(dst, run []byte, gap int) []byte {
	for len(run) > 0 {
		plain, fill := nextFill(run)
		if plain > 0 {
			dst = binary.AppendUvarint(dst, uint64(gap))
			dst = binary.AppendUvarint(dst, uint64(plain)<<1)
			dst = append(dst, run[:plain]...)
			gap = 0
		}
		if fill > 0 {
			dst = binary.AppendUvarint(dst, uint64(gap))
			dst = binary.AppendUvarint(dst, uint64(fill)<<1|1)
			dst = append(dst, run[plain:plain+4]...)
			gap = 0
		}
		run = run[plain+fill:]
	}
	return dst
}

// nextFill finds the first stretch of at least minFill bytes that repeat with a
// period of 4. It returns how many bytes come before, a multiple of 4, and its length, 0 if there
// is none.
func nextFill(run []byte) (plain, fill int) {
	// Any such stretch has 8 bytes at a multiple of 8 whose halves are the same.
	for i := 0; i+8 <= len(run); i += 8 {
		w := binary.NativeEndian.Uint64(run[i:])
		if uint32(w) != uint32(w>>32) {
			continue
		}
		from, end := i, i+8
		if i >= 4 && binary.NativeEndian.Uint32(run[i-4:]) == uint32(w) {
			from = i - 4
		}
		for end < len(run) && run[end] == run[end-4] {
			end++
		}
		if end-from >= minFill {
			return from, end - from
		}
	}
	return len(run), 0
}

// DeltaSize is the size of the memory that a delta makes, as the delta says, up to 4 GiB.
// Whoever has a delta from elsewhere compares it with what the guest may have, before a
// memory is made as large.
func DeltaSize(delta []byte) (int, error) {
	size, _, err := deltaSize(delta)
	return size, err
}

func deltaSize(delta []byte) (size int, runs []byte, err error) {
	n, k := binary.Uvarint(delta)
	if k <= 0 || n > 1<<32 {
		return 0, nil, ErrDelta
	}
	return int(n), delta[k:], nil
}

// applyRuns writes runs into mem. inside says whether all that is written lies in
// spans, which are in order.
func applyRuns(mem, runs []byte, spans []span) (inside bool, err error) {
	inside = true
	for at := uint64(0); len(runs) > 0; {
		gap, k := binary.Uvarint(runs)
		if k <= 0 {
			return false, ErrDelta
		}
		runs = runs[k:]
		head, k := binary.Uvarint(runs)
		if k <= 0 {
			return false, ErrDelta
		}
		runs = runs[k:]
		length := head >> 1
		if left := uint64(len(mem)) - at; gap > left || length > left-gap {
			return false, ErrDelta
		}
		at += gap
		dst := mem[at : at+length]
		for len(spans) > 0 && uint64(spans[0].to) <= at {
			spans = spans[1:]
		}
		at += length
		inside = inside && len(spans) > 0 && uint64(spans[0].from) <= at-length && at <= uint64(spans[0].to)
		if head&1 == 0 {
			if uint64(len(runs)) < length {
				return false, ErrDelta
			}
			copy(dst, runs)
			runs = runs[length:]
			continue
		}
		if len(runs) < 4 {
			return false, ErrDelta
		}
		for n := copy(dst, runs[:4]); n < len(dst); n *= 2 {
			copy(dst[n:], dst[:n])
		}
		runs = runs[4:]
	}
	return inside, nil
}
