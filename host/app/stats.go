package app

import (
	"slices"

	"rtd/channels"
	"rtd/host/process"
	"rtd/host/release"
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
	Latency release.Snapshot
	Kept    process.Kept // by the host, for its guests
	Limits  process.Kept // how much that may be
	Others  []Running    // versions in which processes live, besides the current one
}

// Moves count what became of processes that were asked to move to another version.
type Moves struct {
	WithState uint64 // their state moved with them
	Anew      uint64 // they began with a replay of the join, or with init
	Stayed    uint64 // their state could not be taken over, see [release.Rollout].Stay
}

// Running is a version of a plugin that is not the current one.
type Running struct {
	Version   string
	Instances int64
}

// Stats returns the figures of the application.
func (a *App) Stats() Stats {
	r, moved := a.current.Load(), a.mover.counts()
	s := Stats{
		Name:    a.name,
		Version: r.Version.ID,
		Hash:    r.HashText(),
		Topics:  r.Topics,
		Failed:  a.Failed(),
		Deploys: a.deploys.Load(),
		Moves:   Moves{moved[channels.Migrated], moved[channels.Replayed], moved[channels.Stayed]},
		Others:  a.others(r),
		Load:    r.Module.LoadStats(),
		Sandbox: r.Module.Stats(),
		Latency: r.Latency.Snapshot(),
		Kept:    a.home.Kept(),
		Limits:  process.Kept{Bytes: int64(r.Settings.Pending), Things: int64(r.Settings.References), Names: int64(r.Settings.References)},
	}
	if c := a.canary.Load(); c != nil {
		s.Canary = c.Release.Version.ID
	}
	return s
}

// others returns the versions besides the current release's. One version may have several
// releases, with different settings.
func (a *App) others(current *release.Release) (others []Running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.releases {
		n, id := r.Module.Stats().Live, r.Version.ID
		if n == 0 || id == current.Version.ID {
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
