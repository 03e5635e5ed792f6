package bus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"

	"rtd/host/disk"
)

// A server cuts a file at the first record that is damaged, with all whole ones behind it. So the files are read before it does: what is
// damaged is copied to the folder "damaged", and sealed, as a record that the server takes for an erased one. Nothing else is lost then,
// and a [Lost] tells what was there.
//
// A file of records is named NUMBER.blk, and a record is
//
//	length    4 bytes; the highest bit: it has headers
//	sequence  8 bytes; the highest bit: erased, the next one: a mark of one that was deleted
//	time      8 bytes
//	subject   2 bytes of length, later the text
//	headers   4 bytes of length, and the text
//	data
//	hash      8 bytes, of all but the lengths, by a key of stream and file
const (
	recordHead = 22
	recordMin  = recordHead + hashSize
	hashSize   = 8
	hasHeads   = 1 << 31
	isErased   = 1 << 63
	isDeleted  = 1 << 62
)

var headsEnd = []byte("\r\n\r\n")

// Lost is a record of a log, or an entry of a store, that was damaged on the disk of the embedded server.
type Lost struct {
	Sequence uint64 `json:"sequence"`      // or revision
	Key      string `json:"key,omitempty"` // of an entry; perhaps damaged
	Data     []byte `json:"data"`          // what is left of it, perhaps all of it; nil: nobody knows
}

// blockFile is a file of records.
type blockFile struct {
	path   string
	data   []byte
	hash   hash.Hash64
	before uint64 // sequence of the last record of the file before it; 0: not known
}

// record is one in a file.
type record struct {
	size     int
	sequence uint64
	flags    uint64
}

// record returns the record at an offset, if it is whole.
func (f *blockFile) record(at int) (r record, whole bool) {
	b := f.data[at:]
	if len(b) < recordMin {
		return r, false
	}
	head := binary.LittleEndian.Uint32(b)
	size, subject := int(head&^hasHeads), int(binary.LittleEndian.Uint16(b[20:]))
	skip := 0 // the length of headers is not in the hash
	if head&hasHeads != 0 {
		skip = 4
	}
	if size > len(b) || size > longest || size < recordMin+subject+skip {
		return r, false
	}
	if skip > 0 {
		heads := int(binary.LittleEndian.Uint32(b[recordHead+subject:]))
		if end := recordHead + subject + skip + heads; heads < 0 || end > size-hashSize || !bytes.HasSuffix(b[:end], headsEnd) {
			return r, false
		}
	}
	f.hash.Reset()
	f.hash.Write(b[4:20])
	f.hash.Write(b[recordHead : recordHead+subject])
	f.hash.Write(b[recordHead+subject+skip : size-hashSize])
	if f.hash.Sum64() != binary.LittleEndian.Uint64(b[size-hashSize:]) {
		return r, false
	}
	sequence := binary.LittleEndian.Uint64(b[4:])
	return record{size, sequence &^ (isErased | isDeleted), sequence & (isErased | isDeleted)}, true
}

// claims returns where a record ends that is not whole, if what it says of itself is likely; else 0.
func (f *blockFile) claims(at int, last uint64) (end int) {
	b := f.data[at:]
	if len(b) < recordMin {
		return 0
	}
	size, sequence := int(binary.LittleEndian.Uint32(b)&^hasHeads), binary.LittleEndian.Uint64(b[4:])
	if size < recordMin || size > min(len(b), longest) || sequence <= last || sequence > last+1000 {
		return 0
	}
	return at + size
}

// damage is a part of a file that is no whole record.
type damage struct {
	at, size    int
	first, next uint64 // the sequences that it has: first at the least, next at the most, not included; 0: not known
}

