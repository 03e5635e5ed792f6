package image

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	joinGap   = 12  // equal bytes between two runs that are not worth a run of their own
	minFill   = 16  // bytes of one pattern that are worth a filled run
)

var errDelta = errors.New("delta does not fit the memory")

// revertRuns makes mem equal to base, which is as long, and appends the runs in
// which it was not. at is where mem begins in the whole memory and last where the
// latest run ended; it returns the new end.
func revertRuns(dst, mem, base []byte, at, last int) ([]byte, int) {
	for i := 0; i < len(mem); {
		i = skipEqual(mem, base, i)
		if i == len(mem) {
			break
		}
		end := runEnd(mem, base, i)
		dst = appendRun(dst, mem[i:end], at+i-last)
		copy(mem[i:end], base[i:end])
		last = at + end
		i = end
	}
	return dst, last
}

// skipEqual returns the first index from i on where mem and base differ.
func skipEqual(mem, base []byte, i int) int {
	for len(mem)-i >= blockSize && bytes.Equal(mem[i:i+blockSize], base[i:i+blockSize]) {
		i += blockSize
	}
	for len(mem)-i >= 8 && binary.NativeEndian.Uint64(mem[i:]) == binary.NativeEndian.Uint64(base[i:]) {
		i += 8
	}
	for i < len(mem) && mem[i] == base[i] {
		i++
	}
	return i
}

// runEnd returns where the run that begins at i ends: behind its last
// differing byte before a gap of more than joinGap equal ones.
func runEnd(mem, base []byte, i int) int {
	end := i + 1
	for j := end; j < len(mem) && j-end <= joinGap; j++ {
		if mem[j] != base[j] {
			end = j + 1
		}
	}
	return end
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
// period of 4. It returns how many bytes come before, and its length, 0 if there
// is none.
func nextFill(run []byte) (plain, fill int) {
	for i := 0; i+minFill <= len(run); i += 4 {
		w := binary.NativeEndian.Uint64(run[i:])
		if w != binary.NativeEndian.Uint64(run[i+8:]) || uint32(w) != uint32(w>>32) {
			continue
		}
		end := i + minFill
		for end < len(run) && run[end] == run[end-4] {
			end++
		}
		return i, end - i
	}
	return len(run), 0
}

// deltaSize is the size of the memory that a delta makes.
func deltaSize(delta []byte) (size int, runs []byte, err error) {
	n, k := binary.Uvarint(delta)
	if k <= 0 || n > 1<<32 {
		return 0, nil, errDelta
	}
	return int(n), delta[k:], nil
}

// applyRuns writes runs into mem.
func applyRuns(mem, runs []byte) error {
	at := uint64(0)
	for len(runs) > 0 {
		gap, k := binary.Uvarint(runs)
		if k <= 0 {
			return errDelta
		}
		runs = runs[k:]
		head, k := binary.Uvarint(runs)
		if k <= 0 {
			return errDelta
		}
		runs = runs[k:]
		length := head >> 1
		if left := uint64(len(mem)) - at; gap > left || length > left-gap {
			return errDelta
		}
		at += gap
		dst := mem[at : at+length]
		at += length
		if head&1 == 0 {
			if uint64(len(runs)) < length {
				return errDelta
			}
			copy(dst, runs)
			runs = runs[length:]
			continue
		}
		if len(runs) < 4 {
			return errDelta
		}
		for n := copy(dst, runs[:4]); n < len(dst); n *= 2 {
			copy(dst[n:], dst[:n])
		}
		runs = runs[4:]
	}
	return nil
}
