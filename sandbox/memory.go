package sandbox

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/image"
)

// budget counts bytes that many have together.
type budget struct {
	limit int64
	used  atomic.Int64
}

// spend counts n bytes in, unless that is more than the limit. A negative n gives back.
func (b *budget) spend(n int64) bool {
	if n == 0 || b.used.Add(n) <= b.limit || n < 0 { // a needless write makes other processors wait
		return true
	}
	b.used.Add(-n)
	return false
}

// errBound is wrapped by errors that say that a plugin's guests have all the memory that
// they may have together.
var errBound = errors.New("limit of the plugin")

func (p *Module) errMemory() error {
	return fmt.Errorf("%w: its guests may have %s of memory together, and have %s; raise total_memory, or keep less in them",
		errBound, byteSize(p.memory.limit), byteSize(p.memory.used.Load()))
}

// linearMemory is the memory of one slot. It implements wazero's
// MemoryAllocator and LinearMemory, and stays below its limit.
//
// The plugin's budget has of it by how much it is larger than the snapshot, as a guest
// will use the memory that it asks for, and which of the snapshot's pages it has
// written. That shows only when the system is asked, so a guest may be ahead of the
// count by what it writes in countAfter.
type linearMemory struct {
	image   *image.Memory
	limit   int64
	denied  int64 // the size that was last refused in this event, or 0
	bound   bool  // refused for what all guests of the plugin have
	want    int   // the size that the slot wants, whatever the engine asks for, or 0
	module  *Module
	budget  *budget // the plugin's, or one without a limit
	counted int64   // in it
	own     int64   // of that, the snapshot's pages that were written
	since   int64   // nanoseconds of work since they were counted
}

// countAfter is how long a guest works, in nanoseconds, until its pages are counted
// again. It takes the system some microseconds, and 100 for the largest memories.
const countAfter = 2_000_000

func (m *linearMemory) init(p *Module) (err error) {
	m.limit, m.module, m.budget = p.limits.Memory, p, &p.memory
	if p.starts() { // its memory will be the snapshot
		m.budget = &budget{limit: math.MaxInt64}
	}
	m.image, err = p.snapshot.NewMemory(int(m.limit))
	return err
}

// Allocate is called once per slot. It reserves nothing: a module without a
// maximum has one of 4 GiB.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate returns size bytes that begin with the present content, or nil
// when that is more than the limit, or than what is left for the plugin, which the
// guest sees as a failed memory.grow.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if m.want > 0 {
		return m.image.Grow(m.want)
	}
	if size > uint64(m.limit) {
		m.denied, m.bound = int64(size), false
		return nil
	}
	more, ok := m.count(int(size))
	if !ok {
		m.denied, m.bound = int64(size), true
		return nil
	}
	b := m.image.Grow(int(size))
	if b == nil { // the system has none
		m.set(m.counted - more)
	}
	return b
}

// admit counts a memory of that size before somebody moves in.
func (m *linearMemory) admit(size int) error {
	if more := m.beyond(size) + m.own - m.counted; m.budget.spend(more) {
		m.counted += more
		return nil
	}
	m.empty()
	if _, ok := m.count(size); !ok {
		return m.module.errMemory()
	}
	return nil
}

// empty gives back the pages of a memory that nobody is in.
func (m *linearMemory) empty() {
	m.image.Renew()
	m.vacated()
}

// count counts the memory as one of that size, if the plugin may have that. To make room
// for it, actors have to leave their slots.
func (m *linearMemory) count(size int) (more int64, ok bool) {
	more = m.beyond(size) + m.own - m.counted
	if ok = m.budget.spend(more); !ok {
		m.module.pool.shed(more)
		ok = m.budget.spend(more)
	}
	if ok {
		m.counted += more
	}
	return more, ok
}

// beyond is how much a memory of that size has that is not in the snapshot.
func (m *linearMemory) beyond(size int) int64 {
	return int64(max(0, size-m.module.snapshot.Size()))
}

func (m *linearMemory) set(n int64) {
	if n != m.counted {
		m.budget.used.Add(n - m.counted)
		m.counted = n
	}
}

// worked is called when the guest has worked for so long. It returns false if it has
// taken more and the plugin's guests have more than they may: what a guest writes cannot
// be refused.
func (m *linearMemory) worked(nanos int64) bool {
	if m.since += nanos; m.since < countAfter {
		return true
	}
	was := m.own
	m.since, m.own = 0, int64(m.image.Own())
	m.set(m.beyond(m.image.Size()) + m.own)
	return m.own <= was || m.budget.used.Load() <= m.budget.limit
}

// vacated is called when the content is the snapshot's again. Its size does not
// matter until somebody moves in.
func (m *linearMemory) vacated() {
	m.since, m.own = 0, int64(m.image.Kept())
	m.set(m.own)
}

// Free is called when the module is closed. The memory is given back after
// that, when nothing can run in it any more.
func (m *linearMemory) Free() {}

func (m *linearMemory) close() {
	m.set(0)
	m.image.Close()
}
