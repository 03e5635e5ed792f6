package channels

import "rtd/supervisor"

// Usage implements [supervisor.Meter], for guests that do.
func (l *lives) Usage() supervisor.Usage {
	if !l.mu.TryLock() {
		return supervisor.Usage{} // effects are being applied; the next who asks will know
	}
	g := l.guest
	l.mu.Unlock()
	if m, ok := g.(supervisor.Meter); ok {
		return m.Usage()
	}
	return supervisor.Usage{}
}

func (l *lives) dropGuest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guest = nil
}
