package supervisor

// keptRing is the largest ring, in elements, that an empty queue keeps.
const keptRing = 16

// fifo is a queue in a ring that grows by doubling and is freed when empty and
// large, so that a burst leaves nothing behind.
type fifo[T any] struct {
	ring []T // length is a power of two, or zero
	head uint32
	n    uint32
}

func (f *fifo[T]) len() int { return int(f.n) }

func (f *fifo[T]) push(v T) {
	if f.n == uint32(len(f.ring)) {
		grown := make([]T, max(4, 2*f.n))
		for i := range f.n {
			grown[i] = *f.at(i)
		}
		f.ring, f.head = grown, 0
	}
	f.n++
	*f.at(f.n - 1) = v
}

// pop removes the oldest element; there must be one.
func (f *fifo[T]) pop() T {
	var zero T
	v := *f.at(0)
	*f.at(0) = zero
	f.head = (f.head + 1) & uint32(len(f.ring)-1)
	f.n--
	f.shrink()
	return v
}

// removeLast removes the youngest element for which match holds. It begins with the
// youngest: callers look for recent elements.
func (f *fifo[T]) removeLast(match func(T) bool) {
	for i := f.n; i > 0; {
		i--
		if !match(*f.at(i)) {
			continue
		}
		for ; i < f.n-1; i++ {
			*f.at(i) = *f.at(i + 1)
		}
		var zero T
		*f.at(f.n - 1) = zero
		f.n--
		f.shrink()
		return
	}
}

func (f *fifo[T]) at(i uint32) *T { return &f.ring[(f.head+i)&uint32(len(f.ring)-1)] }

func (f *fifo[T]) shrink() {
	if f.n == 0 && len(f.ring) > keptRing {
		f.ring, f.head = nil, 0
	}
}
