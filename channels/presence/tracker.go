package presence

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Why Track and Update refuse an entry.
var (
	ErrTracked    = errors.New("presence: already tracked by this owner; update it instead")
	ErrNotTracked = errors.New("presence: not tracked by this owner; track it first")
	ErrMeta       = errors.New("presence: meta is not a JSON object that clients can read")
	ErrKey        = errors.New("presence: topic or key is not valid UTF-8")
	ErrTooLarge   = errors.New("presence: meta or key is too large")
	ErrOwnerFull  = errors.New("presence: owner tracks as many entries as it may")
	ErrTopicFull  = errors.New("presence: topic has as many entries as it may")
	ErrNoRoom     = errors.New("presence: the owner's payer has no room for the entry")
	ErrClosed     = errors.New("presence: tracker is closed")
)

// Options of a [Tracker]. Zero means the default; for a limit or an interval a
// negative number means none.
type Options struct {
	// Broadcast gets every change, in order for each topic and never two of one topic at
	// a time. It runs on a goroutine of the tracker and may call its methods except Close
	// and Show. While it runs, further changes of the topic are collected. Nil means that
	// nobody is told.
	Broadcast func(topic string, d Diff)

	// Interval is the least time between two diffs of one topic. The first
	// change goes out at once, and those that follow within the interval
	// together. 20 ms by default.
	Interval time.Duration

	// Audience, if set, returns how many clients get the diffs of a topic. It is called
	// as Broadcast is. The interval is 100 µs for each client, if that is more than
	// Interval, up to the 1.5 s of Phoenix's tracker: however many come and go, the diffs
	// of a topic make 10,000 deliveries a second or less, for up to 15,000 clients. An
	// entry that comes and goes within such an interval is not in any diff.
	Audience func(topic string) int

	// Grace is how long an entry stays when its owner has ended and no other has its key.
	// An owner who comes with the key meanwhile takes its place, which the others see as
	// an update. None by default.
	Grace time.Duration

	// OwnerEntries and TopicEntries bound how many entries one owner can have
	// in all topics, and one topic of all owners. 100,000 by default, each.
	OwnerEntries, TopicEntries int

	// PeerEntries bounds how many entries of one other node are kept here: 1,000,000 by default. Those of a topic
	// are not bounded, but count for TopicEntries: what other nodes have let in is shown.
	PeerEntries int

	// MaxMeta is the largest meta in bytes, 16 KiB by default, and MaxKey the largest
	// key, 1 KiB. Every client of the topic keeps all of them.
	MaxMeta, MaxKey int

	// Payer, if set, returns the payer for an owner's entries, or nil. If it has no room,
	// Track and Update fail with [ErrNoRoom].
	Payer func(owner any) Payer

	// Check, if set, is asked about each meta that is a JSON object in UTF-8. It refuses
	// metas that encoding/json accepts and some clients cannot read: one such meta would
	// spoil the lists and diffs of all others. Track and Update return its error with
	// [ErrMeta].
	Check func(meta []byte) error
}

// Tracker knows who is present in the topics of one node. Its methods may be called from
// any goroutine; the calls for one owner are served one after the other.
//
// An entry lives and dies with its owner, such as the process of a channel: any
// comparable value. The tracker knows owners only by their entries. Nothing stops an
// owner that has left from tracking again, which would leave an entry for ever: the
// caller has to see to it that Leave is the last call for an owner.
type Tracker struct {
	opts  Options
	began time.Time
	seed  maphash.Seed

	// An owner's lock is taken before a shard's.
	owners [shards]owners
	shards [shards]shard
	// Each serves the topics with one hash. Locked while a diff is broadcast, read-locked
	// while a list is shown. Taken before a shard's.
	telling [256]sync.RWMutex

	suspended atomic.Bool // somebody may have something aside

	// Of the other nodes: changes.go, peer.go.
	self     Replica
	changed  func()      // nil: there are none
	untaken  atomic.Bool // changed was called, and nothing was taken since
	taking   sync.Mutex  // before a shard's
	peering  sync.Mutex  // likewise
	peers    map[string]*peer
	declined atomic.Uint64

	closed     chan struct{}
	announcers sync.WaitGroup
}

// shards is a power of two, and the same on all nodes: a topic's entries are in
// the same shard everywhere.
const shards = 32

