package presence

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// What Track and Update refuse.
var (
	ErrTracked    = errors.New("presence: already tracked by this owner; update it instead")
	ErrNotTracked = errors.New("presence: not tracked by this owner; track it first")
	ErrMeta       = errors.New("presence: meta is not a JSON object that clients can read")
	ErrKey        = errors.New("presence: topic or key is not valid UTF-8")
	ErrTooLarge   = errors.New("presence: meta or key is too large")
	ErrOwnerFull  = errors.New("presence: owner tracks as many entries as it may")
	ErrTopicFull  = errors.New("presence: topic has as many entries as it may")
	ErrClosed     = errors.New("presence: tracker is closed")
)

// Options of a [Tracker]. Zero means the default; for a limit or an interval a
// negative number means none.
type Options struct {
	// Replica is the name of this node, which no other node may have. "rtd" by
	// default.
	Replica string

	// Broadcast is given every change, in order for each topic and never two
	// of one topic at a time. It runs on a goroutine of the tracker and may call
	// it, but for Close and Show. While it runs, further changes of the topic are
	// collected. Nil is nobody to tell.
	Broadcast func(topic string, d Diff)

	// Interval is the least time between two diffs of one topic. The first
	// change goes out at once, and those that follow within the interval
	// together. 20 ms by default.
	Interval time.Duration

	// Audience, if set, says how many are told of the changes of a topic. It is
	// called as Broadcast is. Each of them adds 100 µs to the interval, beyond the
	// least one and up to the 1.5 s of Phoenix's tracker: however many come and go,
	// the diffs of a topic make 10,000 deliveries a second or less, with up to
	// 15,000 who get them. An entry that comes and goes within such an interval
	// is not told.
	Audience func(topic string) int

	// Grace is how long an entry stays when its owner has ended and nobody
	// else has its key: one who comes with the key meanwhile takes its place,
	// which is an update to all others. None by default.
	Grace time.Duration

	// OwnerEntries and TopicEntries bound how many entries one owner can have
	// in all topics, and one topic of all owners. 100,000 by default, each.
	OwnerEntries, TopicEntries int

	// MaxMeta is the largest meta in bytes, 16 KiB by default, and MaxKey the
	// largest key, 1 KiB. What clients send a handler to track is what the
	// clients of all others keep.
	MaxMeta, MaxKey int

	// Check, if set, is asked about each meta that is a JSON object in UTF-8.
	// It is for what encoding/json accepts and some clients cannot read: one
	// such meta would spoil the lists and diffs of all others. An error makes
	// Track and Update return [ErrMeta] with it.
	Check func(meta []byte) error
}

// Tracker knows who is present in the topics of one node. Its methods may be
// called from any goroutine; those for one owner are served one after the other.
//
// An owner is what an entry lives and dies with, such as the process of a
// channel: any comparable value. It exists by what it tracks. Nothing stops an
// owner that has left from tracking again, which would leave an entry for ever:
// see to it that Leave is the last call for it.
type Tracker struct {
	opts  Options
	began time.Time
	seed  maphash.Seed

	// An owner's lock is taken before a shard's.
	owners [shards]owners
	shards [shards]shard
	// Held while a diff is broadcast, by reading while a list is shown; of the
	// topics with one hash. Taken before a shard's.
	telling [256]sync.RWMutex

	closed     chan struct{}
	announcers sync.WaitGroup
}

// shards is a power of two, and the same on all nodes: a topic's entries are in
// the same shard everywhere.
const shards = 32

// New returns a tracker without entries. Close it.
func New(o Options) *Tracker {
	o.Replica = cmp.Or(o.Replica, "rtd")
	o.Interval = cmp.Or(o.Interval, 20*time.Millisecond)
	o.OwnerEntries = cmp.Or(o.OwnerEntries, 100_000)
	o.TopicEntries = cmp.Or(o.TopicEntries, 100_000)
	o.MaxMeta = cmp.Or(o.MaxMeta, 16<<10)
	o.MaxKey = cmp.Or(o.MaxKey, 1<<10)

	t := &Tracker{opts: o, began: time.Now(), seed: maphash.MakeSeed(), closed: make(chan struct{})}
	self := Replica{o.Replica, uint64(t.began.UnixNano())}
	life := sha256.Sum256(fmt.Appendf(nil, "%d %s", self.Incarnation, self.Name))
	prefix := base64.RawURLEncoding.EncodeToString(life[:6])
	for i := range t.shards {
		t.owners[i].byID = map[any]*owner{}
		s := &t.shards[i]
		s.tracker = t
		s.refs = prefix + strconv.FormatUint(uint64(i), shards)
		s.state = NewState(self)
		s.topics, s.places = map[string]*roster{}, map[place]*tracked{}
	}
	return t
}

