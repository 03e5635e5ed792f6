package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Kind says what an [Actor] is.
type Kind byte

// The kinds of actors. They are stored as these numbers.
const (
	Topic   Kind = 1 // the one handler of a topic
	Process Kind = 2 // a process by its registered name
)

var kinds = map[Kind]string{Topic: "topic", Process: "process"}

func (k Kind) String() string { return kinds[k] }

// Actor names what is durable.
type Actor struct {
	Plugin string
	Kind   Kind
	Name   string // the topic, or the name of the process
}

// String is the name that people use, such as "chat/topic:doc:1" or "chat/process:counter".
func (a Actor) String() string { return a.Plugin + "/" + a.Kind.String() + ":" + a.Name }

// ParseActor is the way back from [Actor.String].
func ParseActor(text string) (Actor, error) {
	plugin, rest, ok := strings.Cut(text, "/")
	kind, name, named := strings.Cut(rest, ":")
	if ok && named && plugin != "" && name != "" {
		for k, word := range kinds {
			if word == kind {
				return Actor{plugin, k, name}, nil
			}
		}
	}
	return Actor{}, fmt.Errorf("%.200q names no durable actor: expected PLUGIN/topic:TOPIC or PLUGIN/process:NAME", text)
}

// State is all that is kept of an actor. Its slices are read only.
type State struct {
	Revision uint64    // counts its commits, from 1
	Born     uint64    // random: an actor that was removed and made again is another
	At       time.Time // of the last commit
	Version  string    // hash of the module that wrote it, 64 hexadecimal digits
	Snapshot string    // name of the snapshot that Guest differs from, 64 hexadecimal digits
	Guest    []byte    // see [rtd/sandbox.Instance.State]
	Held     []byte    // what the host holds for it; known to who commits it
	Due      time.Time // when it wants to be woken at the latest; zero: never
}

// Use is what a [State] needs of its plugin to be woken.
type Use struct{ Version, Snapshot string }

// PostID names a [Post] for good: it is the Index-th of the commit in which an actor came to a revision.
type PostID struct {
	Born, Revision uint64
	Index          uint32
}

// String is the text of the id, which is that of an event, too.
func (id PostID) String() string {
	return strconv.FormatUint(id.Born, 36) + "-" + strconv.FormatUint(id.Revision, 36) + "-" + strconv.FormatUint(uint64(id.Index), 36)
}

// Post is a message for a durable actor. It waits until that one has consumed it.
type Post struct {
	ID      PostID
	To      Actor
	From    string // the sender, as the receiver may name it
	Kind    uint16 // of the event that it becomes
	Binary  bool
	Payload []byte // read only
	Aside   *Aside // nil: it waits to be consumed
}

// Aside says why a [Post] does not become an event: its actor has crashed at it. It stays until somebody has it tried again, or
// throws it away.
type Aside struct {
	Event string    // id of the event that it was, and that it will be when it is tried again
	Timer bool      // it was a timer of the actor, and no message
	At    time.Time // when it was set aside
	Cause string    // of the last crash, cut
}

// Commit is what an event of an actor changes, or what was said in topics by whoever is none. All of it is stored, or nothing.
type Commit struct {
	Actor Actor    // zero: there are broadcasts, and nothing else
	Last  uint64   // revision of the state that it goes on from; 0: there is none
	State *State   // with the revision Last+1; nil: the actor is removed, with the posts for it
	Posts []Post   // for actors that need not exist yet, itself perhaps
	Took  []PostID // posts for the actor that are consumed
	Said  []*Said  // broadcasts
}

// Keeper keeps actors. Its methods may be called from any goroutine.
type Keeper interface {
	// Load returns the state of an actor, as of its last commit. The error is [ErrNone], [ErrUnavailable], or [ErrDamaged].
	Load(ctx context.Context, a Actor) (*State, error)
	// Commit stores c, and returns when it is stored, or with an error as the package documentation has them. The
	// keeper keeps c, which must not change any more.
	Commit(ctx context.Context, c *Commit) error
	// Posts returns the posts for an actor, in the order of their commits: those that wait, and those that were set aside.
	Posts(a Actor) []Post
	// Err returns why nothing can be stored now, or nil. It does not wait.
	Err() error
	// Up waits until Err is nil, or ctx ends; the error says then why it is not.
	Up(ctx context.Context) error
	// Actors yields the actors of a plugin. An error ends that.
	Actors(ctx context.Context, plugin string, kind Kind) iter.Seq2[Actor, error]
	// Announce tells, as when the keeper began, of the actors of a plugin that somebody should wake: posts wait for
	// them, or they are due.
	Announce(plugin string)
	// Uses returns which versions and snapshots of a plugin are needed, and for how many states.
	Uses(plugin string) map[Use]int
}

// Errors of a [Keeper], ask with errors.Is. The text says the cause.
var (
	ErrNone        = errors.New("no such actor")
	ErrConflict    = errors.New("the actor is at another revision")
	ErrUnavailable = errors.New("durable storage is not available")
	ErrTooLarge    = errors.New("too large to be stored")
	ErrFull        = errors.New("there is no room for the state")
	ErrDamaged     = errors.New("the state is damaged")
)
