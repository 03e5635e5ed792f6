package release

import (
	"sync"
	"time"

	"rtd/supervisor"
)

// Window counts the crashes of a release. Its methods may be called from any goroutine.
type Window struct {
	mu       sync.Mutex
	all      uint64
	recent   []time.Time // not more than the intensity allows, and one
	exceeded time.Time   // when there were last more than that
}

// Add counts a crash and reports whether there are more than the intensity allows.
func (w *Window) Add(limit supervisor.Intensity, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all++
	w.recent = append(w.recent, now)
	for now.Sub(w.recent[0]) > limit.Within {
		w.recent = w.recent[1:]
	}
	if len(w.recent) <= limit.Max {
		return false
	}
	w.recent = w.recent[1:]
	w.exceeded = now
	return true
}

// Count returns the number of crashes.
func (w *Window) Count() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

// ExceededSince reports whether there were more since t than the intensity allows.
func (w *Window) ExceededSince(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exceeded.After(t)
}
