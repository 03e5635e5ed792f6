package rtd

import "unsafe"

// rehearse prepares the memory with which all instances begin for their first events. The host has the guest collect
// its garbage before the snapshot is taken, and a collection empties the allocator's cache: in each instance, the first
// object of each size would then fetch a run of cells from the heap's lists, and write to four pages of the
// runtime's before it exists. What is fetched here is in the snapshot. It calls nothing of the plugin's and asks
// the host for nothing; a guest that dies of it begins as it was before.
func rehearse() {
	if !kept.types {
		kept.types = true
		learnTypes()
	}
	hold[[2]unsafe.Pointer]()
	hold[[3]unsafe.Pointer]()
	hold[[4]unsafe.Pointer]()
	hold[[6]unsafe.Pointer]()
	hold[[8]unsafe.Pointer]()
	hold[[10]unsafe.Pointer]()
	hold[[12]unsafe.Pointer]()
	hold[[14]unsafe.Pointer]()
	hold[[16]unsafe.Pointer]()
	hold[[18]unsafe.Pointer]()
	hold[[20]unsafe.Pointer]()
	hold[[22]unsafe.Pointer]()
	hold[[24]unsafe.Pointer]()
	hold[[26]unsafe.Pointer]()
	for _, size := range []int{16, 24, 32, 48, 64, 80, 96, 112, 128} {
		kept.bytes = append(kept.bytes, make([]byte, size))
	}
	kept.bytes = kept.bytes[:0]
}

// kept are the cells that rehearse holds, each by its first word.
var kept struct {
	types bool // are known
	cells unsafe.Pointer
	bytes [][]byte
}

// hold takes cells of the size of T, whose first word is a pointer, until the next one lies in the second page of its
// run, where the runtime also notes which words of the cells are pointers: a new object then writes to
// one page and not to two.
func hold[T any]() {
	const (
		run  = 8 << 10
		page = 4 << 10
	)
	for {
		cell := unsafe.Pointer(new(T))
		*(*unsafe.Pointer)(cell) = kept.cells
		kept.cells = cell
		if uintptr(cell)%run+unsafe.Sizeof(*new(T)) >= page {
			return
		}
	}
}
