package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processes are those whose costs are read, together.
type processes []int

func (p processes) check() error {
	for _, pid := range p {
		if err := (process{pid}).check(); err != nil {
			return err
		}
	}
	return nil
}

func (p processes) cpu() (sum time.Duration) {
	for _, pid := range p {
		sum += process{pid}.cpu()
	}
	return sum
}

func (p processes) memory() (rss, peak int64) {
	for _, pid := range p {
		now, most := process{pid}.memory()
		rss, peak = rss+now, peak+most
	}
	return rss, peak
}

func (p processes) switches() (sum int64) {
	for _, pid := range p {
		sum += process{pid}.switches()
	}
	return sum
}

func (p processes) writes() (sum int64) {
	for _, pid := range p {
		sum += process{pid}.writes()
	}
	return sum
}

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

// switches is how often the threads that the process has now gave up a processor, or lost
// it. It is 0 if that cannot be read.
func (p process) switches() (n int64) {
	if p.pid == 0 {
		return 0
	}
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(p.pid) + "/task/*/status") // the pattern is well-formed
	for _, status := range threads {
		n += value(status, "voluntary_ctxt_switches:") + value(status, "nonvoluntary_ctxt_switches:")
	}
	return n
}

// writes is how many calls of write and its kin the process has made. It is 0 if that
// cannot be read.
func (p process) writes() int64 {
	if p.pid == 0 {
		return 0
	}
	return value("/proc/"+strconv.Itoa(p.pid)+"/io", "syscw:")
}

// size returns a size that such a file has, in bytes, 0 if it has none.
func size(file, name string) int64 { return value(file, name) << 10 }

// value returns the number that such a file has behind a name, 0 if it has none.
func value(file, name string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n
		}
	}
	return 0
}
