package supervisor

import "syscall"

// wakeMonitor wakes the monitor thread of Go's runtime, if it sleeps: an ordinary system call
// does. It sleeps once no goroutine runs, and a frame that package wire reads does not wake
// it. A process that stays in one message needs it: beside code that never waits, the monitor
// alone looks at the network, every 10 ms, and takes the processor from a goroutine that
// does not give it up.
func wakeMonitor() {
	_, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0)
}
