package sandbox

import (
	"bytes"
	"crypto/sha256"
	"math"
	"os"
	"time"
)

// Memory brings the instance into a slot and copies its memory and globals.
// What the guest has declared as scratch reads as zero.
func (i *Instance) Memory() (memory []byte, globals []uint64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, err := i.wake()
	if err != nil {
		return nil, nil, err
	}
	memory = bytes.Clone(s.memory.image.Bytes())
	clear(memory[i.module.scratch.from:i.module.scratch.to])
	for _, g := range s.globals {
		globals = append(globals, g.Get())
	}
	i.slot = s
	i.module.pool.checkIn(s, i)
	return memory, globals, nil
}

// Everything is the memory of all slots, scratch and all.
func (p *Module) Everything() [][]byte {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	var all [][]byte
	for _, first := range []*slot{p.pool.staying.first, p.pool.passing.first} {
		for s := first; s != nil; s = s.next {
			all = append(all, s.memory.image.Bytes())
		}
	}
	return all
}

// AtRest says whether the instance is in no slot, and how large its state is.
func (i *Instance) AtRest() (bool, int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.slot == nil, i.idle.Size()
}

// Pages is how many pages of the snapshot the slot of an instance that is at work has written, by whomever.
func (i *Instance) Pages() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.slot.memory.image.Own() / os.Getpagesize()
}

// NeverCompact keeps guests from being told to collect their garbage.
func (p *Module) NeverCompact() { p.futile.Store(1 << 20) }

// NoTemporary leaves an engine no folder but the cache for what its children make.
func (e *Engine) NoTemporary() { e.temporary = nil }

// StackBytes is what is counted of the guests' stacks.
func (p *Module) StackBytes() int64 { return p.stacks.used.Load() }

// Sealed gives a snapshot the seal of what it says.
func Sealed(snapshot []byte) []byte {
	at := len(snapshotMagic)
	seal := sha256.Sum256(snapshot[at+len(snapshotID{}):])
	copy(snapshot[at:], seal[:])
	return snapshot
}

// Suspect makes the plugin one whose turns have been too long by the clock, until then.
func (p *Module) Suspect(d time.Duration) { p.suspect.Store(clock() + int64(d)) }

// Stretches is what the last of n stretches of a suspected plugin is told to have cost, in which f is done, after others in
// which nothing is, and whether that is sure.
func Stretches(n int, f func()) (cost time.Duration, sure bool) {
	w := new(stopwatch)
	for range n - 1 {
		w.begin(Limits{}, math.MaxInt64)
		w.end()
	}
	w.begin(Limits{}, math.MaxInt64)
	f()
	nanos, sure := w.end()
	return time.Duration(nanos), sure
}

// The longest slices, and a turn that is too long for slices to stay as they are.
const (
	LongestSlice = slice
	HeavyTurn    = time.Duration(heavyTurn)
)

// Shorter is how long slices are after one of which so much was spent has taken too long.
func Shorter(slice, spent int64, cost time.Duration) int64 { return shorter(slice, spent, int64(cost)) }
