package channels

import (
	"errors"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Plugin is an application that serves topics. Values are compared, so that the
// type must be comparable. Its methods may be called from any goroutine; callers
// hold locks, so that they must not block, nor call back into this package.
type Plugin interface {
	// Name identifies it to people.
	Name() string
	// Supervisor supervises its handlers, with the topic as their group. A
	// supervisor that has ended for good must be closed: until then the joins
	// that it has taken wait. Members that are left then get phx_close, or
	// phx_error if it is closed with a crash or with
	// [supervisor.ErrIntensity], so that they come back.
	Supervisor() *supervisor.Dynamic
	// Current is the version that most new handlers begin with; never nil.
	Current() *Version
	// Next is the version that a handler of the topic goes on with, whose last
	// guest was of version old, or begins with if that is nil; never nil. Most
	// often it is Current. It is asked before each life, and when the handler is to
	// renew itself.
	Next(old *Version, topic string) *Version
}

// Version is one version of a plugin. It does not change. Versions are the same
// if their pointers are.
type Version struct {
	ID      string // for people
	Restart supervisor.Restart
	// Mailbox is how many messages may wait for one handler; those beyond are
	// answered "overloaded". A handler keeps the bound that it began with.
	// Default 1,000.
	Mailbox int
	// Rate is how many messages of clients the plugin's handlers take per second,
	// all together; those beyond are answered "overloaded". After a quiet second
	// as many may come at once. It is counted anew for each version. Zero or
	// less: no limit.
	Rate int
	// Scope says whether each join of a topic has a handler of its own, or all
	// have one. It must not block. Nil means each its own.
	Scope func(topic string) Scope
	// Stays keeps the handler of all when its last member has left, until the
	// plugin ends.
	Stays bool
	// Exports says that its guests hand on their state when asked with export, and
	// take over that of others with import.
	Exports bool
	// New starts a guest for the life p of a handler of the topic, which closes
	// it. It is called by that process, and may take its time; several may call
	// it at once. A process that moves to another version has several guests,
	// one after the other.
	New func(p *supervisor.Process, topic string) (Guest, error)

	taken bucket
}

// Scope is whom a handler serves.
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
func (v *Version) admits() bool { return v.Rate <= 0 || v.taken.take(v.Rate) }

// Guest is the code behind one life of a handler. It is used by one goroutine
// at a time.
type Guest interface {
	// Handle takes one event and returns the effects, among them at most one
	// reply to that event. They are valid until Release, Close or the next Handle. An error
	// that wraps [ErrTooLarge] leaves the guest as it was; after any other it is
	// dead, and its effects do not count.
	//
	// A guest that is cut short because its process was asked to end returns
	// the reason. If that is no crash, the process ends in order.
	Handle(e *abi.Event) ([]abi.Effect, error)
	// Message makes an event of a message that is not one of this package: from
	// another process, a timer, a [supervisor.Down] or [supervisor.Exit]. ok is
	// false if there is nothing for the guest to know.
	Message(msg any) (e abi.Event, ok bool)
	// Apply carries out an effect that is not this package's, such as answer or
	// publish. Effects are applied in order. Callers hold locks: it must not
	// block, nor call back into this package but for [Endpoint.Publish],
	// [Endpoint.Listen] with its cancel, and [Endpoint.Disconnect].
	Apply(e *abi.Effect)
	// Wants reports whether the guest has asked for events of a kind that is
	// sent on request only: terminate.
	Wants(kind abi.Kind) bool
	// Adopt makes it the owner of what another guest of the same process holds
	// outside of its memory, such as timers, monitors and calls to answer, in
	// place of what it holds itself. The other has nothing then.
	Adopt(other Guest)
	// Release says that the effects of the last Handle have been applied.
	Release()
	// Close is called once, also for a dead guest, with the reason for which
	// it is needed no more. The process may go on with another.
	Close(reason error)
}

// ErrTooLarge is wrapped by a [Guest]'s error if it has no room for an event.
// A client that sent it is told; nothing has crashed.
var ErrTooLarge = errors.New("event too large for the guest")
