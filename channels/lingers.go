package channels

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keyHash is what is kept of a key, for a socket id and a topic: so no other can use it. Who sees the table cannot resume, and how long a look-up takes says nothing of a key.
type keyHash [16]byte

// keySize is the length of a key: 130 random bits in base32.
const keySize = 26

func (h keyHash) first() uint64 { return binary.NativeEndian.Uint64(h[:]) }

func hashOf(key, id, topic string) (h keyHash) {
	b := binary.AppendUvarint(make([]byte, 0, 128), uint64(len(id)))
	sum := sha256.Sum256(append(append(append(b, id...), topic...), key...)) // keys have one length
	copy(h[:], sum[:])
	return h
}

// lingers are the handlers of an endpoint that may outlast their connections, by their keys, and those that do, in lines. The zero
// value is ready for use.
type lingers struct {
	keyed atomic.Int64 // how many handlers have keys

	mu      sync.Mutex         // taken after those of the hub's shards
	began   time.Time          // with the first key; what waits is measured from here, so that a clock that is set ends nobody
	keys    map[uint64]*linger // by the first bytes of the hash
	last    uint64             // turn, or number, that was given
	lines   map[lineKey]*line
	plugins []*line     // those of plugins among them
	n       int         // how many are away
	clock   *time.Timer // for the next that is due; nil while there is none

	resumed, over, crowded, overflowed atomic.Uint64
}

// waiting is a handler's place among those that are away.
type waiting struct {
	turn  uint64   // in which it went away, or came back
	until int64    // in nanoseconds since lingers.began; 0 if it is not away
	lines [2]*line // of its address and its id, if they are known; that of its plugin is found by that
	in    [3]place // in the lines of its plugin, its address and its id
}

// The lines that a handler is in.
const (
	ofPlugin = iota
	ofAddress
	ofID
)

// place is one in a line.
type place struct{ next, prev *linger }

// line are the handlers of one plugin that are away, or those of one address or socket id among them, the oldest first. In that of a
// plugin no handler waits longer than one behind it.
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
	x, key := &linger{channel: c}, rand.Text()
	l.keyed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys, l.lines, l.began = map[uint64]*linger{}, map[lineKey]*line{}, time.Now()
	}
	l.addKey(x, key, id)
	return x, key
}

// addKey makes key the newest one. Callers hold mu.
func (l *lingers) addKey(x *linger, key, id string) {
	x.keys[1] = x.keys[0]
	x.keys[0] = hashOf(key, id, x.channel.topic)
	l.keys[x.keys[0].first()] = x
}

