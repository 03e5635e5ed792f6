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
	PID        string    `json:"pid,omitempty"` // "#1c.k3v9q2m", of which people read what is before the point; "" between two lives
	Kind       string    `json:"kind"`          // plugin, supervisor, dynamic, worker, task, channel; host or service
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
	Version   string        `json:"version"`
	Unchanged bool          `json:"unchanged,omitempty"` // it ran already
	Canary    bool          `json:"canary,omitempty"`    // the version before it is current, for now
	Watch     time.Duration `json:"watch,omitempty"`     // in nanoseconds: for how long it may be taken back by itself
	DryRun    bool          `json:"dry_run,omitempty"`   // nothing has changed
	Moves     *Moves        `json:"moves,omitempty"`     // of the processes that there were
}

// Moves counts the processes of a plugin, by what has become of them, or would in a dry
// run.
type Moves struct {
	WithState int    `json:"with_state"`       // their state went with them
	Anew      int    `json:"anew"`             // they began anew
	Stayed    int    `json:"stayed"`           // they stay in their version
	Refused   int    `json:"refused"`          // durable ones: they end, and their state stays
	Left      int    `json:"left"`             // that is not known yet
	Lost      int    `json:"lost"`             // of all those, the ones with a state that was not taken over
	Stored    int    `json:"stored,omitempty"` // of a dry run: durable actors, in memory or not
	Losses    []Loss `json:"losses,omitempty"`
}

// Loss is a state that was not taken over. An answer has the first few.
type Loss struct {
	Process string `json:"process"` // topic of a channel, or name
	Cause   string `json:"cause"`
	Stays   bool   `json:"stays,omitempty"`   // in its version
	Refused bool   `json:"refused,omitempty"` // it is durable: it ends, and its state stays
}

// Verdict is the fate of a version that was deployed.
type Verdict struct {
	State string `json:"state"`           // see the constants
	Cause string `json:"cause,omitempty"` // why
	Now   string `json:"now,omitempty"`   // version that runs instead, if it is known
}

// The states of a [Verdict].
const (
	Trusted   = "trusted"   // it was watched, and did not crash too often
	Unwatched = "unwatched" // nobody would take it back
	Withdrawn = "withdrawn" // it was taken back
	Replaced  = "replaced"  // another was deployed in its place before that was known
	Removed   = "removed"   // so was the plugin
	Stuck     = "stuck"     // it is bad and cannot be taken back, or good and cannot be promoted
	Undecided = "undecided" // the server ends, or too many wait for this
)

// Health says whether clients should come to a server, as /readyz does.
type Health struct {
	Ready bool `json:"ready"` // every plugin of the folder runs, and it does not drain
}

// Bus is the bus of a server.
type Bus struct {
	State    string    `json:"state"`           // see the constants
	By       []string  `json:"by"`              // who needs it
	Cause    string    `json:"cause,omitempty"` // why it does not work
	Since    time.Time `json:"since,omitzero"`  // when that began, or that it works
	Embedded bool      `json:"embedded"`
	Where    string    `json:"where,omitempty"`  // the folder, or the URL
	Server   string    `json:"server,omitempty"` // its version

	Bytes      int64  `json:"bytes"`           // stored
	Limit      int64  `json:"limit,omitempty"` // of Bytes, if one is known
	Streams    int    `json:"streams"`         // logs and stores
	Reconnects uint64 `json:"reconnects"`

	// Writes counts by kind (append, put, batch, delete), and then by result (ok, down, unknown, full, conflict,
	// too_large, other).
	Writes map[string]map[string]uint64 `json:"writes"`
}

// The states of a [Bus].
const (
	BusOff   = "off" // nobody needs it
	BusWorks = "works"
	BusDown  = "down" // it does not work, and is tried again
)

// loss stands among the lines of a log in place of those that its reader was too slow
// for.
type loss struct {
	Lost uint64 `json:"lost"`
}

// ErrNoPlugin says that there is no plugin with a name.
var ErrNoPlugin = errors.New("no such plugin")

// ErrUnchanged is returned by a Backend's Deploy, with the version, if that runs already.
var ErrUnchanged = errors.New("this version runs already")
