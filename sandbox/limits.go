package sandbox

import (
	"fmt"
	"math"
	"time"
)

// Limits bound what one instance may use. Zero means the default.
type Limits struct {
	// Memory is the largest size of an instance's linear memory in bytes,
	// rounded down to whole pages of 64 KiB. Default 64 MiB.
	Memory int64
	// Deadline is the longest time that one event may take, and that a whole
	// start may take (start section, _initialize, start event). It is wall time
	// and includes what the host does for the guest meanwhile. Default 1 s.
	Deadline time.Duration
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
	if l.Deadline == 0 {
		l.Deadline = time.Second
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
	case l.Deadline < 0:
		return l, fmt.Errorf("deadline is %v, want more than 0", l.Deadline)
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
