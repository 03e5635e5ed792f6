package release

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// State is the fate of a version.
type State string

const (
	Trusted   State = "trusted"   // it was watched, and did not crash too often
	Unwatched State = "unwatched" // nobody would take it back, for the cause
	Withdrawn State = "withdrawn" // it was taken back, for the cause
	Replaced  State = "replaced"  // another was deployed in its place before that was known
	Removed   State = "removed"   // so was the plugin, or the server ends
	Stuck     State = "stuck"     // it is bad and cannot be taken back, or good and cannot be promoted, for the cause
)

// Verdict is the fate of a version, with its cause.
type Verdict struct {
	State State
	Cause string
	Now   string // ID of the version that runs instead, if it is known
}

// Fate takes the verdict on a version, and tells it to those who wait. A version that is
// deployed again has another Fate. Its methods may be called from any goroutine.
type Fate struct {
	watched atomic.Int64 // for how long, in nanoseconds
	once    sync.Once
	decided chan struct{} // closed when it is
	verdict Verdict       // then
}

func newFate() *Fate { return &Fate{decided: make(chan struct{})} }

// Watch returns how long the version may be taken back, a canary's period included; 0 if
// it is not on trial.
func (f *Fate) Watch() time.Duration { return time.Duration(f.watched.Load()) }

// Watched sets how long it may be.
func (f *Fate) Watched(d time.Duration) { f.watched.Store(int64(d)) }

// Wait waits for the verdict. It fails with the context's error.
func (f *Fate) Wait(ctx context.Context) (Verdict, error) {
	select {
	case <-f.decided:
		return f.verdict, nil
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	}
}

// Decide gives the verdict. The first one holds.
func (f *Fate) Decide(v Verdict) {
	f.once.Do(func() {
		f.verdict = v
		close(f.decided)
	})
}