// damages returns what is damaged in a file, and the sequence of its last record.
func (f *blockFile) damages() (list []damage, last uint64) {
	last = f.before
	for at := 0; at < len(f.data); {
		if r, whole := f.record(at); whole {
			if r.flags&isDeleted == 0 && r.sequence > last {
				last = r.sequence
			}
			at += r.size
			continue
		}
		d := damage{at: at, first: last + 1}
		claimed := f.claims(at, last)
		for at++; at < len(f.data); at++ {
			if at == claimed && f.claims(at, last) > 0 {
				last++ // two that are damaged, one behind the other
				break
			}
			if len(f.data)-at < recordMin || binary.LittleEndian.Uint64(f.data[at+4:])&^(isErased|isDeleted)>>32 != last>>32 {
				continue // what is no record is not worth a hash
			}
			if r, whole := f.record(at); whole {
				if r.flags == 0 {
					d.next = r.sequence
				}
				break
			}
		}
		d.size = min(at, len(f.data)) - d.at
		list = append(list, d)
	}
	return list, last
}

// lost returns what a damaged part was. ok is false if that cannot be told; then the server cuts the file there. data has the bytes of the part.
func (d damage) lost(data []byte, isLog bool) (l Lost, ok bool) {
	if d.size < recordMin {
		return l, false
	}
	head := binary.LittleEndian.Uint32(data)
	l.Sequence = binary.LittleEndian.Uint64(data[4:]) &^ (isErased | isDeleted)
	if d.size == recordMin {
		return Lost{}, true // a mark of the server
	}
	one := int(head&^hasHeads) == d.size // a single record
	if l.Sequence < d.first || d.next > 0 && l.Sequence >= d.next || d.next == 0 && l.Sequence > d.first+1000 {
		switch { // the sequence is damaged as well
		case isLog && d.first > 1:
			l.Sequence = d.first
		case d.next > 1:
			l.Sequence = d.next - 1
		default:
			return l, false
		}
	}
	if !one && !(isLog && d.first > 1 && d.next == d.first+1) {
		return l, true
	}
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	begin := recordHead + subject
	if begin+4 > d.size-hashSize {
		return l, true
	}
	_, l.Data, _ = bytes.Cut(data[begin+4:d.size-hashSize], headsEnd)
	if !isLog {
		parts := strings.SplitN(string(data[recordHead:begin]), ".", 4) // PREFIX.store.NAME.KEY
		if l.Key = parts[len(parts)-1]; checkKey(l.Key) != nil {
			l.Key = ""
		}
	}
	return l, true
}

// cut reports whether a part at the end of a file is not all of a record. What was behind it is gone as well.
func cut(data []byte) bool {
	return len(data) < recordMin || int(binary.LittleEndian.Uint32(data)&^hasHeads) != len(data)
}

// torn reports whether a record at the end of a file may have been written at that moment: it has a sector that was not.
func torn(data []byte) bool {
	const sector = 512
	zeros := 0
	for i, c := range data {
		if c != 0 {
			zeros = 0
		} else if zeros++; zeros >= sector || i == len(data)-1 && zeros >= hashSize {
			return true
		}
	}
	return false
}

// seal makes a part of a file a record that the server takes for an erased one.
func (f *blockFile) seal(d damage, sequence uint64) error {
	part := slices.Clone(f.data[d.at : d.at+d.size])
	binary.LittleEndian.PutUint32(part, uint32(d.size))
	binary.LittleEndian.PutUint64(part[4:], sequence|isErased)
	binary.LittleEndian.PutUint16(part[20:], 0)
	f.hash.Reset()
	f.hash.Write(part[4:20])
	f.hash.Write(part[recordHead : len(part)-hashSize])
	binary.LittleEndian.PutUint64(part[len(part)-hashSize:], f.hash.Sum64())
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(part, int64(d.at))
	return errors.Join(err, file.Sync(), file.Close())
}

// examine looks at all records of all streams before the server does, and seals what is damaged. After an end that was not proper,
// what may have been written at that moment is left to the server.
func (f *folder) examine(clean bool) error {
	folders, err := f.streams()
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if strings.HasPrefix(filepath.Base(dir), ".") {
			continue // it is being removed
		}
		if err := f.examineStream(dir, clean); err != nil {
			return fmt.Errorf("examine %s: %w", filepath.Base(dir), err)
		}
	}
	return nil
}

