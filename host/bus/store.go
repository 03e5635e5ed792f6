package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Store keeps a value for each key: the latest one. Every write has a revision, larger than all before it in the store.
type Store struct{ stream *stream }

// Entry is a key and what is stored for it. Value is the reader's.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
	Time     time.Time // of the server that stored it
}

// Write is an entry to be stored.
type Write struct {
	Key   string
	Value []byte
	// Last is the revision that the key must have: 0 if there must be none, [Any] if that does not matter.
	Last uint64
}

// Any is a [Write].Last that is not checked.
const Any = math.MaxUint64

// Bounds of [Store.WriteAll].
const (
	MaxWrites     = 1000
	MaxWriteBytes = 32 << 20 // of keys and values
)

// Store opens the store of a name, which is made if there is none: 1 to 64 letters, digits, - and _.
func (b *Bus) Store(ctx context.Context, name string) (*Store, error) {
	s, err := b.open(ctx, kindStore, name)
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}

// Stores returns the names of the stores that there are, in order.
func (b *Bus) Stores(ctx context.Context) ([]string, error) { return b.list(ctx, kindStore) }

// Get returns the entry of a key, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	if err := checkKey(key); err != nil {
		return Entry{}, err
	}
	m, err := s.get(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	return s.entry(m), nil
}

func (s *Store) get(ctx context.Context, key string) (message, error) {
	return s.stream.bus.one(ctx, s.stream, get{Last: s.subject(key)})
}

func (s *Store) subject(key string) string { return s.stream.subject + "." + key }

func (s *Store) entry(m message) Entry {
	return Entry{Key: m.subject[len(s.stream.subject)+1:], Value: m.data, Revision: m.sequence, Time: m.time}
}

// Put stores an entry and returns its revision. The value must not change before. As with [Log.Append], the same
// call again settles [ErrUnknown]; with [Any] it may be stored a second time, over whatever came in between.
func (s *Store) Put(ctx context.Context, w Write) (revision uint64, err error) {
	if err := checkKey(w.Key); err != nil {
		return 0, err
	}
	b := s.stream.bus
	revision, err = s.stream.write(ctx, s.message(w))
	if errors.Is(err, ErrConflict) {
		revision, err = s.settle(ctx, w, err)
	}
	b.counts.puts.add(err)
	return revision, err
}

// message is how an entry is stored.
func (s *Store) message(w Write) *nats.Msg {
	m := &nats.Msg{Subject: s.subject(w.Key), Header: nats.Header{headWriter: {s.stream.bus.writer}}, Data: w.Value}
	if w.Last != Any {
		m.Header[headLastSubject] = []string{strconv.FormatUint(w.Last, 10)}
	}
	return m
}

// settle tells whether a key has the entry that was to be stored.
func (s *Store) settle(ctx context.Context, w Write, conflict error) (uint64, error) {
	m, err := s.get(ctx, w.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, conflict
	case err != nil:
		return 0, because(ErrUnknown, err)
	case m.header.Get(headWriter) == s.stream.bus.writer && m.header.Get(headLastSubject) == strconv.FormatUint(w.Last, 10) && bytes.Equal(m.data, w.Value):
		return m.sequence, nil
	}
	return 0, conflict
}

// WriteAll stores up to [MaxWrites] entries of different keys: all, or with an error none, and nobody sees some of them. It
// returns the revision of the first; the others have the following ones. The same call again settles [ErrUnknown], if one of the entries
// has a Last; without any they may be stored a second time.
func (s *Store) WriteAll(ctx context.Context, writes []Write) (first uint64, err error) {
	first, err = s.writeAll(ctx, writes)
	if errors.Is(err, ErrConflict) {
		first, err = s.settleAll(ctx, writes, err)
	}
	s.stream.bus.counts.batches.add(err)
	return first, err
}

