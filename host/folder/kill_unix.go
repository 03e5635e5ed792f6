//go:build unix

package folder

import (
	"os/exec"
	"syscall"
)

// killWithChildren makes the end of the command's context kill its whole process group: the go command does not
// take its compilers with it.
func killWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
