package sandbox

import (
	"fmt"
	"math"
	"time"
)

// Limits bound the resources of one instance. Zero means the default.
type Limits struct {
	// Memory is the largest size of an instance's linear memory in bytes,
	// rounded down to whole pages of 64 KiB. Default 64 MiB.
	Memory int64
	// TotalMemory is how many bytes all instances of the plugin may have together: by
	// how much their memories are larger than the snapshot that they share, the pages
	// of it that they have written, and their states at rest. Beyond it memory.grow
	// fails; a guest that cannot be refused dies, with [KindMemory]. Default 4 GiB.
	TotalMemory int64
	// Deadline is how much of the processor one event may use, and a whole start
	// (start section, _initialize, start event), with what the host does for the
	// guest meanwhile. On Linux the system is asked for that; elsewhere it is the
	// time by the clock in which the guest had its turn. Default 1 s.
	Deadline time.Duration
	// Timeout is how long these may take by the clock, with what the guest sleeps
	// and what the system lets others run meanwhile, but without its waits for a
	// slot, for its turn among other guests, and in [Instance.Wait]. Default: ten
	// times the deadline, at least 10 s.
	Timeout time.Duration
	// Effects is the largest number of effects of one event. Default 1024.
	Effects int
	// EffectBytes is the largest sum of their records in bytes. Default 4 MiB.
	EffectBytes int
	// LogLines is how many lines a guest may log in one event, by itself or on
	// standard output and error. Those beyond are counted only. Default 100.
	LogLines int
	// Slots is the largest number of WebAssembly instances in which the
	// plugin's instances take turns. Those that nobody uses are freed, see [Engine.Trim]. Default 256.
	Slots int
	// Waiting is the largest number of instances that wait for others to do
	// something, within an event. They keep their slots, beyond those that
	// Slots allows. Default 256.
	Waiting int
}

const (
	pageSize  = 64 << 10
	maxMemory = 4 << 30
)

// withDefaults fills in defaults and refuses what makes no sense.
func (l Limits) withDefaults() (Limits, error) {
	if l.Memory == 0 {
		l.Memory = 64 << 20
	}
	if l.TotalMemory == 0 {
		l.TotalMemory = 4 << 30
	}
	if l.Deadline == 0 {
		l.Deadline = time.Second
	}
	if l.Timeout == 0 {
		l.Timeout = max(10*l.Deadline, 10*time.Second)
	}
	if l.Effects == 0 {
		l.Effects = 1024
	}
	if l.EffectBytes == 0 {
		l.EffectBytes = 4 << 20
	}
	if l.LogLines == 0 {
		l.LogLines = 100
	}
	if l.Slots == 0 {
		l.Slots = 256
	}
	if l.Waiting == 0 {
		l.Waiting = 256
	}
	switch {
	case l.Slots < 0 || l.Waiting < 0:
		return l, fmt.Errorf("limit of slots is %d, and %d of those that wait: want more than 0", l.Slots, l.Waiting)
	case l.Memory < pageSize || l.Memory > maxMemory:
		return l, fmt.Errorf("memory limit is %d bytes, want 64 KiB to 4 GiB", l.Memory)
	case l.TotalMemory < pageSize:
		return l, fmt.Errorf("limit of the memory of all guests is %d bytes, want 64 KiB or more", l.TotalMemory)
	case l.Deadline < 0 || l.Timeout < 0:
		return l, fmt.Errorf("deadline is %v and timeout %v: want more than 0", l.Deadline, l.Timeout)
	case l.Effects < 0 || l.EffectBytes < 0 || l.EffectBytes > math.MaxInt32 || l.LogLines < 0:
		return l, fmt.Errorf("limits of effects %d, effect bytes %d and log lines %d: want more than 0 and less than 2 GiB",
			l.Effects, l.EffectBytes, l.LogLines)
	}
	l.Memory -= l.Memory % pageSize
	return l, nil
}

// byteSize prints a number of bytes for people.
func byteSize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
