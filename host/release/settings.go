package release

import (
	"bytes"
	"slices"
	"time"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Settings say how a plugin is run: its table in config.toml.
type Settings struct {
	Topics    []string // patterns served; none means those that the module declares
	Restart   supervisor.Restart
	Strategy  supervisor.Strategy
	Intensity supervisor.Intensity
	Limits    sandbox.Limits
	Mailbox   int      // messages that may wait for one process
	Rate      int      // messages of clients that its handlers take in a second, all together
	Scope     string   // abi.ScopeJoin or ScopeTopic; "" is what the module declares for each pattern
	Stays     bool     // a topic's handler stays when its last member has left
	Depends   []string // plugins that must run first, besides those that the module declares
	Grants    []string // patterns of topics that are not its own, which it may publish and subscribe to
	Allows    []string // what else it may: "connect", "disconnect"; its manifest, if it has one, has to ask for it, too
	Config    []byte   // JSON, told to the guest
	Rollout   Rollout  // how a new version takes over; no part of what it runs under

	Services []string // of the host, that it may ask: "rtd/NAME"

	// What is durable, as patterns of the effect durable, besides those that the module declares; and of each such
	// actor how long it stays in memory without use, how long its state is kept without use (0: for ever), and how many bytes
	// that may have; at last the bytes of all states.
	Durable      []string
	DurableIdle  time.Duration
	DurableKeep  time.Duration
	DurableState int
	DurableBytes int64

	// Topics with history, as patterns, and how much each keeps.
	History        []string
	HistoryDurable []string // those that are stored as well
	Keep           channels.Keep

	// Linger is for how long handlers of one join outlast a connection that breaks, and how many.
	Linger channels.Lingering

	// Bounds on the things and bytes that the host keeps for the plugin's guests, all
	// together; channel handlers count too, but no join is refused for them. See Limits
	// in package rollout.
	Processes  int // live ones, when another is spawned
	References int // timers, monitors, links, subscriptions, intercepts and open requests; and names, apart
	Pending    int // bytes
}

// Rollout says how a version takes over from the one before. The zero value does so
// at once, for all, and for good.
type Rollout struct {
	// Stay leaves a process whose state the new version cannot take over in its
	// version until it ends. Otherwise its join is replayed.
	Stay bool
	// Watch is how long a new version may be taken back, if its processes crash more
	// often than the plugin's intensity allows, all of them counted together.
	Watch time.Duration
	// Canary is the share of new joins that go to the new version, 0 to 1, for
	// CanaryPeriod. Then all do, unless it has crashed more often than the old one in
	// that time, or more often than the intensity allows. 0: there is no such period.
	Canary       float64
	CanaryPeriod time.Duration
}

// Equal compares all settings except Rollout, and what is asked anew each time that it counts: DurableBytes and DurableKeep.
func (s Settings) Equal(t Settings) bool {
	return slices.Equal(t.Topics, s.Topics) && slices.Equal(t.Depends, s.Depends) &&
		slices.Equal(t.Grants, s.Grants) && slices.Equal(t.Allows, s.Allows) && slices.Equal(t.Services, s.Services) && bytes.Equal(t.Config, s.Config) &&
		t.Restart == s.Restart && t.Strategy == s.Strategy && t.Intensity == s.Intensity && t.Limits == s.Limits &&
		t.Mailbox == s.Mailbox && t.Rate == s.Rate && t.Scope == s.Scope && t.Stays == s.Stays &&
		slices.Equal(t.Durable, s.Durable) && t.DurableIdle == s.DurableIdle && t.DurableState == s.DurableState &&
		slices.Equal(t.History, s.History) && t.Keep == s.Keep && t.Linger == s.Linger &&
		slices.Equal(t.History, s.History) && slices.Equal(t.HistoryDurable, s.HistoryDurable) && t.Keep == s.Keep &&
		t.Processes == s.Processes && t.References == s.References && t.Pending == s.Pending
}
