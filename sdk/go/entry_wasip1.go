package rtd

import "unsafe"

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
