package store

import (
	"context"
	"time"
)

// A history that is not durable any more may be so again. What was said meanwhile is stored nowhere, so that it goes on with another epoch then:
//
//	ReviewHistories ──► anew ──► nobody uses it ──► another epoch, with what is stored; or OpenHistory waits for that
//
// Why at once, and not when it is opened? A restart would have forgotten that it is to be.

// ReviewHistories implements [durable.Histories].
func (k *Keeper) ReviewHistories() {
	if k.options.Kept == nil {
		return
	}
	var topics []string
	k.mu.Lock()
	for topic, ps := range k.pasts {
		if !ps.gone && !ps.anew {
			topics = append(topics, topic)
		}
	}
	k.mu.Unlock()
	any := false
	for _, topic := range topics {
		if kept, known := k.options.Kept(topic); kept || !known {
			continue
		}
		k.mu.Lock()
		if ps := k.pasts[topic]; ps != nil && !ps.gone {
			ps.anew, any = true, true
		}
		k.mu.Unlock()
	}
	if any {
		kick(k.anew)
	}
}

// isAnew reports whether a history has to be renewed before it is opened.
func (k *Keeper) isAnew(topic string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	ps := k.pasts[topic]
	return ps != nil && ps.anew && !ps.gone
}

// renewAgain is how long one waits for who still uses a history, and renewLater for the bus.
const (
	renewAgain = 20 * time.Millisecond
	renewLater = time.Second
)

// renewAll gives the histories that were not kept other epochs, until the keeper ends.
func (k *Keeper) renewAll() {
	for k.ended.Err() == nil {
		select {
		case <-k.anew:
		case <-k.ended.Done():
			return
		}
		var topics []string
		k.mu.Lock()
		for topic, ps := range k.pasts {
			if ps.anew {
				topics = append(topics, topic)
			}
		}
		k.mu.Unlock()
		if len(topics) > 0 && k.renewThese(k.ended, topics) != nil && k.sleep(renewLater) {
			kick(k.anew) // the bus is away
		}
	}
}

// renewThese gives histories other epochs that were not kept for a while, and has that stored.
func (k *Keeper) renewThese(ctx context.Context, topics []string) error {
	for _, topic := range topics {
		if err := k.renewUnkept(ctx, topic); err != nil {
			return err
		}
	}
	return k.Checkpoint(ctx)
}

// renewUnkept gives the history of a topic another epoch if it was not kept for a while, as soon as nobody uses it any more.
func (k *Keeper) renewUnkept(ctx context.Context, topic string) error {
	for {
		k.mu.Lock()
		ps := k.pasts[topic]
		if ps == nil || !ps.anew || ps.gone {
			k.mu.Unlock()
			return nil
		}
		changed, used := ps.changed, ps.open > 0
		k.mu.Unlock()
		if !used {
			done, err := k.renewIf(ctx, ps, changed)
			if done || err != nil {
				return err
			}
		}
		select {
		case <-time.After(renewAgain):
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
	}
}

// renewIf gives a history another epoch, unless it is in use or has changed meanwhile.
func (k *Keeper) renewIf(ctx context.Context, ps *past, changed uint64) (done bool, err error) {
	p, err := k.readPast(ctx, ps)
	if err != nil {
		return false, err
	}
	k.checkpoints.Lock()
	defer k.checkpoints.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if ps.open > 0 || ps.changed != changed {
		return false, nil
	}
	k.beginAnew(ps, p)
	ps.anew = false
	return true, nil
}