// New returns a tracker without entries. Close it.
func New(o Options) *Tracker {
	o.Interval = cmp.Or(o.Interval, 20*time.Millisecond)
	o.OwnerEntries = cmp.Or(o.OwnerEntries, 100_000)
	o.TopicEntries = cmp.Or(o.TopicEntries, 100_000)
	o.PeerEntries = cmp.Or(o.PeerEntries, 1_000_000)
	o.MaxMeta = cmp.Or(o.MaxMeta, 16<<10)
	o.MaxKey = cmp.Or(o.MaxKey, 1<<10)

	t := &Tracker{opts: o, began: time.Now(), seed: maphash.MakeSeed(), closed: make(chan struct{})}
	t.self, t.peers = Replica{"rtd", uint64(t.began.UnixNano())}, map[string]*peer{}
	// Clients keep refs for longer than this tracker lives. They are to know those of the next
	// one from these, whatever the clock said and whichever other node has the name.
	var life [6]byte
	_, _ = rand.Read(life[:]) // which never fails
	prefix := base64.RawURLEncoding.EncodeToString(life[:])
	for i := range t.shards {
		t.owners[i].byID = map[any]*owner{}
		s := &t.shards[i]
		s.tracker = t
		s.refs = prefix + strconv.FormatUint(uint64(i), shards)
		s.state = NewState(t.self)
		s.topics, s.places = map[string]*roster{}, map[place]*tracked{}
	}
	return t
}

// Track makes the owner present in the topic under the key. The meta is a JSON object. It
// is copied, and the copy gets a "phx_ref"; the rest stays as it is.
//
// The ref is unique. A list read after Track has returned includes the entry.
// One owner can track a key once in a topic ([ErrTracked]); several owners that
// track the same key give it several metas.
func (t *Tracker) Track(owner any, topic, key string, meta []byte) (ref string, err error) {
	members, err := t.check(topic, key, meta)
	if err != nil {
		return "", err
	}
	c := t.chargeOf(owner, topic, key, members)
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	x, ref, err := t.shard(topic).track(o, topic, key, members, c)
	if x != nil {
		os.add(owner, o, x)
	}
	return ref, err
}

// Update replaces the meta of an entry that the owner has tracked: one diff in which the
// old ref leaves and the new one joins, with the old one as "phx_ref_prev".
func (t *Tracker) Update(owner any, topic, key string, meta []byte) (ref string, err error) {
	members, err := t.check(topic, key, meta)
	if err != nil {
		return "", err
	}
	c := t.chargeOf(owner, topic, key, members)
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	return t.shard(topic).update(o, topic, key, members, c)
}

// Untrack ends an entry of the owner, without a grace, also if it is suspended. It
// reports whether there was one.
func (t *Tracker) Untrack(owner any, topic, key string) bool {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	if x := t.shard(topic).untrack(o, topic, key, nil); x != nil {
		os.remove(owner, o, x)
		return true
	}
	defer os.forget(owner, o)
	return o.takeAside(topic, key)
}

// Leave ends all entries of the owner, for whatever reason the owner has ended. When it
// returns the lists are without them, except for those that [Options].Grace keeps.
func (t *Tracker) Leave(owner any) {
	os, o := t.lock(owner)
	delete(os.byID, owner)
	os.mu.Unlock() // what is left of o is ours alone, and may be a lot
	for _, x := range o.tracked {
		t.shard(x.entry.Topic).end(x)
	}
	o.dropAside(func(aside) bool { return true })
}

// Hold holds the entries of an owner while it is restarted. For the next life they count
// as not tracked: tracking a key again is an update of its entry. [Tracker.Settle] ends
// the rest.
func (t *Tracker) Hold(owner any) { t.begin(owner, held) }

// Keep keeps the entries of an owner beyond the end of the process that tracked for it.
// Tracking a key again changes nothing if the meta is the same, and else is an update of
// its entry. Entries that are not tracked again stay as well.
func (t *Tracker) Keep(owner any) { t.begin(owner, kept) }

// begin is the beginning of another life.
func (t *Tracker) begin(owner any, standing standing) {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	for _, x := range o.tracked {
		x.standing = standing
	}
	for i := range o.asides() {
		o.aside.list[i].standing = standing
	}
}

// Settle ends the entries that were held and have not been tracked or updated since,
// without a grace.
func (t *Tracker) Settle(owner any) {
	os, o := t.lock(owner)
	defer os.mu.Unlock()
	for _, x := range slices.Backward(o.tracked) {
		if e := x.entry; x.standing == held && t.shard(e.Topic).untrack(o, e.Topic, e.Key, nil) != nil {
			os.remove(owner, o, x)
		}
	}
	o.dropAside(func(a aside) bool { return a.standing == held })
	os.forget(owner, o)
}

// Close ends the tracker. It waits for a broadcast under way; changes that are queued
// behind it are dropped. Lists can still be read.
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

// check refuses a topic, key or meta that cannot be tracked, and returns the members of
// the meta.
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

// How long one client makes the interval, and its bound.
const (
	perListener     = 100 * time.Microsecond
	longestInterval = 1500 * time.Millisecond
)

// interval returns the time between two diffs of a topic. crowded says that it is longer
// than the least, because so many clients get them.
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

// shard returns the shard of a topic. The hash, FNV-1a, is the same on all nodes.
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
