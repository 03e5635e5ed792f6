package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Store keeps byte strings off the Go heap: a million deltas are nothing that
// the garbage collector has to mark, nor room that it leaves for garbage. Its
// methods may be called from any goroutine.
//
// Strings of about one size are the cells of a chunk. A chunk whose cells are all
// free is given to whichever size needs one next: as actors grow, the sizes of a
// million strings may all change at once.
type Store struct {
	classes [classes]class

	// By number; nil is free. The owner of a Ref finds its chunk there without a
	// lock, which all processors would fight for: the entry was written before the
	// Ref was made, and stays as it is until the last one is freed.
	chunks atomic.Pointer[[]*chunk]

	mu     sync.Mutex // guards the changes of chunks, and
	free   []uint32   // numbers of free chunks
	small  pieces     // of smallChunk bytes
	large  pieces     // of largeChunk bytes
	arenas [][]byte
}

// pieces are equal parts of arenas that no chunk uses.
type pieces struct{ free [][]byte }

// Ref names a byte string in a [Store]. The zero value is none.
type Ref struct {
	chunk uint32 // number + 1
	cell  uint32
	size  uint32
}

// Size is the number of bytes that were stored.
func (r Ref) Size() int { return int(r.size) }

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

const (
	minCell = 16
	// Cells of up to smallCell bytes are in small chunks. Strings of more than
	// maxShared bytes have a chunk each.
	smallCell  = 4 << 10
	smallChunk = 16 << 10
	largeChunk = 128 << 10
	maxShared  = 32 << 10
	arenaSize  = 1 << 20
	// keepPieces is how many free pieces keep their memory.
	keepPieces = 64
	// Four classes for each doubling: at most a fifth of a cell is wasted.
	perDoubling = 4
	classes     = perDoubling*11 + 2 // 16 B … 32 KiB, and the one for larger strings
	noCell      = ^uint32(0)
)

type class struct {
	mu     sync.Mutex
	usable []*chunk // those with a free cell
	bytes  int64    // of chunks
}

type chunk struct {
	number uint32
	class  int
	cell   int // bytes of a cell
	mem    []byte
	fresh  uint32 // cells never used yet begin here
	free   uint32 // first of the list of freed cells, linked through their first bytes
	live   uint32
	place  int // in usable, or -1
}

var errTooLong = errors.New("store state: it is 4 GiB or more")

// Put stores a copy of b, which may not be empty and must be shorter than 4 GiB. An
// error says that the system has no memory.
func (s *Store) Put(b []byte) (Ref, error) {
	if uint64(len(b)) > math.MaxUint32 {
		return Ref{}, errTooLong
	}
	k, cell := classOf(len(b))
	c := &s.classes[k]
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.usable) == 0 {
		if err := s.grow(c, k, cell); err != nil {
			return Ref{}, err
		}
	}
	ch := c.usable[len(c.usable)-1]
	n := ch.take()
	if ch.full() {
		c.remove(ch)
	}
	copy(ch.at(n), b)
	return Ref{ch.number + 1, n, uint32(len(b))}, nil
}

// Get returns what is stored. The bytes are the store's, valid until Free, to be
// read only.
func (s *Store) Get(r Ref) []byte {
	return s.chunk(r).at(r.cell)[:r.size:r.size]
}

// Free forgets what is stored. It must be called once for each Put.
func (s *Store) Free(r Ref) {
	ch := s.chunk(r)
	c := &s.classes[ch.class]
	c.mu.Lock()
	defer c.mu.Unlock()
	binary.NativeEndian.PutUint32(ch.at(r.cell), ch.free)
	ch.free = r.cell
	ch.live--
	if ch.place < 0 {
		c.add(ch)
	}
	if ch.live == 0 && (len(c.usable) > 1 || ch.class == classes-1) {
		s.shrink(c, ch)
	}
}

// Bytes is the memory of the chunks in use.
func (s *Store) Bytes() int64 {
	var n int64
	for i := range s.classes {
		c := &s.classes[i]
		c.mu.Lock()
		n += c.bytes
		c.mu.Unlock()
	}
	return n
}

