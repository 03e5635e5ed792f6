package channels

import (
	"container/heap"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// keyHash is what is kept of a key: who sees the table cannot resume, and how long a look-up takes says nothing of a key.
type keyHash [16]byte

// keySize is the length of a key: 130 random bits in base32.
const keySize = 26

func hashOf(key string) (h keyHash) {
	sum := sha256.Sum256([]byte(key))
	copy(h[:], sum[:])
	return h
}

// lingers are the handlers of an endpoint that may outlast their connections, by their keys, and those that do, by when they
// end. The zero value is ready for use.
type lingers struct {
	keyed atomic.Int64 // how many handlers have keys

	mu    sync.Mutex // taken after those of the hub's shards
	keys  map[keyHash]*linger
	last  uint64 // number, or turn, that was given
	lines map[lineKey]*line
	due   dueHeap
	clock *time.Timer // for the first of due; nil while there is none

	resumed, over, crowded, overflowed atomic.Uint64
}

// waiting is a handler's place among those that are away.
type waiting struct {
	turn  uint64 // in which it went away, or came back
	away  bool
	until time.Time
	at    int // in due
	in    [3]place
}

// place is one in a line.
type place struct {
	line       *line
	next, prev *linger
}

// line are the handlers of one plugin, address or socket id that are away, the oldest first.
type line struct {
	key         lineKey
	first, last *linger
	n           int
}

type lineKey struct {
	plugin Plugin
	kind   int
	name   string
}

// waiter is a handler that was away in a turn.
type waiter struct {
	channel *Channel
	turn    uint64
}

// open begins what c needs to linger, with its first key.
func (l *lingers) open(c *Channel, id string) (*linger, string) {
	x, key := &linger{channel: c, id: id}, rand.Text()
	l.keyed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys, l.lines = map[keyHash]*linger{}, map[lineKey]*line{}
	}
	l.last++
	x.number = l.last
	l.addKey(x, key)
	return x, key
}

// addKey makes key the newest one. Callers hold mu.
func (l *lingers) addKey(x *linger, key string) {
	x.keys[1] = x.keys[0]
	x.keys[0] = hashOf(key)
	l.keys[x.keys[0]] = x
}

// find returns the handler with a key, if it is one of the plugin for the topic, and of a socket with this id.
func (l *lingers) find(key, id, topic string, p Plugin) (c *Channel, h keyHash) {
	if len(key) != keySize {
		return nil, h
	}
	h = hashOf(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.keys[h]
	if x == nil || x.id != id || x.channel.topic != topic || x.channel.plugin != p {
		return nil, h
	}
	return x.channel, h
}

// confirm forgets the key before the newest: the client has that.
func (l *lingers) confirm(x *linger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropKey(x, 1)
}

func (l *lingers) dropKey(x *linger, i int) {
	if l.keys[x.keys[i]] == x {
		delete(l.keys, x.keys[i])
	}
	x.keys[i] = keyHash{}
}

// wait puts a handler among those that are away, and returns those that have to go for it.
func (l *lingers) wait(x *linger, address string, o Lingering) (gone []waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	x.turn, x.away, x.until = l.last, true, time.Now().Add(o.For)
	heap.Push(&l.due, x)
	l.wind()
	for kind, by := range [...]struct {
		name string
		most int
		on   bool
	}{{"", o.Most, true}, {address, o.PerAddress, address != ""}, {x.id, o.PerID, x.id != ""}} {
		if !by.on {
			continue
		}
		key := lineKey{x.channel.plugin, kind, by.name}
		in := l.lines[key]
		if in == nil {
			in = &line{key: key}
			l.lines[key] = in
		}
		in.add(x)
		if by.most > 0 && in.n > by.most {
			gone = append(gone, waiter{in.first.channel, in.first.turn})
			l.crowded.Add(1)
			l.leave(in.first)
		}
	}
	return gone
}

// leave takes a handler from those that are away. Callers hold mu.
func (l *lingers) leave(x *linger) {
	if !x.away {
		return
	}
	x.away = false
	heap.Remove(&l.due, x.at)
	for kind := range x.in {
		if in := x.in[kind].line; in != nil {
			in.remove(x)
			if in.n == 0 {
				delete(l.lines, in.key)
			}
		}
	}
	l.wind()
}

// back takes a handler from those that are away, whose client has come with a key, and returns its next key. The key that was used
// holds until the client has used the next one.
func (l *lingers) back(x *linger, used keyHash) string {
	key := rand.Text()
	l.resumed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(x)
	l.last++
	x.turn = l.last
	for i, k := range x.keys {
		if k != used {
			l.dropKey(x, i)
		}
	}
	if x.keys[0] == (keyHash{}) {
		x.keys[0], x.keys[1] = x.keys[1], keyHash{}
	}
	l.addKey(x, key)
	return key
}

// forget ends a handler's keys.
func (l *lingers) forget(x *linger) {
	l.keyed.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(x)
	l.dropKey(x, 0)
	l.dropKey(x, 1)
}

// len is how many handlers are away.
func (l *lingers) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.due)
}

// isAway reports whether a handler is one of those that are away.
func (l *lingers) isAway(x *linger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return x.away
}

// turn is the turn of a handler: that in which it went away, or came back.
func (l *lingers) turn(x *linger) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return x.turn
}

// overflow takes a handler that has no room for what comes from those that are away, if it is one of them.
func (l *lingers) overflow(x *linger) (w waiter, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.away {
		return w, false
	}
	l.leave(x)
	l.overflowed.Add(1)
	return waiter{x.channel, x.turn}, true
}

// wind sets the clock to the first that is due. Callers hold mu.
func (l *lingers) wind() {
	switch {
	case len(l.due) == 0 && l.clock != nil:
		l.clock.Stop()
		l.clock = nil
	case len(l.due) > 0 && l.clock == nil:
		l.clock = time.AfterFunc(time.Until(l.due[0].until), l.strike)
	case len(l.due) > 0:
		l.clock.Reset(time.Until(l.due[0].until))
	}
}

// strike ends those whose time is over.
func (l *lingers) strike() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for now := time.Now(); len(l.due) > 0 && !l.due[0].until.After(now); {
		x := l.due[0]
		l.over.Add(1)
		l.leave(x)
		waiter{x.channel, x.turn}.over(reasonClosed)
	}
}

func (in *line) kind() int { return in.key.kind }

func (in *line) add(x *linger) {
	at := &x.in[in.kind()]
	at.line, at.prev, at.next = in, in.last, nil
	if in.last == nil {
		in.first = x
	} else {
		in.last.in[in.kind()].next = x
	}
	in.last = x
	in.n++
}

func (in *line) remove(x *linger) {
	at := x.in[in.kind()]
	if at.prev == nil {
		in.first = at.next
	} else {
		at.prev.in[in.kind()].next = at.next
	}
	if at.next == nil {
		in.last = at.prev
	} else {
		at.next.in[in.kind()].prev = at.prev
	}
	x.in[in.kind()] = place{}
	in.n--
}

// dueHeap is a heap.Interface: the first is due first.
type dueHeap []*linger

func (d dueHeap) Len() int           { return len(d) }
func (d dueHeap) Less(i, j int) bool { return d[i].until.Before(d[j].until) }
func (d dueHeap) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}
func (d *dueHeap) Push(x any) {
	x.(*linger).at = len(*d)
	*d = append(*d, x.(*linger))
}
func (d *dueHeap) Pop() any {
	old := *d
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return x
}
