package store

import (
	"cmp"
	"fmt"
	"slices"

	"rtd/host/durable"
)

// A value of the store is a leaf, with all actors of one plugin and kind whose hashes end with the same bits:
//
//	format    1 byte
//	frame     depth (how many bits), kind, plugin, versions and snapshots of the entries
//	frame     entry: name, has, state, posts
//	frame     …
type leaf struct {
	plugin  string
	kind    durable.Kind
	number  uint64 // the bits
	depth   uint8
	entries []entry
	lost    [][]byte // entries that cannot be read; they are kept as they are
}

// entry is what is stored of an actor.
type entry struct {
	name  string
	hash  uint64
	state *durable.State // nil: there are only posts for it
	posts []durable.Post
}

// maxDepth is the number of bits of a hash.
const maxDepth = 64

// covers reports whether a hash belongs into a leaf.
func (l *leaf) covers(hash uint64) bool { return covers(l.number, l.depth, hash) }

func covers(number uint64, depth uint8, hash uint64) bool { return low(hash, depth) == number }

// low returns the last bits of a hash.
func low(hash uint64, bits uint8) uint64 { return hash & (1<<bits - 1) } // with 64, 1<<bits is 0

func (l *leaf) encode() []byte {
	var uses texts
	head := func(b []byte) []byte {
		b = appendText(append(b, l.depth, byte(l.kind)), l.plugin)
		return shareTexts(b, l.entries, &uses)
	}
	b := appendFrame([]byte{formatNumber}, head)
	for i := range l.entries {
		b = appendFrame(b, func(b []byte) []byte { return l.entries[i].append(b, &uses) })
	}
	for _, body := range l.lost {
		b = appendFrame(b, func(b []byte) []byte { return append(b, body...) })
		b[len(b)-1] ^= 0xFF // it stays one that cannot be read
	}
	return b
}

// shareTexts appends the texts that entries share, so that each entry can be read without the others.
func shareTexts(b []byte, entries []entry, uses *texts) []byte {
	for i := range entries {
		if s := entries[i].state; s != nil {
			uses.note(s.Version)
			uses.note(s.Snapshot)
		}
		for j := range entries[i].posts {
			uses.note(entries[i].posts[j].To.Plugin)
		}
	}
	return uses.appendAll(b)
}

func (e *entry) append(b []byte, uses *texts) []byte {
	b = appendText(b, e.name)
	has := byte(0)
	if e.state != nil {
		has |= hasState
	}
	if len(e.posts) > 0 {
		has |= hasPosts
	}
	b = append(b, has)
	if e.state != nil {
		b = appendState(b, e.state, uses)
	}
	if len(e.posts) > 0 {
		b = appendPosts(b, e.posts, uses)
	}
	return b
}

// size is about how many bytes an entry takes.
func (e *entry) size() int {
	n := len(e.name) + 24
	if e.state != nil {
		n += len(e.state.Guest) + len(e.state.Held)
	}
	for i := range e.posts {
		n += postBytes(&e.posts[i])
	}
	return n
}

// decodeLeaf reads a leaf, which refers to data. Entries that cannot be read are among its lost ones.
func decodeLeaf(data []byte, number uint64, hash func(string) uint64) (*leaf, error) {
	return decodeEntries(data, number, hash, nil)
}

// decodeOne reads a leaf with one of its entries, if there is that one, and without the others.
func decodeOne(data []byte, number uint64, hash func(string) uint64, name string) (*leaf, error) {
	return decodeEntries(data, number, hash, func(body []byte) bool {
		r := reader{rest: body}
		return string(r.bytes()) == name
	})
}

// decodeEntries reads a leaf with the entries that are wanted; nil: all.
func decodeEntries(data []byte, number uint64, hash func(string) uint64, wanted func([]byte) bool) (*leaf, error) {
	r := reader{rest: data}
	if format := r.byte(); format != formatNumber {
		return nil, fmt.Errorf("%w: format %d", errMalformed, format)
	}
	head, whole := r.frame()
	if !whole {
		return nil, errMalformed
	}
	h := reader{rest: head}
	l := &leaf{number: number, depth: h.byte(), kind: durable.Kind(h.byte()), plugin: h.text()}
	uses := texts{list: h.allTexts()}
	if h.done() != nil || l.depth > maxDepth || number != low(number, l.depth) {
		return nil, errMalformed
	}
	shared := len(uses.list)
	for len(r.rest) > 0 {
		before := r.rest
		body, whole := r.frame()
		if r.failed { // the rest cannot be told apart
			l.lose(before)
			break
		}
		if wanted != nil && !wanted(body) {
			continue
		}
		e, ok := readEntry(body, &uses)
		uses.list = uses.list[:shared]
		if e.hash = hash(e.name); !whole || !ok || !l.covers(e.hash) {
			l.lose(body)
			continue
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

func readEntry(body []byte, uses *texts) (e entry, ok bool) {
	r := reader{rest: body}
	e.name = r.text()
	has := r.byte()
	if has&hasState != 0 {
		e.state = readState(&r, uses)
	}
	if has&hasPosts != 0 {
		e.posts = readPosts(&r, uses)
	}
	return e, r.done() == nil
}

// Bounds of what is kept of entries that cannot be read, so that there is room for others.
const (
	maxLost      = 8
	maxLostBytes = 16 << 10
)

// lose notes an entry that cannot be read.
func (l *leaf) lose(body []byte) {
	if len(l.lost) < maxLost {
		l.lost = append(l.lost, body[:min(len(body), maxLostBytes)])
	}
}

// find returns the entry of an actor, or nil.
func (l *leaf) find(name string) *entry {
	for i := range l.entries {
		if l.entries[i].name == name {
			return &l.entries[i]
		}
	}
	return nil
}

// put replaces the entry of an actor. One with nothing in it stays only as long as there are some that cannot be read: it says that the actor is
// none of them.
func (l *leaf) put(e entry) {
	l.entries = append(slices.DeleteFunc(l.entries, func(old entry) bool { return old.name == e.name }), e)
	if len(l.lost) == 0 {
		l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return e.state == nil && len(e.posts) == 0 })
	}
}

// clear removes what cannot be read of an actor: all that nobody can tell whose it is, and not what names somebody else.
func (l *leaf) clear(name string, hash func(string) uint64) {
	names := l.names(hash)
	var rest [][]byte
	for i, body := range l.lost {
		if names[i] != name && names[i] != "?" {
			rest = append(rest, body)
		}
	}
	l.lost = rest
}

// leafBytes is how large a leaf of several actors may be before it is split.
const leafBytes = 4 << 10

// split returns the leaves that take the place of this one: itself, if it is small enough.
func (l *leaf) split() []*leaf {
	size := 0
	for i := range l.entries {
		size += l.entries[i].size()
	}
	if size <= leafBytes || len(l.entries) < 2 || l.depth == maxDepth {
		slices.SortFunc(l.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
		return []*leaf{l}
	}
	bit := uint64(1) << l.depth
	zero := &leaf{plugin: l.plugin, kind: l.kind, number: l.number, depth: l.depth + 1, lost: l.lost}
	one := &leaf{plugin: l.plugin, kind: l.kind, number: l.number | bit, depth: l.depth + 1, lost: l.lost}
	for _, e := range l.entries {
		half := zero
		if e.hash&bit != 0 {
			half = one
		}
		half.entries = append(half.entries, e)
	}
	return append(zero.split(), one.split()...)
}
