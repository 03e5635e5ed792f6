package sandbox

import "github.com/tetratelabs/wazero/experimental"

// linearMemory is the memory of one instance. It implements wazero's
// MemoryAllocator and LinearMemory, and stays below its limit.
type linearMemory struct {
	limit  int64
	bytes  []byte
	denied int64 // the size that was last refused in this event, or 0
}

// Allocate is called once per instance. It reserves nothing: a module without
// a maximum has one of 4 GiB.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate returns size bytes that begin with the present content, or nil
// when that is more than the limit, which the guest sees as a failed
// memory.grow. It takes a quarter more than was asked, so that growing page by
// page does not copy the memory for every page, but never more than the limit.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit) {
		m.denied = int64(size)
		return nil
	}
	if size <= uint64(cap(m.bytes)) {
		m.bytes = m.bytes[:size]
		return m.bytes
	}
	room := size
	if len(m.bytes) > 0 {
		room = min(size+size/4, uint64(m.limit))
	}
	grown := make([]byte, size, room)
	copy(grown, m.bytes)
	m.bytes = grown
	return grown
}

// Free is called when the module is closed, possibly while its last call
// unwinds. The garbage collector knows better when the memory is unused.
func (m *linearMemory) Free() {}