// find returns the handler with a key, if it is one of the plugin for the topic, and of a socket with this id.
func (l *lingers) find(key, id, topic string, p Plugin) (c *Channel, h keyHash) {
	if len(key) != keySize {
		return nil, h
	}
	h = hashOf(key, id, topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.keys[h.first()]
	if x == nil || x.keys[0] != h && x.keys[1] != h || x.channel.topic != topic || x.channel.plugin != p {
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
	if at := x.keys[i].first(); l.keys[at] == x && x.keys[i] != (keyHash{}) {
		delete(l.keys, at)
	}
	x.keys[i] = keyHash{}
}

// wait puts a handler among those that are away, and returns those that have to go for it.
func (l *lingers) wait(x *linger, address, id string, o Lingering) (gone []waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	x.turn, x.until = l.last, int64(time.Since(l.began)+o.For)
	l.n++
	for kind, by := range [...]struct {
		name string
		most int
	}{ofPlugin: {"", o.Most}, ofAddress: {address, o.PerAddress}, ofID: {id, o.PerID}} {
		if by.name == "" && kind != ofPlugin {
			continue
		}
		key := lineKey{x.channel.plugin, kind, by.name}
		in := l.lines[key]
		if in == nil {
			in = &line{key: key}
			l.lines[key] = in
			if kind == ofPlugin {
				l.plugins = append(l.plugins, in)
			}
		}
		if kind != ofPlugin {
			x.lines[kind-1] = in
		}
		in.add(x)
		if by.most > 0 && in.n > by.most {
			gone = append(gone, waiter{in.first.channel, in.first.turn})
			l.crowded.Add(1)
			l.leave(in.first)
		}
	}
	l.wind()
	return gone
}

// leave takes a handler from those that are away. Callers hold mu.
func (l *lingers) leave(x *linger) {
	if x.until == 0 {
		return
	}
	x.until = 0
	l.n--
	for _, in := range [...]*line{l.lines[lineKey{x.channel.plugin, ofPlugin, ""}], x.lines[0], x.lines[1]} {
		if in == nil {
			continue
		}
		in.remove(x)
		if in.n == 0 {
			delete(l.lines, in.key)
			l.plugins = slices.DeleteFunc(l.plugins, func(one *line) bool { return one == in })
		}
	}
	x.lines = [2]*line{}
}

// back takes a handler from those that are away, whose client has come with a key, and returns its next key. The key that was used
// holds until the client has used the next one.
func (l *lingers) back(x *linger, used keyHash, id string) string {
	key := rand.Text()
	l.resumed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(x)
	l.wind()
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
	l.addKey(x, key, id)
	return key
}

// forget ends a handler's keys.
func (l *lingers) forget(x *linger) {
	l.keyed.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(x)
	l.wind()
	l.dropKey(x, 0)
	l.dropKey(x, 1)
}

// len is how many handlers are away.
func (l *lingers) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// isAway reports whether a handler is one of those that are away.
func (l *lingers) isAway(x *linger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return x.until != 0
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
	if x.until == 0 {
		return w, false
	}
	w = waiter{x.channel, x.turn}
	l.leave(x)
	l.wind()
	l.overflowed.Add(1)
	if told := x.channel.endpoint.Overflowed; told != nil {
		told(x.channel.plugin.Name(), x.channel.topic)
	}
	return w, true
}

// expel ends the handlers that are away of a socket id.
func (l *lingers) expel(id string) {
	if id == "" || l.keyed.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range slices.Clone(l.plugins) {
		for in := l.lines[lineKey{of.key.plugin, ofID, id}]; in != nil && in.n > 0; {
			x := in.first
			l.leave(x)
			waiter{x.channel, x.turn}.over(reasonClosed)
		}
	}
	l.wind()
}

// number gives a handler a number of its own.
func (l *lingers) number() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	return l.last
}

// wind sets the clock to the next that is due. Callers hold mu.
func (l *lingers) wind() {
	next := int64(0)
	for _, in := range l.plugins {
		if next == 0 || in.first.until < next {
			next = in.first.until
		}
	}
	switch left := time.Duration(next) - time.Since(l.began); {
	case next == 0 && l.clock != nil:
		l.clock.Stop()
		l.clock = nil
	case next == 0:
	case l.clock == nil:
		l.clock = time.AfterFunc(left, l.strike)
	default:
		l.clock.Reset(left)
	}
}

// strike ends those whose time is over.
func (l *lingers) strike() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := int64(time.Since(l.began))
	for _, in := range slices.Clone(l.plugins) {
		for in.n > 0 && in.first.until <= now {
			x := in.first
			l.over.Add(1)
			l.leave(x)
			waiter{x.channel, x.turn}.over(reasonClosed)
		}
	}
	l.wind()
}

// add puts a handler behind the others. If it waits less long than some of them, the config has changed, and they wait no longer, too.
func (in *line) add(x *linger) {
	kind := in.key.kind
	x.in[kind] = place{prev: in.last}
	if in.last == nil {
		in.first = x
	} else {
		in.last.in[kind].next = x
	}
	for before := in.last; kind == ofPlugin && before != nil && before.until > x.until; before = before.in[kind].prev {
		before.until = x.until
	}
	in.last = x
	in.n++
}

func (in *line) remove(x *linger) {
	kind := in.key.kind
	at := x.in[kind]
	if at.prev == nil {
		in.first = at.next
	} else {
		at.prev.in[kind].next = at.next
	}
	if at.next == nil {
		in.last = at.prev
	} else {
		at.next.in[kind].prev = at.prev
	}
	x.in[kind] = place{}
	in.n--
}
