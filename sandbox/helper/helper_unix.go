//go:build unix

package helper

import (
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// niceness is how much less than others a helper gets of a busy processor.
const niceness = 10

// limitCPU ends this process when it has had its time. Should it not hear that, the kernel kills it soon after.
func limitCPU(l Limits) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CPU, &now); err != nil {
		return err
	}
	late := make(chan os.Signal, 1)
	signal.Notify(late, unix.SIGXCPU)
	go func() {
		<-late
		os.Exit(exitCPU)
	}()
	seconds := uint64(l.CPU / time.Second)
	return unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: min(seconds, now.Max), Max: min(seconds+5, now.Max)})
}

// CPUTime is the processor time that this process has taken.
func CPUTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// keepDescriptors lets no child have those that this process was started with, besides the first three: Go sees
// to its own. A shell, or a supervisor, may have left some open.
func keepDescriptors() {
	entries, _ := os.ReadDir("/dev/fd") // without it they are what they are
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
