package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// Bounds, in bytes.
const (
	maxName   = 4 << 10   // the plugin or the name of an actor
	maxUse    = 255       // a version, or a snapshot
	maxState  = 1 << 20   // Options.MaxState by default
	mostState = 5 << 18   // Options.MaxState at the most
	maxQueue  = 1 << 19   // posts that wait for one actor
	maxCommit = 7 << 18   // state and posts of a commit; with what they need besides, less than a record may have
	minLog    = 64 << 20  // records that are read at a start, about
	maxLog    = 512 << 20 // records before commits wait for a checkpoint
)

const defaultNode = "1"

// Options say how a [Keeper] keeps actors, and whom it tells. Its functions are called from its goroutines, and must not block.
type Options struct {
	// Node names the log, which one keeper alone may write: a later one takes it over. Default: "1".
	Node string

	// MaxState is how many bytes Guest and Held of a state may have. Default: 1 MiB; at most 1.25 MiB.
	MaxState int

	// Room returns how many bytes the states of a plugin, and the posts for it, may have; 0 or less: any number. Nil: any.
	Room func(plugin string) int64

	// Keep returns how long a topic is kept that is not committed, has no Due and no posts; 0: for ever. Nil: for ever.
	Keep func(plugin string) time.Duration

	// Busy reports whether a topic is awake, so that it must not expire. Nil: none is.
	Busy func(durable.Actor) bool

	// Posted is told that posts wait for an actor: new ones, and those that are there at the start.
	Posted func(durable.Actor)

	// Due is told that the time State.Due of an actor has come, and again every minute as long as it has that.
	Due func(durable.Actor)

	// Begins is asked before a store is made where there is none. An error says what was there before: then nothing begins anew before
	// [Keeper.Repair]. Nil: nobody knows of any.
	Begins func() error

	// Begun is told each time that what is stored has been read. Nil: nobody is.
	Begun func()

	// CheckpointEvery is how long states stay in memory and in the log alone. Default: 5 s.
	CheckpointEvery time.Duration

	// CheckpointBytes is how many bytes of changed states are a reason for a checkpoint before that; with four times as
	// many, commits wait for it. Default: 16 MiB.
	CheckpointBytes int64

	// History returns how many bytes the histories of all topics may have in the store, about. Beyond that those are forgotten first that nobody has
	// needed for longest. Nil, or 0: any.
	History func() int64

	// Kept reports whether a topic has a durable history at present; known is false if that cannot be said. It is asked at the start and by
	// [Keeper.ReviewHistories], and must not call the keeper. Nil: all have.
	Kept func(topic string) (durable, known bool)

	Log *slog.Logger // default: slog.Default()
}

// Keeper implements [durable.Keeper]. It works as long as the bus does, and goes on by itself.
type Keeper struct {
	options Options
	bus     *bus.Bus
	log     *slog.Logger
	end     context.CancelFunc
	ended   context.Context
	running sync.WaitGroup
	up      chan struct{} // closed when it is ready, or has failed for good
	halted  chan struct{} // closed while it waits for somebody to repair; the lock guards it
	repair  chan struct{} // closed by who does; nil: it does not wait. The lock guards it

	// Set before up is closed.
	records *bus.Log
	states  *bus.Store
	seed    []byte

	failure atomic.Pointer[error] // why nothing can be stored, besides the bus
	wake    chan struct{}         // there are commits for the committer
	full    chan struct{}         // there is reason for a checkpoint
	anew    chan struct{}         // there are histories to be renewed

	checkpoints sync.Mutex // held while leaves change
	counts      counts

	mu      sync.Mutex
	actors  map[durable.Actor]*actor // those that changed since their checkpoint, have posts, or were in use lately
	idle    []*actor                 // those in actors that may be forgotten, oldest first
	dirty   map[*actor]struct{}      // those to be written at the next checkpoint
	bytes   int64                    // of dirty
	free    chan struct{}            // closed when bytes or length shrink
	queue   []*pending               // commits for the committer
	tight   bool                     // the bus is nearly full: what is left is for checkpoints
	dead    error                    // for good
	doubt   error                    // the last group may be stored or not
	last    uint64                   // sequence of the last record
	length  int64                    // bytes of the records since the last purge
	holds   int                      // backups that need the log as it is
	plugin  map[string]*plugin
	tables  map[tableName]*table
	unread  map[string][]unread // leaves that cannot be read, of tables that are not made, by their key
	refused map[uint64]refusal  // actors by their marks
	alarms  alarms

	pasts     map[string]*past   // histories, by their topics
	soiled    map[*past]struct{} // those to be written at the next checkpoint
	restBytes int64              // that histories take in the store
	looked    time.Time          // at which ones can be forgotten, last

	// At a start: keys of chunks that were damaged on the disk, and up to which revision the bus is to forget that.
	lostPasts   []string
	lostThrough uint64
}

