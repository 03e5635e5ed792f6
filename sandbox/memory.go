package sandbox

import (
	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/image"
)

// linearMemory is the memory of one slot. It implements wazero's
// MemoryAllocator and LinearMemory, and stays below its limit.
type linearMemory struct {
	image  *image.Memory
	limit  int64
	denied int64 // the size that was last refused in this event, or 0
	want   int   // the size that the slot wants, whatever the engine asks for, or 0
}

func (m *linearMemory) init(p *Plugin) (err error) {
	m.limit = p.limits.Memory
	m.image, err = p.snapshot.NewMemory(int(m.limit))
	return err
}

// Allocate is called once per slot. It reserves nothing: a module without a
// maximum has one of 4 GiB.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate returns size bytes that begin with the present content, or nil
// when that is more than the limit, which the guest sees as a failed
// memory.grow.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if m.want > 0 {
		return m.image.Grow(m.want)
	}
	if size > uint64(m.limit) {
		m.denied = int64(size)
		return nil
	}
	return m.image.Grow(int(size))
}

// Free is called when the module is closed. The memory is given back after
// that, when nothing can run in it any more.
func (m *linearMemory) Free() {}

func (m *linearMemory) close() { m.image.Close() }
