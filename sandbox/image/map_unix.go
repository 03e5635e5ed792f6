//go:build unix

package image

import "golang.org/x/sys/unix"

func mapBytes(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

func unmapBytes(b []byte) { _ = unix.Munmap(b) }

// emptyBytes gives the memory back, and keeps the addresses.
func emptyBytes(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
