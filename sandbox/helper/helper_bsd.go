//go:build unix && !linux

package helper

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const wallFactor = 10

// isolate puts the child into a group of its own, which Ctrl-C does not reach.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func takeOn(l Limits) error {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, niceness)
	go watchMyself(l.Memory)
	return limitCPU(l)
}
