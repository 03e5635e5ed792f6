//go:build unix

package bench_test

import (
	"strings"
	"syscall"
	"testing"

	"rtd/cmd/rtd/bench"
)

// More connections than files are refused before the first is opened. Not in parallel:
// the limit is this process's.
func TestTooManyFiles(t *testing.T) {
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = min(limit.Cur, 500)
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	o := bench.Defaults(bench.Idle)
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "use at most 470") || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("error %v", err)
	}
}
