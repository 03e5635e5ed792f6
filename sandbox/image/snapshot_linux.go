package image

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Snapshot is the memory of a guest after its initialisation. It does not
// change and may be used from any goroutine.
//
// On Linux it is a sealed file in memory, of which each [Memory] is a private
// mapping: pages that a guest never writes exist once.
type Snapshot struct {
	bytes []byte // a mapping that cannot be written
	file  int
}

// NewSnapshot keeps a copy of a memory, whose size is a multiple of 64 KiB.
func NewSnapshot(memory []byte) (*Snapshot, error) {
	if len(memory) == 0 {
		return &Snapshot{file: -1}, nil
	}
	file, err := unix.MemfdCreate("rtd-snapshot", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	s := &Snapshot{file: file}
	if err := s.fill(memory); err != nil {
		unix.Close(file)
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	return s, nil
}

func (s *Snapshot) fill(memory []byte) error {
	if err := unix.Ftruncate(s.file, int64(len(memory))); err != nil {
		return err
	}
	for at := 0; at < len(memory); {
		n := 0 // bytes of pages in a row that are not zeros; those take no memory
		for at+n < len(memory) && !bytes.Equal(memory[at+n:min(at+n+stretchSize, len(memory))], zeros[:]) {
			n += stretchSize
		}
		for end := at + n; at < end; {
			n, err := unix.Pwrite(s.file, memory[at:end], int64(at))
			if err != nil {
				return err
			}
			at += n
		}
		at += stretchSize // zeros, or the end
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err := unix.FcntlInt(uintptr(s.file), unix.F_ADD_SEALS, seals)
	if err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	// Busy is a file of which the kernel itself holds a page for longer than it likes
	// to wait, such as to move it. Then it is not sealed, and no less private.
	s.bytes, err = unix.Mmap(s.file, 0, len(memory), unix.PROT_READ, unix.MAP_PRIVATE)
	return err
}

// Size is the number of its bytes.
func (s *Snapshot) Size() int { return len(s.bytes) }

// Bytes is the snapshot's content, to be read only.
func (s *Snapshot) Bytes() []byte { return s.bytes }

// Close gives the snapshot back, after its memories.
func (s *Snapshot) Close() {
	if s.bytes != nil {
		_ = unix.Munmap(s.bytes)
		_ = unix.Close(s.file)
		s.bytes = nil
	}
}

// mapped is the backing on Linux: addresses for all that the memory may ever
// be, the snapshot's pages first, shared until they are written.
type mapped struct {
	snapshot *Snapshot
	base     unsafe.Pointer
	limit    int
	top      int   // no page behind it was reached since renew
	faults   int64 // of the thread when watch was called

	settled bool // pages are those of a file of its own, since renew
}

func (s *Snapshot) newBacking(limit int) (backing, error) {
	limit = (limit + pageSize - 1) &^ (pageSize - 1)
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(limit), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory: %w", limit, err)
	}
	m := &mapped{snapshot: s, base: base, limit: limit}
	if err := m.mapSnapshot(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *mapped) mapSnapshot() error {
	if len(m.snapshot.bytes) == 0 {
		return nil
	}
	if err := mapFile(m.snapshot.file, 0, m.base, uintptr(len(m.snapshot.bytes))); err != nil {
		return fmt.Errorf("map snapshot: %w", err)
	}
	return nil
}

func (m *mapped) bytes(size int) []byte {
	if size > m.limit {
		return nil
	}
	m.top = max(m.top, size)
	return unsafe.Slice((*byte)(m.base), size)
}

func (m *mapped) written(spans []span, size int) []span { return appendWritten(spans, m.base, size) }

// watch keeps the goroutine on its thread, whose page faults the kernel counts: a
// page that is written for the first time is one.
func (m *mapped) watch() {
	runtime.LockOSThread()
	m.faults = faults()
}

func (m *mapped) unwatch() bool {
	same := m.faults == faults() && ownPages().counts
	runtime.UnlockOSThread()
	return same
}

// maxDirty is how many bytes of its own a memory may keep. Pages once written
// stay its own, and are looked at each time, although nobody may write them again.
const maxDirty = 4 << 20

func (m *mapped) tidy(written int) bool {
	if written > maxDirty {
		m.renew()
	}
	return written > maxDirty
}

// renewPiece is how much is given back at once: some 500 µs.
const renewPiece = 4 << 20

// renew gives all pages back. What is read next is the snapshot's, and zeros behind it.
func (m *mapped) renew() {
	top := max(m.top, len(m.snapshot.bytes))
	m.giveBack(0, top)
	if m.settled {
		m.settled = false
		if m.mapSnapshot() != nil || m.mapZeros(top) != nil { // the file's pages are still there
			m.restore(0, top)
		}
	}
	m.top = 0
}

// giveBack gives the pages of [from, to) back.
func (m *mapped) giveBack(from, to int) {
	for at := from; at < to; at += renewPiece {
		end := min(at+renewPiece, to)
		if unix.Madvise(m.bytes(end)[at:], unix.MADV_DONTNEED) != nil { // no system refuses
			m.restore(at, end)
		}
	}
}

// restore writes what the snapshot has in [from, to), and zeros behind it.
func (m *mapped) restore(from, to int) {
	mem, n := m.bytes(to)[from:], 0
	if from < len(m.snapshot.bytes) {
		n = copy(mem, m.snapshot.bytes[from:])
	}
	clear(mem[n:])
}

// mapZeros makes what is behind the snapshot's end zeros.
func (m *mapped) mapZeros(top int) error {
	from := len(m.snapshot.bytes)
	if top <= from {
		return nil
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Add(m.base, from), uintptr(top-from), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}

// settle makes the spans private mappings of a file in memory of their own, which has their content: like the
// snapshot's, their pages are copied when they are written.
func (m *mapped) settle(spans []span) bool {
	if ownPages().file < 0 {
		return false
	}
	file, err := unix.MemfdCreate("rtd-settled", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(file) // the mappings keep it
	last := spans[len(spans)-1].to
	mem := m.bytes(last)
	for _, s := range spans {
		for at := s.from; at < s.to; {
			n, err := unix.Pwrite(file, mem[at:s.to], int64(at))
			if err != nil {
				return false
			}
			at += n
		}
	}
	view, err := unix.MmapPtr(file, 0, nil, uintptr(last), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false
	}
	defer unix.MunmapPtr(view, uintptr(last))
	m.giveBack(0, m.top) // all at once, since the other processors are interrupted for it
	m.settled = true
	for _, s := range spans {
		if mapFile(file, int64(s.from), unsafe.Add(m.base, s.from), uintptr(s.to-s.from)) != nil {
			copy(mem[s.from:s.to], unsafe.Slice((*byte)(unsafe.Add(view, s.from)), s.to-s.from))
		}
	}
	return true
}

// mapFile is a variable for the tests of what is done when the process has as many mappings as it may.
var mapFile = func(file int, offset int64, at unsafe.Pointer, size uintptr) error {
	_, err := unix.MmapPtr(file, offset, at, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}

func (m *mapped) close() {
	if m.base != nil {
		_ = unix.MunmapPtr(m.base, uintptr(m.limit))
		m.base = nil
	}
}
