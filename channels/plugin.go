package channels

import (
	"time"

	"rtd/supervisor"
)

// Plugin is an application that serves topics. Values are compared, so that the
// type must be comparable. Its methods may be called from any goroutine; callers
// hold locks, so that they must not block, nor call back into this package.
type Plugin interface {
	// Name identifies the plugin to people.
	Name() string
	// Supervisor supervises the handlers, with the topic as their group. A
	// supervisor that has ended for good must be closed: until then the joins
	// that it has taken wait. The remaining members then get phx_close, or
	// phx_error if it is closed with a crash or with
	// [supervisor.ErrIntensity], so that they come back.
	Supervisor() *supervisor.Dynamic
	// Current is the version that most new handlers begin with; never nil.
	Current() *Version
	// Next is the version with which a handler of the topic goes on, whose last
	// guest was of version old, or begins, if old is nil; never nil. Most often it
	// is Current, but some handlers may try another first. It is asked before each
	// life, and when the handler is to renew itself.
	Next(old *Version, topic string) *Version
	// MayUse says whether the handlers may show who is present in a topic other
	// than their own.
	MayUse(topic string) bool
	// Payer accounts for the broadcasts that wait for handlers.
	Payer
}

// Version is one version of a plugin. It does not change. Versions are the same
// if their pointers are.
type Version struct {
	ID      string // for people
	Restart supervisor.Restart
	// Mailbox is how many messages may wait for one handler; any more are
	// answered "overloaded". A handler keeps the bound that it began with.
	// Default 1,000.
	Mailbox int
	// Rate is how many messages of clients the plugin's handlers take per second,
	// all together; any more are answered "overloaded". After a quiet second as
	// many may come at once. It is counted anew for each version. Zero or less:
	// no limit.
	Rate int
	// Scope says whether each join of a topic has a handler of its own, or all
	// share one. It must not block. Nil means each its own.
	Scope func(topic string) Scope
	// Stays keeps a shared handler when its last member has left, until the plugin
	// ends.
	Stays bool
	// Durable says whether a shared handler's guest is remembered. It must not block. Nil
	// means that none is.
	Durable func(topic string) bool
	// Keep has a durable handler, when it wakes, stay in the version that wrote its state, if this one does not take that over.
	Keep bool
	// Idle is for how long a durable handler has no member, and gets no message, before it
	// leaves memory. Default 1 minute.
	Idle time.Duration
	// History says how much is kept of a topic's broadcasts; false: nothing. It must not block. Nil means that none has a
	// history. [Endpoint.ReviewHistory] has topics in use take it over.
	History func(topic string) (Keep, bool)
	// Linger says for how long the handler of one join stays when its client's connection has broken. The zero value is not at
	// all.
	Linger Lingering
	// Archives says that History has topics whose history is durable.
	Archives bool
	// Exports says that the guests hand on their state when asked with export, and
	// take over the state of others with import.
	Exports bool
	// New starts a guest for the life p of a handler of the topic, which closes
	// the guest. It is called by that process, and may take its time; several
	// processes may call it at once. A process that moves to another version has
	// several guests, one after the other.
	New func(p *supervisor.Process, topic string) (Guest, error)
	// Wake is New for a durable handler: the guest goes on with the stored state, if there
	// is one, and then in the version that wrote it. It fails with [ErrNotStored] if it
	// cannot be known whether there is one, or with [ErrUnmoved].
	Wake func(p *supervisor.Process, topic string) (Durable, error)

	admitted bucket
}

// Scope says whom a handler serves.
type Scope int

const (
	PerJoin  Scope = iota // one client's join: a [Channel]
	PerTopic              // all members of a topic: a [SharedChannel]
)

func (v *Version) scope(topic string) Scope {
	if v.Scope == nil {
		return PerJoin
	}
	return v.Scope(topic)
}

// admits reports whether one more message may come now.
func (v *Version) admits() bool { return v.Rate <= 0 || v.admitted.admit(v.Rate) }
