package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Log is a sequence of records. They are numbered from 1 on without gaps, however many are purged at the
// beginning. Who appends says which record is the last one, so that two can never both go on from the same one.
type Log struct{ stream *stream }

// Record is one record of a [Log]. Data is the reader's.
type Record struct {
	Sequence uint64
	Time     time.Time // of the server that stored it
	Data     []byte
}

// Log opens the log of a name, which is made if there is none: 1 to 64 letters, digits, - and _.
func (b *Bus) Log(ctx context.Context, name string) (*Log, error) {
	s, err := b.open(ctx, kindLog, name)
	if err != nil {
		return nil, err
	}
	return &Log{s}, nil
}

// Logs returns the names of the logs that there are, in order.
func (b *Bus) Logs(ctx context.Context) ([]string, error) { return b.list(ctx, kindLog) }

// Append stores a record behind the one with the sequence last, 0 if it is the first one ever, and returns its
// sequence, which is last + 1. When it returns, the record is on the disk (see [Options].SyncEvery). data must not
// change before.
//
// After [ErrUnknown], the same call again settles whether the record is stored: it stores it, or finds that it has been. That is
// known by this Bus and the bytes, so two appends at one place must differ. [ErrConflict], [ErrFull], [ErrTooLarge]
// and [ErrDown] of a first call say that it is not stored, and that nobody will store it later.
func (l *Log) Append(ctx context.Context, last uint64, data []byte) (sequence uint64, err error) {
	b := l.stream.bus
	sequence, err = l.stream.write(ctx, &nats.Msg{
		Subject: l.stream.subject,
		Header:  nats.Header{headLast: {strconv.FormatUint(last, 10)}, headWriter: {b.writer}},
		Data:    data,
	})
	if errors.Is(err, ErrConflict) {
		sequence, err = l.settle(ctx, last, data, err)
	}
	b.counts.appends.add(err)
	return sequence, err
}

// settle tells whether the record that is behind last is the one that was to be stored there.
func (l *Log) settle(ctx context.Context, last uint64, data []byte, conflict error) (uint64, error) {
	m, err := l.stream.bus.one(ctx, l.stream, get{Sequence: last + 1})
	switch {
	case errors.Is(err, ErrNotFound): // purged, so it was somebody else's, or there is none
		if _, _, err := l.Bounds(ctx); err != nil {
			return 0, because(ErrUnknown, err)
		}
		return 0, conflict
	case err != nil:
		return 0, because(ErrUnknown, err)
	case m.header.Get(headWriter) == l.stream.bus.writer && bytes.Equal(m.data, data):
		return m.sequence, nil
	}
	return 0, conflict
}

// Bounds returns the sequences of the first and the last record that there are. With none, first is last + 1, and
// last that of the last one ever.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, done, err := l.stream.bus.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	before := l.stream.height.Load()
	info, err := l.stream.handle.Info(ctx)
	if err != nil {
		return 0, 0, managed(err)
	}
	first, last = info.State.FirstSeq, info.State.LastSeq
	if info.State.Msgs == 0 {
		first = last + 1
	}
	if err := l.stream.at(last, before); err != nil {
		return 0, 0, err
	}
	return first, last, nil
}

// Get returns one record. The error is [ErrNotFound] if there is none, be it purged or not yet written.
func (l *Log) Get(ctx context.Context, sequence uint64) (Record, error) {
	m, err := l.stream.bus.one(ctx, l.stream, get{Sequence: sequence})
	if err != nil {
		return Record{}, err
	}
	return Record{m.sequence, m.time, m.data}, nil
}

// readPage is how many records Read asks for at a time, at most.
const readPage = 256

// Read returns the records from a sequence on, in order, up to the one that is the last when it begins. One that is missing, though it was
// not purged, comes with its sequence and the error [ErrDamaged]; those behind it follow. Any other error is the end: [ErrGone] if one has
// been purged.
func (l *Log) Read(ctx context.Context, from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		_, last, err := l.Bounds(ctx)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for next := max(from, 1); next <= last; {
			list, _, err := l.stream.bus.page(ctx, l.stream, get{Sequence: next, Batch: readPage})
			if err == nil && (len(list) == 0 || list[0].sequence != next) {
				err = l.missing(ctx, next)
			}
			if errors.Is(err, ErrDamaged) {
				there := last + 1
				if len(list) > 0 {
					there = list[0].sequence
				}
				for ; next < min(there, last+1); next++ {
					if !yield(Record{Sequence: next}, fmt.Errorf("%w: record %d is missing", ErrDamaged, next)) {
						return
					}
				}
			} else if err != nil {
				yield(Record{}, err)
				return
			}
			for _, m := range list {
				if m.sequence != next || next > last {
					break // missing, which the next page tells; or written meanwhile
				}
				if !yield(Record{m.sequence, m.time, m.data}, nil) {
					return
				}
				next++
			}
		}
	}
}

// missing says why a record is not there.
func (l *Log) missing(ctx context.Context, sequence uint64) error {
	first, _, err := l.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case sequence < first:
		return fmt.Errorf("%w: record %d; the first one is %d", ErrGone, sequence, first)
	}
	return fmt.Errorf("%w: record %d is missing", ErrDamaged, sequence)
}

// Purge removes the records up to a sequence, that one included. It is done by the time it returns, and has no effect the
// second time.
func (l *Log) Purge(ctx context.Context, through uint64) error {
	ctx, done, err := l.stream.bus.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = managed(l.stream.handle.Purge(ctx, jetstream.WithPurgeSequence(through+1)))
	l.stream.bus.removed()
	return err
}

// Drop removes the log and all of its records. It must not be used any more.
func (l *Log) Drop(ctx context.Context) error { return l.stream.drop(ctx) }
