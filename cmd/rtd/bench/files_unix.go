//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// allowFiles says what to do if the process may not open so many connections. Go has
// raised the soft limit to the hard one at the start.
func allowFiles(connections int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	const others = 30 // files of the process itself
	if most := int64(limit.Cur) - others; int64(connections) > most && most > 0 {
		return fmt.Errorf("%d connections need more files than this process may open (%d); use at most %d, several processes, or raise the limit with ulimit -n",
			connections, limit.Cur, most)
	}
	return nil
}