var errStarting = fmt.Errorf("%w: what is stored is being read", durable.ErrUnavailable)

// Open begins to read what is stored, and returns at once; [Keeper.Up] waits. If another keeper has the log, that one fails from
// now on.
func Open(b *bus.Bus, o Options) *Keeper {
	if o.Node == "" {
		o.Node = defaultNode
	}
	if o.MaxState <= 0 {
		o.MaxState = maxState
	}
	o.MaxState = min(o.MaxState, mostState)
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = 5 * time.Second
	}
	if o.CheckpointBytes <= 0 {
		o.CheckpointBytes = 16 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	k := &Keeper{
		options: o, bus: b, log: o.Log, up: make(chan struct{}), halted: make(chan struct{}), wake: make(chan struct{}, 1), full: make(chan struct{}, 1), anew: make(chan struct{}, 1),
		actors: map[durable.Actor]*actor{}, dirty: map[*actor]struct{}{}, free: make(chan struct{}),
		plugin: map[string]*plugin{}, tables: map[tableName]*table{},
		pasts: map[string]*past{}, soiled: map[*past]struct{}{},
	}
	k.alarms.init()
	k.fail(errStarting)
	k.ended, k.end = context.WithCancel(context.Background())
	k.running.Go(k.run)
	return k
}

// run is the life of the keeper.
func (k *Keeper) run() {
	defer close(k.up)
	if err := k.recover(k.ended); err != nil {
		return
	}
	k.ReviewHistories()
	k.fail(nil)
	k.running.Go(k.commitAll)
	k.running.Go(k.renewAll)
	k.running.Go(k.checkpointAll)
	k.running.Go(k.ring)
	k.running.Go(k.expireAll)
	k.running.Go(func() { k.tellPosted(func(durable.Actor) bool { return true }) })
}

// Up waits until the keeper is ready, has failed for good, or waits for somebody to repair. If ctx ends before, the error says why it is not.
func (k *Keeper) Up(ctx context.Context) error {
	k.mu.Lock()
	halted := k.halted
	k.mu.Unlock()
	select {
	case <-k.up:
	case <-halted:
	case <-ctx.Done():
	}
	return k.Err()
}

// upUnlessDown is Up, but does not wait for a bus of which it is known that it does not work.
func (k *Keeper) upUnlessDown(ctx context.Context) error {
	for {
		if err := k.bus.Err(); err != nil && !errors.Is(err, bus.ErrStarting) {
			return unavailable(err)
		}
		some, cancel := context.WithTimeout(ctx, lookAtBus)
		err := k.Up(some)
		over := some.Err() == nil || ctx.Err() != nil
		cancel()
		if err == nil || over {
			return err
		}
	}
}

// lookAtBus is how often those who wait for the keeper look at the bus.
const lookAtBus = 100 * time.Millisecond

// Close ends the keeper, not the bus. A commit under way may be stored; others fail with ErrUnavailable. It may be called again.
func (k *Keeper) Close() error {
	k.end()
	k.running.Wait()
	k.die(errors.New("the keeper is closed"))
	return nil
}

// Err implements [durable.Keeper].
func (k *Keeper) Err() error {
	failure := k.failure.Load()
	if failure != nil && !errors.Is(*failure, errStarting) {
		return *failure
	}
	if err := k.bus.Err(); err != nil {
		return unavailable(err)
	}
	if failure != nil {
		return *failure
	}
	return nil
}

// failed returns why nothing can be read or stored at present. Of a bus that has gone down since the start whoever asks it will hear.
func (k *Keeper) failed() error {
	failure := k.failure.Load()
	if failure == nil {
		return nil
	}
	return cmp.Or(k.Err(), *failure)
}

// ready returns why what is stored cannot be read or written to leaves, or nil: it was not read yet, or the keeper has ended.
func (k *Keeper) ready() error {
	select {
	case <-k.up:
	default:
		return k.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

func unavailable(cause error) error {
	if cause == nil || errors.Is(cause, durable.ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", durable.ErrUnavailable, cause)
}

// fail sets why nothing can be stored; nil: it can.
func (k *Keeper) fail(err error) {
	if err == nil {
		k.failure.Store(nil)
		return
	}
	k.failure.Store(&err)
}

// die ends the keeper for good, and returns why. The first reason counts.
func (k *Keeper) die(cause error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead == nil {
		k.dead = unavailable(cause)
		k.fail(k.dead)
		k.abandon(k.dead)
		close(k.free)
		k.free = nil
		k.end()
	}
	return k.dead
}

// sleep waits, or until the keeper ends; then it returns false.
func (k *Keeper) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.ended.Done():
		return false
	}
}

// kick wakes a goroutine that waits for reason.
func kick(reason chan struct{}) {
	select {
	case reason <- struct{}{}:
	default:
	}
}
