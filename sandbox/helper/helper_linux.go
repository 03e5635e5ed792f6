package helper

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const wallFactor = 10

// isolate puts the child into a group of its own, which Ctrl-C does not reach, and has the kernel kill it
// when the parent is gone.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// takeOn limits this process. Memory is the parent's business.
func takeOn(l Limits) error {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, niceness) // all threads; a higher number is always allowed
	return limitCPU(l)
}

// resident is how many bytes of memory a process has; 0 if it is gone.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// self is this very binary, also if another one has taken its place in the file system since.
func self() string {
	const path = "/proc/self/exe"
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path2, _ := os.Executable()
	return path2
}
