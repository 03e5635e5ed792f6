//go:build unix

package clustertest

import (
	"os"
	"syscall"
)

const exeSuffix = ""

func stop(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func cont(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
