package sandbox

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"rtd/sandbox/abi"
	"rtd/sandbox/image"
)

// Snapshots is where the snapshots of a plugin are between two processes, see
// [LoadOptions].Snapshots. It is used by one Load, or by several at a time.
type Snapshots interface {
	// Get returns what was put under a key. The error is [fs.ErrNotExist] if nothing was.
	Get(key string) ([]byte, error)
	// Put keeps a snapshot under a key, as a whole or not at all. It replaces none: the error is
	// [fs.ErrExist] if there is one.
	Put(key string, snapshot []byte) error
	// SetAside takes away what is under a key, since it is of no use. It returns where it is now, for
	// the log.
	SetAside(key string) (to string, err error)
}

// A snapshot as bytes:
//
//	snapshotMagic
//	32 bytes   the seal, SHA-256 of all that follows
//	uvarint    length of the head
//	bytes      the head, JSON
//	bytes      the memory, as image.Snapshot.Append writes it
const (
	snapshotMagic = "rtd snapshot 1\n"

	// maxSnapshot is how large it may be to be kept, in bytes. Zeros of the memory do not count.
	maxSnapshot = 64 << 20
	// maxHead bounds the head: a config of 1 MiB, and what a guest may declare.
	maxHead = 16 << 20
)

// snapshotHead says what a snapshot is of, and what else of the guest is to be known.
type snapshotHead struct {
	Of       snapshotKey
	Types    []byte   // of the globals, as WebAssembly numbers them
	Globals  []uint64 // their values
	Declared [][]byte // records of the effects of the start event
}

// snapshotKey is all that a guest sees of its surroundings when it starts, but for clocks and
// random numbers. If any of it is another, so is the snapshot.
type snapshotKey struct {
	Module        string // its SHA-256, in hexadecimal digits
	Name, Version string
	Config        []byte
	Memory        int64 // the limit, in bytes
}

