package admin

import (
	"errors"
	"time"
)

// The answers of a server, as JSON.

// Plugin is one plugin of a server.
type Plugin struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`             // running, failed, waiting (for other plugins) or refused
	Version   string    `json:"version,omitempty"` // that runs; "" if none does
	Hash      string    `json:"hash,omitempty"`    // of its module
	Deployed  time.Time `json:"deployed,omitzero"` // when
	By        string    `json:"by,omitempty"`      // whom
	Canary    string    `json:"canary,omitempty"`  // version on trial
	Topics    []string  `json:"topics"`
	Instances int64     `json:"instances"` // live guests, of all versions
	Crashes   uint64    `json:"crashes"`   // of processes, of all versions since the start
	Restarts  uint64    `json:"restarts"`
	Cause     string    `json:"cause,omitempty"` // why it waits, or what was put into the folder last is refused
}

// Version is a version of a plugin that the server has kept.
type Version struct {
	Version   string    `json:"version"`
	Hash      string    `json:"hash"`
	Size      int64     `json:"size"` // bytes
	When      time.Time `json:"when"`
	By        string    `json:"by"`
	Withdrawn string    `json:"withdrawn,omitempty"` // why it was rolled back
}

// Process is a process of a plugin, with those below it.
type Process struct {
	PID        string    `json:"pid,omitempty"` // "" between two lives
	Kind       string    `json:"kind"`          // plugin, supervisor, dynamic, worker, task or channel
	Name       string    `json:"name"`          // id of a child, topic of a channel, or what a guest called it
	State      string    `json:"state"`
	Mailbox    int       `json:"mailbox"` // messages that wait
	Restarts   int       `json:"restarts"`
	Memory     int64     `json:"memory"`     // bytes now; 0 is not known
	Reductions uint64    `json:"reductions"` // calls and rounds of loops, about
	Children   []Process `json:"children,omitempty"`
	More       int       `json:"more,omitempty"` // children that are not listed
}

// Deployed is the outcome of a deploy or a rollback.
type Deployed struct {
	Version   string `json:"version"`
	Unchanged bool   `json:"unchanged,omitempty"` // it ran already
}

// Health says whether a server serves.
type Health struct {
	Ready bool `json:"ready"` // plugins are loaded and it does not drain
}

// problem is the answer to a request that fails.
type problem struct {
	Error string `json:"error"`
}

// loss stands among the lines of a log for those that its reader was too slow for.
type loss struct {
	Lost uint64 `json:"lost"`
}

// ErrNoPlugin says that there is no plugin of a name.
var ErrNoPlugin = errors.New("no such plugin")

// ErrUnchanged is what a Backend's Deploy returns, with the version, if that runs
// already.
var ErrUnchanged = errors.New("this version runs already")
