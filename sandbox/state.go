package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"rtd/sandbox/image"
)

// Errors of [Module.Resume].
var (
	// ErrSnapshot says that a state is of another snapshot than the plugin's: of another version,
	// config or limit of memory, or of a snapshot that was lost.
	ErrSnapshot = errors.New("state is of another snapshot")
	// ErrDamaged says that a state is not as it was written.
	ErrDamaged = errors.New("state is damaged")
)

// A state as [Instance.State] writes it:
//
//	byte       stateFormat
//	16 bytes   the beginning of the snapshot's name
//	4 bytes    CRC-32C of all that follows, little-endian
//	bytes      what slot.save writes
const (
	stateFormat   = 1
	stateSnapshot = 16
	stateHead     = 1 + stateSnapshot + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// State appends the state of the instance to dst, as of its last event: memory and globals, as far as they differ
// from the snapshot, which is named, see [Module.Snapshot]. The instance stays as it is and where it is, ready for the
// next event; but if its state has grown by 16 KiB in 256 States, or by 64, its guest is first told to collect its
// garbage. State may be called as Handle is, and waits for an event that is being handled. What
// the guest declared as scratch is left out.
//
// The error is a [*Trap] if the guest is dead, [ErrClosed], or [ErrPinned].
func (i *Instance) State(dst []byte) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.module
	switch {
	case i.trap != nil:
		return dst, i.trap
	case i.closed:
		return dst, ErrClosed
	case p.pinned != "":
		return dst, ErrPinned
	}
	at := len(dst)
	dst = append(dst, stateFormat)
	dst = append(dst, p.snapshotID[:stateSnapshot]...)
	dst = append(dst, 0, 0, 0, 0)
	body := len(dst)
	switch {
	case i.slot != nil: // nobody else takes it while mu is held
		dst = i.slot.diff(dst)
		i.states++
		if i.overgrown(len(dst) - body) {
			dst = i.collect(dst, body)
		}
		if i.trap != nil { // there was no room
			return dst[:at], i.trap
		}
	case i.idle.IsZero(): // the snapshot
		dst = binary.AppendUvarint(dst, 0)
		dst = binary.AppendUvarint(dst, uint64(p.snapshot.Size()))
	default:
		var err error
		if dst, err = appendStored(dst, p.engine.store.Get(i.idle)); err != nil {
			return dst[:at], err
		}
	}
	binary.LittleEndian.PutUint32(dst[body-4:], crc32.Checksum(dst[body:], castagnoli))
	return dst, nil
}

// overgrown says whether the guest is to collect its garbage, now that its state has so many bytes.
func (i *Instance) overgrown(size int) bool {
	grown := size - int(i.compacted)
	return grown > compactOver && (i.states >= compactStates || grown > compactFast) && i.module.compacts()
}

// collect lets the guest collect its garbage in its slot, and appends its state afterwards in place of that from body on.
// With the latter a guest that dies of that goes to rest.
func (i *Instance) collect(dst []byte, body int) []byte {
	s, pool := i.slot, &i.module.pool
	pages, before := uint32(s.memory.image.Size()/pageSize), len(dst)-body
	pool.reclaim(s)
	i.slot = nil
	if !i.collects(s, i.process) {
		i.pages = pages
		i.noteCompacted(before, before)
		i.keep(s, append(s.state[:0], dst[body:]...))
		pool.checkIn(s, nil)
		return dst
	}
	dst = s.diff(dst[:body])
	i.noteCompacted(before, len(dst)-body)
	i.slot = s
	pool.checkIn(s, i)
	return dst
}

// appendStored appends what [slot.pack] was given.
func appendStored(dst, stored []byte) ([]byte, error) {
	if stored[0] == plain {
		return append(dst, stored[1:]...), nil
	}
	state, err := s2.Decode(nil, stored[1:])
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errState, err)
	}
	return append(dst, state...), nil
}

// Resume makes an instance that goes on with a state of [Instance.State], perhaps of another process. The start
// event is not handled again. Bytes that nothing has vouched for do no harm to anybody but the
// instance: what is no state of this plugin's snapshot is refused. So is a state for which the plugin's guests have no
// memory left.
//
// The error is [ErrSnapshot], [ErrDamaged], [ErrClosed], [ErrPinned], or says that there is no room.
func (p *Module) Resume(topic string, process Process, state []byte) (*Instance, error) {
	i := new(Instance)
	if err := p.ResumeIn(i, topic, process, state); err != nil {
		return nil, err
	}
	return i, nil
}

// ResumeIn is Resume for who keeps an instance within something else, see [Module.StartIn].
func (p *Module) ResumeIn(i *Instance, topic string, process Process, state []byte) error {
	if p.pinned != "" {
		return ErrPinned
	}
	body, size, err := p.checkState(state)
	if err != nil {
		return err
	}
	if err := p.StartIn(i, topic, process); err != nil {
		return err
	}
	err = i.moveIn(process, size, func(s *slot) error { return s.load(body) })
	if err != nil {
		i.Close()
		if errors.Is(err, errState) || errors.Is(err, image.ErrDelta) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// SnapshotOf says which snapshot a state is of: prefix is how the name begins that [Module.Snapshot] returns, 32
// hexadecimal digits. Nothing else of the state is looked at, which may be any bytes; the error is [ErrDamaged] if they
// do not begin as a state does.
func SnapshotOf(state []byte) (prefix string, err error) {
	id, err := snapshotOf(state)
	return hex.EncodeToString(id), err
}

func snapshotOf(state []byte) (id []byte, err error) {
	if len(state) <= stateHead || state[0] != stateFormat {
		return nil, fmt.Errorf("%w: it has no head", ErrDamaged)
	}
	return state[1 : 1+stateSnapshot], nil
}

// checkState returns what [slot.load] takes of a state, and the size of the memory that it needs. All of it that can be
// wrong is refused here, but for runs that lie outside of the memory.
func (p *Module) checkState(state []byte) (body []byte, size int, err error) {
	id, err := snapshotOf(state)
	if err != nil {
		return nil, 0, err
	}
	if has := p.snapshotID[:stateSnapshot]; !bytes.Equal(id, has) {
		return nil, 0, fmt.Errorf("%w: %x, the plugin has %x", ErrSnapshot, id, has)
	}
	body = state[stateHead:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(state[stateHead-4:]) {
		return nil, 0, fmt.Errorf("%w: its checksum is another", ErrDamaged)
	}
	count, at := binary.Uvarint(body)
	memory := body[max(at, 0):]
	for range count {
		n, _, rest, ok := cutGlobal(memory)
		if !ok || n >= uint64(len(p.globals)) {
			return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, errState)
		}
		memory = rest
	}
	if size, err = image.DeltaSize(memory); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !p.sizeFits(size) || size < p.snapshot.Size() {
		return nil, 0, fmt.Errorf("%w: its memory has %s", ErrDamaged, byteSize(int64(size)))
	}
	return body, size, nil
}
