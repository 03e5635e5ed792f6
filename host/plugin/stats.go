package plugin

import (
	"slices"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/sandbox"
)

// Stats are the figures of one plugin. Counters begin anew with each deploy,
// crashes, restarts and moves aside.
type Stats struct {
	Name    string
	Version string
	Hash    string // the SHA-256 of the version's module
	Canary  string // the version that a share of new joins goes to, "" if none
	Topics  []string
	Failed  bool   // its tree has given up
	Deploys uint64 // versions that became current, the first included
	Moves   Moves
	Load    sandbox.LoadStats
	Sandbox sandbox.Stats
	Latency Snapshot
	Others  []Running // versions in which processes live, beside the current one
}

// Moves count what became of processes that were asked to move to another version.
type Moves struct {
	WithState uint64 // their state moved with them
	Anew      uint64 // they began with a replay of the join, or with init
	Stayed    uint64 // their state could not be taken over, see [Rollout].Stay
}

// Running is a version of a plugin that is not the current one.
type Running struct {
	Version   string
	Instances int64
}

// Stats returns the figures of all plugins, by name.
func (s *Set) Stats() []Stats {
	var all []Stats
	for _, p := range s.list() {
		r := p.current.Load()
		moved := p.mover.counts()
		all = append(all, Stats{
			Name:    p.name,
			Version: r.version.ID,
			Hash:    r.hashText(),
			Canary:  p.canaryID(),
			Topics:  r.topics,
			Failed:  p.failed(),
			Deploys: p.deploys.Load(),
			Moves:   Moves{moved[channels.Migrated], moved[channels.Replayed], moved[channels.Stayed]},
			Others:  p.others(r),
			Load:    r.module.LoadStats(),
			Sandbox: r.module.Stats(),
			Latency: r.latency.Snapshot(),
		})
	}
	return all
}

func (pl *Plugin) canaryID() string {
	if c := pl.canary.Load(); c != nil {
		return c.release.version.ID
	}
	return ""
}

// others are the versions beside the current release's. One version may have several
// releases, with different settings.
func (pl *Plugin) others(current *release) (others []Running) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, r := range pl.releases {
		n, id := r.module.Stats().Live, r.version.ID
		if n == 0 || id == current.version.ID {
			continue
		}
		if i := slices.IndexFunc(others, func(o Running) bool { return o.Version == id }); i >= 0 {
			others[i].Instances += n
		} else {
			others = append(others, Running{id, n})
		}
	}
	return others
}

// Bounds are the upper bounds of a [Histogram]'s buckets; one more bucket
// holds what is above.
var Bounds = [...]time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 10 * time.Second,
}

// Histogram counts how long guests took. It may be used from any goroutine.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64
	sum     atomic.Int64
}

// Snapshot is a histogram's content at one moment, about.
type Snapshot struct {
	Buckets [len(Bounds) + 1]uint64 // not cumulative
	Sum     time.Duration
}

func (h *Histogram) observe(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot returns what was counted so far.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.buckets {
		s.Buckets[i] = h.buckets[i].Load()
	}
	return s
}
