package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// Bounds of a group: what is committed by one record.
const (
	maxGroup      = 512
	maxGroupBytes = 512 << 10 // unless one commit alone has more
)

// How long the committer waits before it asks again whether a group is stored, doubling.
const (
	firstAsk = 20 * time.Millisecond
	lastAsk  = 2 * time.Second
)

// commitAll is the committer: one group after the other, until the keeper ends.
func (k *Keeper) commitAll() {
	var record []byte
	for {
		select {
		case <-k.wake:
		case <-k.ended.Done():
			k.mu.Lock()
			k.abandon(unavailable(errors.New("the keeper ends")))
			k.mu.Unlock()
			return
		}
		for {
			k.gather()
			group := k.group()
			if len(group) == 0 {
				break
			}
			commits := make([]*durable.Commit, len(group))
			for i, p := range group {
				commits[i] = p.commit
			}
			record = encodeRecord(record[:0], commits)
			k.store(group, record)
			if cap(record) > 2*maxGroupBytes {
				record = nil
			}
		}
	}
}

// gather waits for those who are about to commit: goroutines that are ready to run. Whoever wakes the
// committer is followed by it at once, so that without this each group would be of one, and each costs a sync.
// With 100 topics on one core it makes groups of 90, and five times as many commits a second.
func (k *Keeper) gather() {
	const rounds = 2 // of all that is ready, without a further commit
	most := 0
	for still := 0; still < rounds && most < maxGroup; runtime.Gosched() {
		k.mu.Lock()
		n := len(k.queue)
		k.mu.Unlock()
		if n > most {
			most, still = n, 0
		} else {
			still++
		}
	}
}

// group takes the commits of the next group from the queue.
func (k *Keeper) group() (group []*pending) {
	k.mu.Lock()
	defer k.mu.Unlock()
	bytes, n := 0, 0
	for _, p := range k.queue {
		if !p.settled {
			if len(group) == maxGroup || len(group) > 0 && bytes+p.bytes > maxGroupBytes {
				break
			}
			p.grouped = true
			k.number(p.commit)
			bytes += p.bytes
			group = append(group, p)
		}
		n++
	}
	if n == len(k.queue) {
		clear(k.queue)
		k.queue = k.queue[:0]
	} else {
		k.queue = append(k.queue[:0], k.queue[n:]...)
	}
	return group
}

// store appends the record of a group, and tells those who wait.
func (k *Keeper) store(group []*pending, record []byte) {
	sequence, err := k.append(record)
	var posted []durable.Actor
	k.mu.Lock()
	k.doubt = nil
	if err == nil {
		k.last = sequence
		k.length += int64(len(record))
		for _, p := range group {
			posted = append(posted, k.apply(p.commit, sequence)...)
		}
		k.counts.groups.Add(1)
	}
	for _, p := range group {
		k.numbered(p.commit, err == nil)
		k.settle(p, err)
	}
	behind := k.bytes >= k.options.CheckpointBytes || k.length >= minLog && !k.held() || errors.Is(err, durable.ErrFull)
	k.mu.Unlock()
	if behind {
		kick(k.full)
	}
	if k.options.Posted != nil {
		for _, a := range posted {
			k.options.Posted(a)
		}
	}
}

// append stores a record. It returns when that is known, or the keeper ends, and then an error means that it is not stored.
func (k *Keeper) append(record []byte) (sequence uint64, err error) {
	sequence, err = k.records.Append(context.Background(), k.last, record)
	for wait := firstAsk; errors.Is(err, bus.ErrUnknown); wait = min(2*wait, lastAsk) {
		k.question(err)
		if !k.sleep(wait) {
			return 0, unavailable(err)
		}
		sequence, err = k.ask(record, err)
	}
	if k.doubt != nil {
		k.fail(nil)
	}
	switch {
	case err == nil:
		return sequence, nil
	case errors.Is(err, bus.ErrConflict):
		return 0, k.die(fmt.Errorf("somebody else writes the log of this node, %s: %w", k.options.Node, err))
	case errors.Is(err, bus.ErrDamaged), errors.Is(err, bus.ErrUnfit):
		return 0, k.die(err)
	case errors.Is(err, bus.ErrFull):
		return 0, fmt.Errorf("%w: %w", durable.ErrFull, err)
	case errors.Is(err, bus.ErrTooLarge):
		return 0, fmt.Errorf("%w: %w", durable.ErrTooLarge, err)
	}
	return 0, unavailable(err)
}

// ask appends a record again of which it is not known whether it is stored. It remains so unless the bus says for sure.
func (k *Keeper) ask(record []byte, before error) (sequence uint64, err error) {
	sequence, err = k.records.Append(context.Background(), k.last, record)
	switch {
	case err == nil, errors.Is(err, bus.ErrUnknown), errors.Is(err, bus.ErrConflict), errors.Is(err, bus.ErrDamaged):
		return sequence, err
	case errors.Is(err, bus.ErrFull): // there is no room for it now; before there may have been
		if _, missing := k.records.Get(context.Background(), k.last+1); errors.Is(missing, bus.ErrNotFound) {
			return 0, err
		}
	}
	return 0, before
}

// question says that the outcome of a group is not known. Nothing is committed before it is; those who ask get an error at once.
func (k *Keeper) question(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.doubt != nil || k.dead != nil {
		return
	}
	k.doubt = unavailable(fmt.Errorf("it is not known whether the last commits are stored: %w", cause))
	k.fail(k.doubt)
	k.abandon(k.doubt)
}
