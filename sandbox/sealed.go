package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// SnapshotInfo says what a kept snapshot is of.
type SnapshotInfo struct {
	Snapshot      string // its name, see [Module.Snapshot]
	Module        string // SHA-256 of the module, 64 hexadecimal digits
	Name, Version string // under which that was loaded
	Config        []byte // that it was loaded with, JSON
	Memory        int64  // likewise [Limits].Memory, in bytes
}

// ReadSnapshotInfo reads the head of a snapshot as [Snapshots] has it, without its module. The bytes may be anything: it
// allocates no more than some of their length. The error says that they are no snapshot, or not as they were written.
func ReadSnapshotInfo(sealed []byte) (SnapshotInfo, error) {
	seal, head, _, err := openSealed(sealed)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("read snapshot: %w", err)
	}
	of := head.Of
	return SnapshotInfo{seal.String(), of.Module, of.Name, of.Version, of.Config, of.Memory}, nil
}

// SnapshotHead is how many bytes of a snapshot [SnapshotName] needs.
const SnapshotHead = len(snapshotMagic) + len(snapshotID{})

// SnapshotName returns the name of a snapshot as [Snapshots] has it, of which only the beginning is given; false if it is no
// snapshot. It trusts the bytes: only [ReadSnapshotInfo] and Load know whether the rest belongs to that name.
func SnapshotName(sealed []byte) (name string, ok bool) {
	if len(sealed) < SnapshotHead || string(sealed[:len(snapshotMagic)]) != snapshotMagic {
		return "", false
	}
	return sealOfSnapshot(sealed).String(), true
}

func (id snapshotID) String() string { return hex.EncodeToString(id[:]) }

// openSealed returns the parts of a snapshot as bytes.
func openSealed(sealed []byte) (seal snapshotID, head snapshotHead, memory []byte, err error) {
	if _, ok := SnapshotName(sealed); !ok {
		return seal, head, nil, errors.New("it is no snapshot")
	}
	seal = sealOfSnapshot(sealed)
	rest := sealed[SnapshotHead:]
	if sha256.Sum256(rest) != seal {
		return seal, head, nil, errAltered
	}
	n, at := binary.Uvarint(rest)
	if at <= 0 || n > maxHead || n > uint64(len(rest)-at) {
		return seal, head, nil, errors.New("its head is cut")
	}
	text, memory := rest[at:at+int(n)], rest[at+int(n):]
	if err := json.Unmarshal(text, &head); err != nil {
		return seal, head, nil, fmt.Errorf("read its head: %w", err)
	}
	return seal, head, memory, nil
}
