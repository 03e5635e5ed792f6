package image

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ways to find out which pages were written. By reading is what kernels before 6.7 have,
// and Nothing what systems have that do not let a process look at its own pages.
const (
	ByAsking = iota
	ByReading
	ByNothing
)

// FindPages makes a test's memories find written pages in one way. It says whether the system can.
func FindPages(t *testing.T, way int) bool {
	old := ownPages
	t.Cleanup(func() { ownPages = old })
	p := old()
	able := way == ByNothing || p.file >= 0 && (way != ByAsking || p.ioctl)
	switch way {
	case ByReading:
		p.ioctl = false
	case ByNothing:
		p.file = -1
	}
	ownPages = func() pagemap { return p }
	return able
}

// NewPlainMemory is NewMemory as on other systems.
func (s *Snapshot) NewPlainMemory(limit int) *Memory {
	return &Memory{snapshot: s, limit: limit, backing: newPlain(s.bytes, limit), size: len(s.bytes)}
}

// Settled is how many bytes of pages are settled, and how many were looked at by the last Diff.
func (m *Memory) Settled() (bytes, looked int) { return length(m.settled.spans), length(m.spans) }

// Mappings is how many there are of settled pages, of all memories.
func Mappings() int64 { return allSettled.Load() }

// FewMappings lets settling have every other mapping only.
func FewMappings(t *testing.T) {
	old, n := mapFile, 0
	t.Cleanup(func() { mapFile = old })
	mapFile = func(file int, offset int64, at unsafe.Pointer, size uintptr) error {
		if n++; n%2 == 0 && offset > 0 {
			return unix.ENOMEM
		}
		return old(file, offset, at, size)
	}
}
