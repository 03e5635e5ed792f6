//go:build !linux

package image

import "bytes"

// Snapshot is the memory of a guest after its initialisation. It does not
// change and may be used from any goroutine.
type Snapshot struct{ bytes []byte }

// NewSnapshot keeps a copy of a memory.
func NewSnapshot(memory []byte) (*Snapshot, error) {
	return &Snapshot{bytes.Clone(memory)}, nil
}

// Size is the number of its bytes.
func (s *Snapshot) Size() int { return len(s.bytes) }

// Bytes is the snapshot's content, to be read only.
func (s *Snapshot) Bytes() []byte { return s.bytes }

// Close gives the snapshot back, after its memories.
func (s *Snapshot) Close() {}

func (s *Snapshot) newBacking(limit int) (backing, error) {
	return newPlain(s.bytes, limit), nil
}
