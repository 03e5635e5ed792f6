package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// process is one whose costs are read. The zero value is none: all it tells is 0.
type process struct{ pid int }

// check says whether the process can be measured.
func (p process) check() error {
	if p.pid == 0 {
		return nil
	}
	if _, err := readCPU(p.pid); err != nil {
		return fmt.Errorf("measure process %d: %w", p.pid, err)
	}
	return nil
}

// cpu is what the process has used so far, all threads, user and system.
func (p process) cpu() time.Duration {
	if p.pid == 0 {
		return 0
	}
	used, _ := readCPU(p.pid) // it has ended, which its connections tell
	return used
}

// memory is the resident memory in bytes, now and at its peak. It is 0 if it cannot
// be read: /proc has it, for the user who runs the process.
func (p process) memory() (rss, peak int64) {
	if p.pid == 0 {
		return 0, 0
	}
	dir := "/proc/" + strconv.Itoa(p.pid)
	rss, peak = size(dir+"/status", "VmRSS:"), size(dir+"/status", "VmHWM:")
	if exact := size(dir+"/smaps_rollup", "Rss:"); exact > 0 { // status is off by some pages for each CPU
		rss = exact
	}
	return rss, max(rss, peak)
}

// size returns a size that such a file has, in bytes, 0 if it has none.
func size(file, name string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