// Track makes the owner present in the topic under the key. The meta is a JSON
// object, to which "phx_ref" is added, and which is copied; the rest of it stays
// as it is.
//
// The ref is unique. A list read after Track has returned includes the entry.
// One owner can track a key once in a topic ([ErrTracked]); several owners that
// track the same key give it several metas.
func (t *Tracker) Track(owner any, topic, key string, meta []byte) (ref string, err error) {
	members, err := t.check(topic, key, meta)
	if err != nil {
		return "", err
	}
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	x, ref, err := t.shard(topic).track(o, topic, key, members)
	if x != nil {
		os.add(owner, o, x)
	}
	return ref, err
}

// Update replaces the meta of what the owner has tracked: one diff in which the
// old ref leaves and the new one joins, with the old one as "phx_ref_prev".
func (t *Tracker) Update(owner any, topic, key string, meta []byte) (ref string, err error) {
	members, err := t.check(topic, key, meta)
	if err != nil {
		return "", err
	}
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	return t.shard(topic).update(o, topic, key, members)
}

// Untrack ends what the owner has tracked, without a grace. If there is nothing,
// nothing happens.
func (t *Tracker) Untrack(owner any, topic, key string) {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	if x := t.shard(topic).untrack(o, topic, key); x != nil {
		os.remove(owner, o, x)
	}
}

// Leave ends all that the owner has tracked, for whatever reason the owner has
// ended. When it returns the lists are without it, but for what [Options].Grace
// keeps.
func (t *Tracker) Leave(owner any) {
	os, o := t.lock(owner)
	delete(os.byID, owner)
	os.mu.Unlock() // what is left of o is ours alone, and may be a lot
	for _, x := range o.tracked {
		t.shard(x.entry.Topic).end(x)
	}
}

// Hold keeps what the owner has tracked while it is restarted. For the next life
// it counts as not tracked: to track a key again is an update of it. [Settle]
// ends the rest.
func (t *Tracker) Hold(owner any) {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	for _, x := range o.tracked {
		x.held = true
	}
}

// Settle ends what was held and has not been tracked or updated since, without
// a grace.
func (t *Tracker) Settle(owner any) {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	for _, x := range slices.Backward(o.tracked) {
		if e := x.entry; x.held && t.shard(e.Topic).untrack(o, e.Topic, e.Key) != nil {
			os.remove(owner, o, x)
		}
	}
}

// Close ends the tracker. It waits for a broadcast under way; what is queued
// behind that is dropped. Lists can still be read.
func (t *Tracker) Close() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		closed := s.closed
		s.closed = true
		s.mu.Unlock()
		if i == 0 && !closed {
			close(t.closed)
		}
	}
	t.announcers.Wait()
}

// check refuses what cannot be tracked, and returns the members of the meta.
func (t *Tracker) check(topic, key string, meta []byte) (members []byte, err error) {
	switch {
	case t.opts.MaxKey >= 0 && len(key) > t.opts.MaxKey, t.opts.MaxMeta >= 0 && len(meta) > t.opts.MaxMeta:
		return nil, ErrTooLarge
	case !utf8.ValidString(topic), !utf8.ValidString(key):
		return nil, ErrKey
	}
	members, err = membersOf(meta)
	if err == nil && t.opts.Check != nil {
		if err := t.opts.Check(meta); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMeta, err)
		}
	}
	return members, err
}

func (t *Tracker) broadcast(topic string, d Diff) {
	if t.opts.Broadcast != nil && len(d.Joins)+len(d.Leaves) > 0 {
		t.opts.Broadcast(topic, d)
	}
}

// What one who is told of changes adds to the interval, and how far that goes.
const (
	perListener     = 100 * time.Microsecond
	longestInterval = 1500 * time.Millisecond
)

// interval is the time between two diffs of a topic, and whether that is longer than
// the least, because so many are told.
func (t *Tracker) interval(topic string) (interval time.Duration, crowded bool) {
	least := t.opts.Interval
	if least <= 0 || t.opts.Audience == nil {
		return least, false
	}
	listeners := min(t.opts.Audience(topic), int(longestInterval/perListener))
	interval = time.Duration(listeners) * perListener
	return max(least, interval), interval > least
}

// pause waits for an interval, or for the end of the tracker.
func (t *Tracker) pause(interval time.Duration) {
	if interval <= 0 {
		return
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.closed:
	}
}

func (t *Tracker) tellingOf(topic string) *sync.RWMutex {
	return &t.telling[maphash.String(t.seed, topic)%uint64(len(t.telling))]
}

// since is the time since the tracker began, in nanoseconds.
func (t *Tracker) since() int64 { return int64(time.Since(t.began)) }

// shard is that of a topic. The hash, FNV-1a, is one that all nodes share.
func (t *Tracker) shard(topic string) *shard {
	h := uint32(2166136261)
	for i := range len(topic) {
		h = (h ^ uint32(topic[i])) * 16777619
	}
	return &t.shards[(h^h>>16)%shards]
}

func (t *Tracker) ownersOf(id any) *owners {
	return &t.owners[maphash.Comparable(t.seed, id)%shards]
}