// Close gives all memory back. Nothing that was stored may be used any more.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.all() {
		if ch != nil && ch.class == classes-1 {
			unmapBytes(ch.mem)
		}
	}
	for _, arena := range s.arenas {
		unmapBytes(arena)
	}
	s.arenas = nil
	s.chunks.Store(nil)
}

func (s *Store) chunk(r Ref) *chunk { return (*s.chunks.Load())[r.chunk-1] }

func (s *Store) all() []*chunk {
	if all := s.chunks.Load(); all != nil {
		return *all
	}
	return nil
}

// grow adds a chunk to c, whose mu is held.
func (s *Store) grow(c *class, k, cell int) error {
	ch := &chunk{class: k, cell: cell, free: noCell, place: -1}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch {
	case k == classes-1:
		ch.mem, err = mapBytes((cell + pageSize - 1) &^ (pageSize - 1))
	case cell <= smallCell:
		ch.mem, err = s.piece(&s.small, smallChunk)
	default:
		ch.mem, err = s.piece(&s.large, largeChunk)
	}
	if err != nil {
		return fmt.Errorf("map memory for idle states: %w", err)
	}
	if n := len(s.free); n > 0 {
		ch.number = s.free[n-1]
		s.free = s.free[:n-1]
		s.all()[ch.number] = ch
	} else {
		ch.number = uint32(len(s.all()))
		all := append(s.all(), ch)
		s.chunks.Store(&all)
	}
	c.bytes += int64(len(ch.mem))
	c.add(ch)
	return nil
}

// shrink takes an empty chunk from c, whose mu is held.
func (s *Store) shrink(c *class, ch *chunk) {
	c.remove(ch)
	c.bytes -= int64(len(ch.mem))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all()[ch.number] = nil
	s.free = append(s.free, ch.number)
	switch {
	case ch.class == classes-1:
		unmapBytes(ch.mem)
	case ch.cell <= smallCell:
		s.small.put(ch.mem)
	default:
		s.large.put(ch.mem)
	}
}

// piece returns size bytes of an arena. s.mu is held.
func (s *Store) piece(p *pieces, size int) ([]byte, error) {
	if len(p.free) == 0 {
		arena, err := mapBytes(arenaSize)
		if err != nil {
			return nil, err
		}
		s.arenas = append(s.arenas, arena)
		for at := arenaSize - size; at >= 0; at -= size {
			p.free = append(p.free, arena[at:at+size:at+size])
		}
	}
	last := len(p.free) - 1
	mem := p.free[last]
	p.free = p.free[:last]
	return mem, nil
}

// put takes a piece back. If there are enough, its memory goes to the system and
// only its addresses are kept.
func (p *pieces) put(mem []byte) {
	if len(p.free) >= keepPieces {
		emptyBytes(mem)
	}
	p.free = append(p.free, mem)
}

func (c *class) add(ch *chunk) {
	ch.place = len(c.usable)
	c.usable = append(c.usable, ch)
}

func (c *class) remove(ch *chunk) {
	last := c.usable[len(c.usable)-1]
	c.usable[ch.place] = last
	last.place = ch.place
	c.usable[len(c.usable)-1] = nil
	c.usable = c.usable[:len(c.usable)-1]
	ch.place = -1
}

func (ch *chunk) at(n uint32) []byte { return ch.mem[int(n)*ch.cell:][:ch.cell] }

func (ch *chunk) full() bool {
	return ch.free == noCell && (int(ch.fresh)+1)*ch.cell > len(ch.mem)
}

// take returns a free cell; there must be one.
func (ch *chunk) take() uint32 {
	ch.live++
	n := ch.free
	if n == noCell {
		n = ch.fresh
		ch.fresh++
		return n
	}
	ch.free = binary.NativeEndian.Uint32(ch.at(n))
	return n
}

// classOf returns the class of a string of n bytes and the size of its cells.
func classOf(n int) (k, cell int) {
	if n > maxShared {
		return classes - 1, n
	}
	n = max(n, minCell)
	shift := bits.Len(uint(n-1)) - 3 // the cell has its 3 leading bits rounded up
	if n == minCell {
		return 0, minCell
	}
	steps := (n + 1<<shift - 1) >> shift // 5 … 8
	cell = steps << shift
	return (shift-2)*perDoubling + steps - perDoubling, cell
}
