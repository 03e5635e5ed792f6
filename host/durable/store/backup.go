package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"rtd/host/bus"
)

// A backup is the text backupMagic, and frames of these kinds:
//
//	1  key, value     an entry of the store; a later one of the same key replaces it
//	2  bytes          a record of the log, in order
//	3  two numbers    the end: how many there were of each
//
// Entries are read while they change. That does no harm: the log has all that has changed since before the first was read, and a
// start brings both together. So a backup is all actors, and the posts between them, as of the moment at which the log was read.
const backupMagic = "rtd durable backup 1\n"

const (
	backupEntry  = 1
	backupRecord = 2
	backupEnd    = 3
	maxFrame     = 4 << 20
)

// Backup writes all that is stored. Commits go on; the log is not purged meanwhile, and if 256 MiB come together it is, and the backup fails.
func (k *Keeper) Backup(ctx context.Context, w io.Writer) error {
	if err := k.ready(); err != nil {
		return err
	}
	k.hold(1)
	defer k.hold(-1)
	first, _, err := k.records.Bounds(ctx)
	if err != nil {
		return unavailable(err)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	if _, err := out.WriteString(backupMagic); err != nil {
		return err
	}
	var buffer []byte
	put := func(write func([]byte) []byte) error {
		buffer = appendFrame(buffer[:0], write)
		_, err := out.Write(buffer)
		return err
	}
	entries, records := uint64(0), uint64(0)
	err = eachEntry(ctx, k.states, "", func(e bus.Entry) error {
		if strings.HasPrefix(e.Key, throughPrefix+".") || e.Key == anewKey {
			return nil // is about this log
		}
		entries++
		return put(func(b []byte) []byte { return append(appendText(append(b, backupEntry), e.Key), e.Value...) })
	})
	if err != nil {
		return err
	}
	for r, err := range k.records.Read(ctx, first) {
		if err == nil {
			records++
			err = put(func(b []byte) []byte { return append(append(b, backupRecord), r.Data...) })
		}
		if err != nil {
			return err
		}
	}
	err = put(func(b []byte) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(append(b, backupEnd), entries), records)
	})
	return errors.Join(err, out.Flush())
}

// hold keeps the log from being purged, or no longer.
func (k *Keeper) hold(n int) {
	k.checkpoints.Lock()
	defer k.checkpoints.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holds += n
}

// Restore writes a backup to a bus on which nothing is stored. A [Keeper] for that node comes after it. If it does not come to its end,
// no keeper uses what it has written, and it can be done again once the store and the log are gone.
func Restore(ctx context.Context, b *bus.Bus, node string, r io.Reader) error {
	if node == "" {
		node = defaultNode
	}
	states, err := b.Store(ctx, storeName)
	if err != nil {
		return err
	}
	records, err := b.Log(ctx, logPrefix+node)
	if err != nil {
		return err
	}
	last, err := empty(ctx, states, records)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, 1<<20)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic {
		return fmt.Errorf("%w: it does not begin with %q", errNoBackup, backupMagic)
	}
	into := restore{ctx: ctx, states: states, keys: map[string]bool{}}
	n := uint64(0)
	for {
		body, err := readFrame(in)
		if err != nil {
			return err
		}
		kind := body[0]
		body = body[1:]
		switch kind {
		case backupEntry:
			f := reader{rest: body}
			key := f.text()
			if f.failed {
				return fmt.Errorf("%w: an entry is malformed", errNoBackup)
			}
			err = into.put(bus.Write{Key: key, Value: f.rest, Last: bus.Any})
		case backupRecord:
			n++
			last, err = records.Append(ctx, last, body)
		case backupEnd:
			f := reader{rest: body}
			if f.number() != into.n || f.number() != n || f.done() != nil || into.format == nil {
				return fmt.Errorf("%w: some of it is missing", errNoBackup)
			}
			if err := into.flush(); err != nil {
				return err
			}
			if _, err := states.Put(ctx, bus.Write{Key: anewKey, Value: []byte("1"), Last: bus.Any}); err != nil {
				return err
			}
			_, err := states.Put(ctx, *into.format) // the last, so that all is there if it is
			return err
		default:
			err = fmt.Errorf("%w: a frame of kind %d", errNoBackup, kind)
		}
		if err != nil {
			return err
		}
	}
}

var errNoBackup = errors.New("this is no backup, or not all of it")

// empty checks that nothing is stored, notes that a restore has begun, and returns the sequence of the last record of the log.
func empty(ctx context.Context, states *bus.Store, records *bus.Log) (last uint64, err error) {
	list, _, err := states.List(ctx, "", 0, 2)
	if err != nil {
		return 0, err
	}
	if len(list) > 1 || len(list) == 1 && list[0].Key != formatKey {
		return 0, fmt.Errorf("%w: states are stored already, and a backup is for an empty store", bus.ErrConflict)
	}
	for r, err := range records.Read(ctx, 1) {
		if errors.Is(err, bus.ErrGone) {
			break
		}
		if err != nil {
			return 0, err
		}
		if group, _, err := decodeRecord(r.Data); err != nil || len(group) > 0 {
			return 0, fmt.Errorf("%w: the log has commits already, and a backup is for an empty one: remove the folder of the bus, or what a restore before left in it", bus.ErrConflict)
		}
	}
	text, err := json.Marshal(format{Format: formatNumber, Restoring: true})
	if err != nil {
		return 0, err
	}
	if _, err := states.Put(ctx, bus.Write{Key: formatKey, Value: text, Last: bus.Any}); err != nil {
		return 0, err
	}
	_, last, err = records.Bounds(ctx)
	return last, err
}

// restore collects entries.
type restore struct {
	ctx    context.Context
	states *bus.Store
	writes []bus.Write
	keys   map[string]bool // of writes
	bytes  int
	n      uint64
	format *bus.Write
}

func (r *restore) put(w bus.Write) error {
	r.n++
	if w.Key == formatKey {
		r.format = &w
		return nil
	}
	if r.keys[w.Key] || len(r.writes) == bus.MaxWrites || r.bytes > 8<<20 {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.writes, r.bytes = append(r.writes, w), r.bytes+len(w.Key)+len(w.Value)
	r.keys[w.Key] = true
	return nil
}

func (r *restore) flush() error {
	_, err := r.states.WriteAll(r.ctx, r.writes)
	r.writes, r.bytes = nil, 0
	clear(r.keys)
	return err
}

// readFrame reads a frame of a backup, which is not empty.
func readFrame(in io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("%w: it ends too early: %w", errNoBackup, err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 || size > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", errNoBackup, size)
	}
	frame := make([]byte, 4+size+4)
	copy(frame, head[:])
	if _, err := io.ReadFull(in, frame[4:]); err != nil {
		return nil, fmt.Errorf("%w: it ends too early: %w", errNoBackup, err)
	}
	r := reader{rest: frame}
	body, whole := r.frame()
	if !whole || r.done() != nil {
		return nil, fmt.Errorf("%w: a checksum is wrong", errNoBackup)
	}
	return body, nil
}
