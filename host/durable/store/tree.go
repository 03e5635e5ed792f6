package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"rtd/host/bus"
	"rtd/host/durable"
)

// tableName names a table.
type tableName struct {
	plugin string
	kind   durable.Kind
}

// table knows where the actors of a plugin and kind are: in which leaf of the store. The leaf of a number n and depth d has those whose
// hashes end with the d bits of n. When it grows too large, the half of them with another bit 1 goes to a new leaf, n + 2^d, and both
// have the depth d+1. So the leaves cover all hashes, and no actor needs an entry in memory. The keeper's lock guards it.
type table struct {
	tableName
	key     string           // of the leaves, without the number
	leaves  map[uint64]place // by number
	deepest uint8
}

// place is what is known of a leaf.
type place struct {
	depth    uint8
	hurt     bool   // it has entries that cannot be read, or is one that cannot be
	size     uint32 // of its value
	revision uint64 // of its key
}

func newTable(name tableName) *table {
	return &table{tableName: name, key: tableKey(name), leaves: map[uint64]place{}}
}

// leafPrefix begins the keys of all leaves.
const leafPrefix = "leaf"

func tableKey(name tableName) string {
	return leafPrefix + "." + bus.Token(name.plugin) + "." + strconv.Itoa(int(name.kind))
}

func (t *table) leafKey(number uint64) string { return t.key + "." + strconv.FormatUint(number, 36) }

// parseKey returns the number of a leaf.
func parseKey(key string) (number uint64, err error) {
	return strconv.ParseUint(key[strings.LastIndexByte(key, '.')+1:], 36, 64)
}

// find returns the leaf for a hash. If there is none, the table is empty or a leaf is damaged.
func (t *table) find(hash uint64) (number uint64, p place, ok bool) {
	for depth := int(t.deepest); depth >= 0; depth-- {
		number = low(hash, uint8(depth))
		if p, ok = t.leaves[number]; ok && p.depth == uint8(depth) {
			return number, p, true
		}
	}
	return 0, place{}, false
}

func (t *table) set(number uint64, p place) {
	t.leaves[number] = p
	t.deepest = max(t.deepest, p.depth)
}

// hash is where an actor is in its table. The seed keeps who chooses names from filling one leaf.
func (k *Keeper) hash(name string) uint64 {
	sum := sha256.Sum256(append(k.seed[:len(k.seed):len(k.seed)], name...))
	return binary.LittleEndian.Uint64(sum[:])
}

// errMoved: an actor is not in the leaf any more that was read.
var errMoved = errors.New("moved")

// read returns what is stored of an actor in its leaf; nil: nothing.
func (k *Keeper) read(ctx context.Context, name durable.Actor) (*entry, error) {
	hash := k.hash(name.Name)
	for {
		k.mu.Lock()
		t := k.tables[tableName{name.Plugin, name.Kind}]
		if t == nil && len(k.unread) > 0 {
			t = k.table(tableName{name.Plugin, name.Kind})
		}
		if t == nil || len(t.leaves) == 0 {
			k.mu.Unlock()
			return nil, nil
		}
		number, _, ok := t.find(hash)
		k.mu.Unlock()
		if !ok {
			return nil, fmt.Errorf("%w: the part of the store that has %v cannot be read", durable.ErrDamaged, name)
		}
		value, err := k.readValue(ctx, t.leafKey(number))
		if err != nil {
			return nil, err
		}
		l, err := decodeOne(value, number, k.hash, name.Name)
		if err == nil && l.find(name.Name) == nil {
			l, err = decodeLeaf(value, number, k.hash) // whether something is lost
		}
		if err != nil {
			return nil, &badLeaf{t.leafKey(number), value, err}
		}
		if !l.covers(hash) {
			continue // it was split meanwhile
		}
		e := l.find(name.Name)
		if e == nil && len(l.lost) > 0 {
			return nil, fmt.Errorf("%w: %d actors beside %v cannot be read, and it may be one of them", durable.ErrDamaged, len(l.lost), name)
		}
		return e, nil
	}
}

// mayLose reports whether an actor that is in no leaf may be among those that cannot be read. Callers hold mu.
func (k *Keeper) mayLose(name durable.Actor) bool {
	t := k.tables[tableName{name.Plugin, name.Kind}]
	if t == nil || len(t.leaves) == 0 {
		return t == nil && len(k.unread[tableKey(tableName{name.Plugin, name.Kind})]) > 0
	}
	_, p, ok := t.find(k.hash(name.Name))
	return !ok || p.hurt
}

// readLeaf reads a leaf.
func (k *Keeper) readLeaf(ctx context.Context, t *table, number uint64) (*leaf, error) {
	value, err := k.readValue(ctx, t.leafKey(number))
	if err != nil {
		return nil, err
	}
	l, err := decodeLeaf(value, number, k.hash)
	if err != nil {
		return nil, &badLeaf{t.leafKey(number), value, err}
	}
	return l, nil
}

// readValue reads what is stored for a leaf, which there is.
func (k *Keeper) readValue(ctx context.Context, key string) ([]byte, error) {
	found, err := k.states.Get(ctx, key)
	switch {
	case err == nil:
		return found.Value, nil
	case errors.Is(err, bus.ErrNotFound), errors.Is(err, bus.ErrDamaged):
		return nil, fmt.Errorf("%w: %s: %w", durable.ErrDamaged, key, err)
	}
	return nil, unavailable(err)
}

// badLeaf is the error of a leaf that is no such thing.
type badLeaf struct {
	key   string
	value []byte
	cause error
}

func (e *badLeaf) Error() string {
	return fmt.Sprintf("%v: %s: %v", durable.ErrDamaged, e.key, e.cause)
}
func (e *badLeaf) Unwrap() error { return durable.ErrDamaged }

// unread is a leaf that cannot be read, so that its depth is not known.
type unread struct {
	number uint64
	place  place
}

// place gives leaves of unknown depth their places: each has what no other one has.
func (t *table) place(list []unread) {
	for _, u := range list {
		t.leaves[u.number] = u.place
	}
	for _, u := range list {
		u.place.depth = uint8(bits.Len64(u.number))
		for other := range t.leaves {
			for other != u.number && u.place.depth < maxDepth && low(other, u.place.depth) == u.number {
				u.place.depth++
			}
		}
		t.set(u.number, u.place)
	}
}

// table returns a table, which is made if there is none.
func (k *Keeper) table(name tableName) *table {
	t := k.tables[name]
	if t == nil {
		t = newTable(name)
		k.tables[name] = t
		t.place(k.unread[t.key])
		delete(k.unread, t.key)
	}
	return t
}