func (s *Store) writeAll(ctx context.Context, writes []Write) (first uint64, err error) {
	if len(writes) == 0 {
		return 0, nil
	}
	size := 0
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return 0, err
		}
		if len(w.Value) > MaxData {
			return 0, fmt.Errorf("%w: the value of %s has %d bytes, and at most %d can be stored", ErrTooLarge, w.Key, len(w.Value), MaxData)
		}
		size += len(w.Key) + len(w.Value)
	}
	if len(writes) > MaxWrites || size > MaxWriteBytes {
		return 0, fmt.Errorf("%w: %d writes of %d bytes, and at most %d of %d can be stored at once", ErrTooLarge, len(writes), size, MaxWrites, MaxWriteBytes)
	}
	b := s.stream.bus
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	batch := rand.Text()
	for i, w := range writes {
		m := s.message(w)
		m.Header["Nats-Batch-Id"] = []string{batch}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		if i < len(writes)-1 {
			if err := b.conn.PublishMsg(m); err != nil {
				return 0, because(ErrDown, err) // without its end a batch is nothing
			}
			b.written.Add(sizeOf(m))
			continue
		}
		m.Header["Nats-Batch-Commit"] = []string{"1"}
		if first, err = s.stream.write(ctx, m); err != nil {
			return 0, err
		}
	}
	return first + 1 - uint64(len(writes)), nil
}

// settleAll tells whether entries that were to be stored at once are: all are if one is.
func (s *Store) settleAll(ctx context.Context, writes []Write, conflict error) (uint64, error) {
	for i, w := range writes {
		if w.Last != Any {
			revision, err := s.settle(ctx, w, conflict)
			return revision - uint64(i), err
		}
	}
	return 0, conflict
}

// deleted is the answer to a removal.
type deleted struct {
	Error *apiError `json:"error"`
}

// Delete removes the entry of a key if it has the revision last. With [ErrConflict] it has another one, or there is
// none. The revision of a removal is none of its own: a key that is stored anew goes on from 0.
func (s *Store) Delete(ctx context.Context, key string, last uint64) error {
	return s.remove(ctx, key, last, false)
}

// Erase is Delete, and overwrites on the disk what was stored. That takes longer.
func (s *Store) Erase(ctx context.Context, key string, last uint64) error {
	return s.remove(ctx, key, last, true)
}

func (s *Store) remove(ctx context.Context, key string, last uint64, erase bool) error {
	err := s.delete(ctx, key, last, erase)
	s.stream.bus.counts.deletes.add(err)
	return err
}

func (s *Store) delete(ctx context.Context, key string, last uint64, erase bool) error {
	if err := checkKey(key); err != nil {
		return err
	}
	m, err := s.get(ctx, key)
	if errors.Is(err, ErrNotFound) || err == nil && m.sequence != last {
		return ErrConflict
	}
	if err != nil {
		return err
	}
	// Only the latest message of a key is there, so what has the sequence is the latest, or gone.
	b := s.stream.bus
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	question := fmt.Appendf(nil, `{"seq":%d,"no_erase":%t}`, last, !erase)
	began := time.Now()
	answer, err := b.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+s.stream.name, question)
	err = asked(err)
	s.stream.heard(!errors.Is(err, ErrUnknown), began)
	if err != nil {
		return err
	}
	var d deleted
	if err := json.Unmarshal(answer.Data, &d); err != nil {
		return because(ErrUnknown, err)
	}
	if d.Error == nil {
		return nil
	}
	if d.Error.ErrCode == codeNoMessage || d.Error.ErrCode == codeDeleteFailed {
		return because(ErrConflict, d.Error)
	}
	return because(refusal(d.Error.ErrCode), d.Error)
}

// List returns up to limit entries whose keys begin with the tokens of prefix ("a.b" has "a.b.c", not "a.bc" or
// "a.b"; "" has all), with revisions after a given one, in the order of revisions, and whether there are more. To go on, pass the revision
// of the last one. A key that is stored anew meanwhile comes again, later; none is missed. A page may be shorter
// than limit if values are large.
func (s *Store) List(ctx context.Context, prefix string, after uint64, limit int) (list []Entry, more bool, err error) {
	subject := s.stream.subject
	if prefix != "" {
		if err := checkKey(prefix); err != nil {
			return nil, false, err
		}
		subject += "." + prefix
	}
	messages, more, err := s.stream.bus.page(ctx, s.stream, get{Sequence: after + 1, Next: subject + ".>", Batch: min(max(limit, 1), MaxWrites)})
	if err != nil {
		return nil, false, err
	}
	for _, m := range messages {
		list = append(list, s.entry(m))
	}
	return list, more, nil
}

// Drop removes the store and all of its entries. It must not be used any more.
func (s *Store) Drop(ctx context.Context) error { return s.stream.drop(ctx) }
