package store

import (
	"context"
	"errors"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// How often all topics are looked at, whether they have expired, and the rest after some leaves.
const (
	sweepEvery = 10 * time.Minute
	sweepSome  = 500
	sweepRest  = 50 * time.Millisecond
)

// expireAll removes topics that were not committed for long, until the keeper ends.
func (k *Keeper) expireAll() {
	if k.options.Keep == nil {
		return
	}
	for k.sleep(sweepEvery) {
		if _, err := k.expire(k.ended, sweepRest); err != nil && k.ended.Err() == nil {
			k.log.Warn("not all topics were looked at whether they have expired; it is tried again", "cause", err)
		}
	}
}

// Expire removes the topics that have expired (see Options.Keep), and returns how many. The keeper does so by itself, too.
func (k *Keeper) Expire(ctx context.Context) (n int, err error) { return k.expire(ctx, 0) }

func (k *Keeper) expire(ctx context.Context, rest time.Duration) (n int, err error) {
	if err := k.ready(); err != nil || k.options.Keep == nil {
		return 0, err
	}
	var expired []*durable.Commit
	keep := map[string]time.Duration{}
	now := time.Now()
	leaves := 0
	err = k.eachLeaf(ctx, leafPrefix, func(_ bus.Entry, l *leaf, err error) error {
		if leaves++; rest > 0 && leaves%sweepSome == 0 && !k.sleep(rest) {
			return ctx.Err()
		}
		if err != nil || l.kind != durable.Topic {
			return nil
		}
		after, known := keep[l.plugin]
		if !known {
			after = k.options.Keep(l.plugin)
			keep[l.plugin] = after
		}
		for i := range l.entries {
			e := &l.entries[i]
			if after > 0 && e.state != nil && e.state.Due.IsZero() && len(e.posts) == 0 && now.Sub(e.state.At) > after {
				expired = append(expired, &durable.Commit{Actor: durable.Actor{Plugin: l.plugin, Kind: l.kind, Name: e.name}, Last: e.state.Revision})
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, c := range expired {
		if k.options.Busy != nil && k.options.Busy(c.Actor) {
			continue
		}
		switch err := k.Commit(ctx, c); {
		case err == nil:
			n++
			k.counts.expired.Add(1)
		case !errors.Is(err, durable.ErrConflict): // that one was committed meanwhile
			return n, err
		}
	}
	return n, nil
}
