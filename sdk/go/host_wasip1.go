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
