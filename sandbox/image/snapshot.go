package image

import "encoding/binary"

// Append appends the snapshot's content to dst, as a delta of no memory at all: zeros, of
// which half of a guest's memory consists, take no room.
func (s *Snapshot) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.bytes)))
	last := 0
	for at := 0; at < len(s.bytes); at += stretchSize {
		part := s.bytes[at:min(at+stretchSize, len(s.bytes))]
		dst, last = appendRuns(dst, part, zeros[:len(part)], at, last, false)
	}
	return dst
}

// ReadSnapshot returns the snapshot that Append has written. Its size is at most limit, in
// bytes; the error is [ErrDelta] if it is larger, or if content is nothing that Append writes.
// Whether content was altered is for the caller to know.
func ReadSnapshot(content []byte, limit int) (*Snapshot, error) {
	size, runs, err := deltaSize(content)
	if err != nil || size > limit || size%wasmPage != 0 {
		return nil, ErrDelta
	}
	memory := make([]byte, size)
	if _, err := applyRuns(memory, runs, nil); err != nil {
		return nil, err
	}
	return NewSnapshot(memory)
}

// wasmPage is the unit in which WebAssembly counts memory.
const wasmPage = 64 << 10
