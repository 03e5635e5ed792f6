package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot path. None of them ever waits: descriptors are non-blocking,
// and the time-out of epoll_pwait is 0. So they go past what Go's runtime does for a
// system call that may wait. The package doc says why.

// maxRaw is how many bytes such a call moves at most, in some ten microseconds. Meanwhile the
// thread cannot be stopped for the garbage collector.
const maxRaw = 64 << 10

// rawRead is read(2). n is 0 when there is an error.
func rawRead(fd int, b []byte) (n int, err error) {
	if len(b) == 0 || len(b) > maxRaw {
		n, err = unix.Read(fd, b)
		return max(n, 0), err
	}
	r, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return result(r, errno)
}

// rawWrite is write(2). n is 0 when there is an error.
func rawWrite(fd int, b []byte) (n int, err error) {
	if len(b) == 0 || len(b) > maxRaw {
		n, err = unix.Write(fd, b)
		return max(n, 0), err
	}
	r, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return result(r, errno)
}

// rawEpoll is epoll_pwait(2) that does not wait. n is 0 when there is an error.
func rawEpoll(fd int, events []unix.EpollEvent) (n int, err error) {
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return result(r, errno)
}

func result(r uintptr, errno syscall.Errno) (n int, err error) {
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// wakeMonitor wakes the monitor thread of Go's runtime, if it sleeps: an ordinary system call
// does, and the calls above do not. While every processor is busy, the monitor alone looks at
// the network for all other goroutines.
func wakeMonitor() {
	_, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0)
}
