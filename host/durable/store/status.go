package store

import (
	"sync/atomic"
	"time"

	"rtd/host/durable"
)

// counts are what has happened.
type counts struct {
	commits, groups, failures, checkpoints, expired atomic.Uint64
	took, recovery                                  atomic.Int64 // ns
}

// Status is the state of a keeper, as those see it who operate it.
type Status struct {
	Err error // why nothing can be stored; nil: it can

	Commits     uint64 // stored
	Failures    uint64 // commits that failed
	Groups      uint64 // records of the log that the commits took
	Checkpoints uint64
	Expired     uint64 // topics

	Checkpoint time.Duration // how long the last one took
	Recovery   time.Duration // how long the start took

	Dirty      int   // actors that have changed since they were written to their leaves
	DirtyBytes int64 // about
	LogBytes   int64 // records since the last purge
	InMemory   int   // actors of which more than an alarm is in memory
	Leaves     int   // keys of the store
	Alarms     int   // actors with a Due

	Histories    int   // topics of which broadcasts are stored
	HistoryBytes int64 // that they take in the store, about

	Plugins map[string]PluginStatus
}

// PluginStatus is what is stored for a plugin.
type PluginStatus struct {
	Bytes             int64 // of states and posts, as they count for Options.Room
	Topics, Processes int
	Posts             int // that wait
}

// Status returns the state of the keeper. It does not wait.
func (k *Keeper) Status() Status {
	c := &k.counts
	s := Status{
		Err: k.Err(), Commits: c.commits.Load(), Failures: c.failures.Load(), Groups: c.groups.Load(), Checkpoints: c.checkpoints.Load(), Expired: c.expired.Load(),
		Checkpoint: time.Duration(c.took.Load()), Recovery: time.Duration(c.recovery.Load()), Plugins: map[string]PluginStatus{},
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Dirty, s.DirtyBytes, s.LogBytes, s.InMemory, s.Alarms = len(k.dirty), k.bytes, k.length, len(k.actors), len(k.alarms.heap)
	s.Histories, s.HistoryBytes = len(k.pasts), k.restBytes
	for _, t := range k.tables {
		s.Leaves += len(t.leaves)
	}
	for name, p := range k.plugin {
		s.Plugins[name] = PluginStatus{p.bytes, p.actors[durable.Topic], p.actors[durable.Process], p.waiting}
	}
	return s
}
