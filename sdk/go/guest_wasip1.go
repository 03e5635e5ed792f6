package rtd

import "unsafe"

//go:wasmimport rtd_v1 op
func hostOp(ptr unsafe.Pointer, n uint32, out unsafe.Pointer, capacity uint32) int32

// op asks the host for what the record says. It returns the length of the answer, of
// which as much is in out as fits, or a negative Code.
func op(record, out []byte) int32 {
	return hostOp(unsafe.Pointer(unsafe.SliceData(record)), uint32(len(record)),
		unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

//go:wasmexport inbox
func exportInbox(n uint32) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(reserve(n)))))
}

//go:wasmexport handle
func exportHandle(n uint32) int32 {
	code := receive(n)
	wipeStack()
	return code
}

// wipeStack clears the stack below its caller: what calls have left there is of no
// use any more, but would be a part of the state of an idle process. In the start
// event it makes the stack large enough for most handlers, before there are
// processes that would grow theirs.
//
//go:noinline
func wipeStack() {
	var frame [6 << 10]byte
	touch(&frame)
}

//go:noinline
func touch(*[6 << 10]byte) {}
