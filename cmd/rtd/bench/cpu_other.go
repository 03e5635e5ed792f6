//go:build !linux

package bench

import (
	"errors"
	"time"
)

func readCPU(int) (time.Duration, error) {
	return 0, errors.New("only Linux has the CPU clock of another process; leave out --pid")
}