func (k snapshotKey) String() string {
	text, err := json.Marshal(k)
	if err != nil {
		panic(err) // texts and a number
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// snapshotID names a snapshot: its seal, if it is kept.
type snapshotID [sha256.Size]byte

// Snapshot returns the name of the snapshot that all instances begin with, 64 hexadecimal digits. kept
// says that the next process will begin with the same one if it loads the module with the same
// config and limit of memory: only then it can use states of [Instance.State]. Else Unkept says why.
func (p *Module) Snapshot() (name string, kept bool) {
	return p.snapshotID.String(), p.unkept == nil
}

// Unkept returns why the snapshot is not kept, or nil if it is.
func (p *Module) Unkept() error { return p.unkept }

// errNoPlace says that nobody asked for the snapshot to be kept.
var errNoPlace = errors.New("there is no place to keep it")

// begin gives the module its snapshot: the one that is given, one that is kept, or a new one, which is kept from now
// on. A fault of the place for it is a warning.
func (p *Module) begin(wasm []byte, o LoadOptions) error {
	rand.Read(p.snapshotID[:]) // never fails, by its own contract
	in := o.Snapshots
	sum := sha256.Sum256(wasm)
	key := snapshotKey{Module: hex.EncodeToString(sum[:]), Name: p.name, Version: p.version, Config: p.config, Memory: p.limits.Memory}
	switch {
	case p.pinned != "" && o.Kept != nil:
		return ErrPinned
	case p.pinned != "":
		p.unkept = fmt.Errorf("%w: %s", ErrPinned, p.pinned)
	case o.Kept != nil:
		err := p.take(key, o.Kept)
		if err != nil && !errors.Is(err, ErrSnapshot) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return err
	case in == nil:
		p.unkept = errNoPlace
	}
	if p.unkept != nil {
		return p.trial()
	}
	err := p.recall(key, in)
	if err == nil {
		return nil
	}
	free := errors.Is(err, fs.ErrNotExist)
	if damaged := (*damagedError)(nil); errors.As(err, &damaged) {
		to, aside := in.SetAside(key.String())
		if free = aside == nil; free {
			p.log.Warn("the kept snapshot is damaged and is made again; if the guest starts otherwise this time, states that were saved with it are of no use", "cause", err, "file", to)
		}
		err = errors.Join(err, aside)
	}
	if failed := p.trial(); failed != nil {
		return failed
	}
	if free {
		if err = p.keep(key, in); errors.Is(err, fs.ErrExist) { // another Load was quicker
			err = p.recall(key, in)
		}
	}
	if err != nil {
		p.unkept = err
		p.log.Warn("the snapshot is not kept; states that are saved with it are of no use to the next process", "cause", err)
	}
	return nil
}

// recall takes the kept snapshot.
func (p *Module) recall(key snapshotKey, in Snapshots) error {
	kept, err := in.Get(key.String())
	if err != nil {
		return err
	}
	if err := p.take(key, kept); err != nil {
		return &damagedError{err}
	}
	return nil
}

// take begins with a snapshot as bytes. Until that is done nothing of the plugin changes.
func (p *Module) take(key snapshotKey, kept []byte) error {
	begin := time.Now()
	if err := p.unseal(key, kept); err != nil {
		return err
	}
	p.unkept = nil
	p.loaded.Start = time.Since(begin)
	p.loaded.Memory = int64(p.snapshot.Size())
	return nil
}

// damagedError says that a snapshot is not as it was written.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// keep writes the snapshot down.
func (p *Module) keep(key snapshotKey, in Snapshots) error {
	sealed, err := p.seal(key)
	if err != nil {
		return err
	}
	if err := in.Put(key.String(), sealed); err != nil {
		return err
	}
	p.snapshotID = sealOfSnapshot(sealed)
	return nil
}

func sealOfSnapshot(sealed []byte) (seal snapshotID) {
	copy(seal[:], sealed[len(snapshotMagic):])
	return seal
}

// seal returns the snapshot as bytes.
func (p *Module) seal(key snapshotKey) ([]byte, error) {
	head := snapshotHead{Of: key, Types: p.globalTypes(), Globals: p.globals}
	for _, e := range p.declared {
		head.Declared = append(head.Declared, abi.AppendEffect(nil, &e))
	}
	text, err := json.Marshal(head)
	if err != nil {
		panic(err) // texts and numbers
	}
	var seal snapshotID
	b := append([]byte(snapshotMagic), seal[:]...)
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = p.snapshot.Append(append(b, text...))
	if len(text) > maxHead || len(b) > maxSnapshot {
		return nil, fmt.Errorf("it has %s, at most %s are kept; have the guest keep less in memory when it starts", byteSize(int64(len(b))), byteSize(maxSnapshot))
	}
	seal = sha256.Sum256(b[len(snapshotMagic)+len(seal):])
	copy(b[len(snapshotMagic):], seal[:])
	return b, nil
}

// unseal makes what seal has returned the plugin's snapshot, after a look at each part: it may have
// been written by another version of rtd, or be anything.
func (p *Module) unseal(key snapshotKey, sealed []byte) error {
	seal, head, memory, err := openSealed(sealed)
	if err != nil {
		return err
	}
	if head.Of.String() != key.String() {
		return fmt.Errorf("%w: it is of another module or config", ErrSnapshot)
	}
	if !bytes.Equal(head.Types, p.globalTypes()) || len(head.Globals) != len(head.Types) {
		return fmt.Errorf("%w: it has other globals than the module; another version of rtd has kept it", ErrSnapshot)
	}
	started, err := declaredAgain(head.Declared)
	if err != nil {
		return err
	}
	defer started.free()
	snapshot, err := image.ReadSnapshot(memory, int(p.limits.Memory))
	if err != nil {
		return fmt.Errorf("read its memory: %w", err)
	}
	if !p.sizeFits(snapshot.Size()) {
		snapshot.Close()
		return fmt.Errorf("%w: its memory is smaller or larger than the module allows", ErrSnapshot)
	}
	if p.snapshot != nil {
		p.snapshot.Close()
	}
	p.snapshot, p.globals, p.snapshotID = snapshot, append([]uint64{}, head.Globals...), seal
	p.declare(started)
	p.rewritten.Data = nil // the snapshot has it
	return nil
}

// declaredAgain has the effects of a start event checked as they were when the guest asked for them.
func declaredAgain(records [][]byte) (*effects, error) {
	c := newEffects(Limits{Effects: math.MaxInt, EffectBytes: math.MaxInt}, "", nil)
	c.begin(abi.EventStart)
	for _, record := range records {
		if code := c.add(record); code != 0 {
			c.free()
			return nil, fmt.Errorf("it declares what no guest can: %w", code)
		}
	}
	return c, nil
}

// declare takes what the guest asked for in its start event, of which nothing is kept in c.
func (p *Module) declare(c *effects) {
	p.topics, p.scratch, p.declared = slices.Clone(c.topics), c.scratch, nil
	for _, e := range c.list {
		e.Payload = slices.Clone(e.Payload)
		p.declared = append(p.declared, e)
	}
}

// globalTypes are those of the module's globals, in their order.
func (p *Module) globalTypes() []byte {
	types := make([]byte, 0, len(p.rewritten.Globals))
	for _, g := range p.rewritten.Globals {
		types = append(types, byte(g.Type))
	}
	return types
}

// sizeFits says whether an instance's memory may have so many bytes.
func (p *Module) sizeFits(size int) bool {
	m := p.rewritten.Memory
	return size%pageSize == 0 && int64(size) <= p.limits.Memory && size >= int(m.Min)*pageSize &&
		(!m.Bounded || size <= int(m.Max)*pageSize)
}