func (f *folder) examineStream(dir string, clean bool) error {
	name := filepath.Base(dir)
	paths, err := filepath.Glob(filepath.Join(dir, "msgs", "*.blk"))
	if err != nil {
		return err
	}
	slices.SortFunc(paths, func(a, b string) int { return number(a) - number(b) })
	last := uint64(0)
	for i, path := range paths {
		key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", name, number(path)))
		hash, err := highwayhash.New64(key[:])
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		block := blockFile{path, data, hash, last}
		var list []damage
		list, last = block.damages()
		for _, d := range list {
			part := data[d.at : d.at+d.size]
			if atEnd := i == len(paths)-1 && d.at+d.size == len(data); atEnd && (cut(part) || !clean && torn(part)) {
				continue
			}
			lost, ok := d.lost(part, strings.Contains(name, "_"+kindLog+"_"))
			if !ok {
				continue
			}
			if lost.Sequence > 0 {
				if err := f.keepLost(name, lost); err != nil {
					return err
				}
			}
			if err := block.seal(d, lost.Sequence); err != nil {
				return err
			}
			if err := os.Remove(filepath.Join(dir, "msgs", "index.db")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err // it knows better than the records
			}
			last = max(last, lost.Sequence)
		}
	}
	return nil
}

// lostDir is where the lost records of a stream are.
func (f *folder) lostDir(stream string) string { return filepath.Join(f.dir, marks, stream+".lost") }

func (f *folder) keepLost(stream string, l Lost) error {
	dir := f.lostDir(stream)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = disk.Replace(filepath.Join(dir, strconv.FormatUint(l.Sequence, 10)), 0o600, disk.Bytes(text))
	return err
}

// lost returns what was lost of a stream, in order.
func (s *stream) lost() (list []Lost, err error) {
	if s.bus.engine == nil {
		return nil, nil
	}
	dir := (&folder{dir: s.bus.options.Dir}).lostDir(s.name)
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, because(ErrDown, err)
	}
	for _, file := range files {
		sequence, err := strconv.ParseUint(file.Name(), 10, 64)
		if err != nil {
			continue // it was being written
		}
		l := Lost{Sequence: sequence}
		text, err := disk.Read(filepath.Join(dir, file.Name()), 2*longest)
		if err != nil {
			return nil, because(ErrDown, err)
		}
		if json.Unmarshal(text, &l) != nil || l.Sequence != sequence {
			l = Lost{Sequence: sequence}
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b Lost) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	return list, nil
}

// forget removes what was lost up to a sequence.
func (s *stream) forget(through uint64) error {
	list, err := s.lost()
	if err != nil {
		return err
	}
	dir := (&folder{dir: s.bus.options.Dir}).lostDir(s.name)
	for _, l := range list {
		if l.Sequence <= through {
			if err := os.Remove(filepath.Join(dir, strconv.FormatUint(l.Sequence, 10))); err != nil {
				return because(ErrDown, err)
			}
		}
	}
	return nil
}

// Lost returns the records that were damaged on the disk, and are missing since, in order. They stay in this list until Forget.
func (l *Log) Lost() ([]Lost, error) { return l.stream.lost() }

// Forget removes the lost records up to a sequence from the list.
func (l *Log) Forget(through uint64) error { return l.stream.forget(through) }

// Lost returns the entries that were damaged on the disk, and are missing since, in the order of their revisions. They stay in this list
// until Forget. An entry that was stored before may be there again.
func (s *Store) Lost() ([]Lost, error) { return s.stream.lost() }

// Forget removes the lost entries up to a revision from the list.
func (s *Store) Forget(through uint64) error { return s.stream.forget(through) }

// AcceptLog has a log be used again that was refused with [ErrDamaged], with what is left of it. It must be opened anew.
func (b *Bus) AcceptLog(name string) error { return b.accept(b.streamName(kindLog) + name) }

// AcceptStore is AcceptLog for a store.
func (b *Bus) AcceptStore(name string) error { return b.accept(b.streamName(kindStore) + name) }

func (b *Bus) accept(stream string) error {
	b.heights.Delete(stream)
	if b.engine == nil {
		return nil
	}
	if err := os.Remove(filepath.Join(b.options.Dir, marks, stream)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("accept damage: %w", err)
	}
	return nil
}
