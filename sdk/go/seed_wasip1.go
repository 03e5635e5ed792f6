package rtd

import "unsafe"

// reseed gives math/rand/v2 and the seeds of maps a future of their own.
//
// Instances begin as copies of one snapshot, and with it of the runtime's random
// generator, which has no function to seed it. It is a chacha8rand.State in the
// struct of the one thread there is: 32 numbers to hand out next, the seed of
// those that follow, how many were handed out of how many, and which of the seed's 32 are next. reseed finds
// it by a number that it hands out, makes sure by its counter, fills the seed with random bytes
// of the host, and says that all numbers were handed out: an instance that draws none differs by the seed
// alone. If a later version of Go has it elsewhere, nothing happens:
// package crypto/rand is right in any case.
func reseed() {
	const (
		numbers, words = 32, 36 // of 8 bytes
		reach          = 4096   // bytes of the thread's struct, at least
	)
	thread := unsafe.Add(unsafe.Pointer(nil), getm())
	last := runtimeRand()
	for at := uintptr(0); at < reach; at += 8 {
		if *(*uint64)(unsafe.Add(thread, at)) != last {
			continue
		}
		for n := range min(uintptr(numbers), at/8+1) {
			state := unsafe.Add(thread, at-8*n)
			handedOut := *(*uint32)(unsafe.Add(state, 8*words))
			available := *(*uint32)(unsafe.Add(state, 8*words+4))
			if uintptr(handedOut) == n+1 && available >= handedOut && available <= numbers {
				*(*uint32)(unsafe.Add(state, 8*words)) = available
				*(*uint32)(unsafe.Add(state, 8*words+8)) = 0 // not the last ones, from which the next seed would be drawn
				randomGet(unsafe.Add(state, 8*numbers), 8*(words-numbers))
				return
			}
		}
	}
}

//go:linkname getm runtime.getm
func getm() uintptr

//go:linkname runtimeRand runtime.rand
func runtimeRand() uint64

//go:wasmimport wasi_snapshot_preview1 random_get
func randomGet(to unsafe.Pointer, n uint32) uint32
