package store

import (
	"context"
	"fmt"

	"rtd/host/durable"
)

// pending is a commit on its way.
type pending struct {
	commit *durable.Commit
	actors []*actor // the one, and those that it has posts for
	bytes  int      // about, in a record
	known  chan struct{}
	err    error // once known is closed

	reserved map[string]int64 // bytes, by plugin
	grouped  bool             // the committer has it
	settled  bool
}

// Commit implements [durable.Keeper].
func (k *Keeper) Commit(ctx context.Context, c *durable.Commit) error {
	p, err := k.submit(ctx, c)
	if err != nil {
		k.counts.failures.Add(1)
		return err
	}
	select {
	case <-p.known:
	case <-ctx.Done():
		k.withdraw(p, fmt.Errorf("%w: %w", durable.ErrUnavailable, ctx.Err()))
		return fmt.Errorf("%w: %w", durable.ErrUnavailable, ctx.Err())
	}
	return p.err
}

// submit checks a commit and puts it into the queue.
func (k *Keeper) submit(ctx context.Context, c *durable.Commit) (*pending, error) {
	if err := k.Err(); err != nil {
		return nil, err
	}
	p := &pending{commit: c, known: make(chan struct{})}
	var err error
	if p.bytes, err = k.check(c); err != nil {
		return nil, err
	}
	if err := k.room(ctx); err != nil {
		return nil, err
	}
	a, err := k.take(ctx, c.Actor, true, removesNothing(c))
	if err != nil {
		return nil, err
	}
	p.actors = append(p.actors, a)
	for i := range c.Posts {
		if to := c.Posts[i].To; to != c.Actor {
			b, err := k.take(ctx, to, false, false)
			if err != nil {
				k.mu.Lock()
				k.release(p)
				k.mu.Unlock()
				return nil, err
			}
			p.actors = append(p.actors, b)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.admit(p); err != nil {
		k.release(p)
		return nil, err
	}
	a.committing = make(chan struct{})
	k.queue = append(k.queue, p)
	kick(k.wake)
	return p, nil
}

// check looks at a commit by itself, and returns how large its record is, about.
func (k *Keeper) check(c *durable.Commit) (bytes int, err error) {
	if err := checkActor(c.Actor); err != nil {
		return 0, err
	}
	bytes = 2*overhead + len(c.Actor.Plugin) + len(c.Actor.Name) + 20*len(c.Took)
	if s := c.State; s != nil {
		if n := len(s.Guest) + len(s.Held); n > k.options.MaxState {
			return 0, fmt.Errorf("%w: %d bytes, and at most %d are kept", durable.ErrTooLarge, n, k.options.MaxState)
		}
		if s.Revision != c.Last+1 || s.Revision == 0 {
			return 0, fmt.Errorf("%w: a state of revision %d cannot follow revision %d", durable.ErrConflict, s.Revision, c.Last)
		}
		bytes += len(s.Guest) + len(s.Held) + len(s.Version) + len(s.Snapshot)
	}
	for i := range c.Posts {
		if err := checkActor(c.Posts[i].To); err != nil {
			return 0, err
		}
		bytes += postBytes(&c.Posts[i])
	}
	if bytes > maxCommit {
		return 0, fmt.Errorf("%w: state and posts have %d bytes, and at most %d are kept at once", durable.ErrTooLarge, bytes, maxCommit)
	}
	return bytes, nil
}

func checkActor(a durable.Actor) error {
	switch {
	case a.Kind != durable.Topic && a.Kind != durable.Process, a.Plugin == "", a.Name == "":
		return fmt.Errorf("%w: %v names no actor", durable.ErrNone, a)
	case len(a.Plugin) > maxName || len(a.Name) > maxName:
		return fmt.Errorf("%w: the name of an actor has %d bytes, and at most %d are kept", durable.ErrTooLarge, max(len(a.Plugin), len(a.Name)), maxName)
	}
	return nil
}

// room waits until checkpoints have caught up.
func (k *Keeper) room(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.dead == nil && (k.bytes >= 4*k.options.CheckpointBytes || k.length >= maxLog) {
		free := k.free
		kick(k.full)
		k.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
		}
		k.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("%w: checkpoints are behind: %w", durable.ErrUnavailable, ctx.Err())
		}
	}
	return k.dead
}

// admit checks a commit against the others, and reserves its bytes.
func (k *Keeper) admit(p *pending) error {
	c, a := p.commit, p.actors[0]
	switch {
	case k.dead != nil:
		return k.dead
	case k.doubt != nil:
		return k.doubt
	case a.committing != nil:
		return fmt.Errorf("%w: another commit of %v is under way", durable.ErrConflict, c.Actor)
	case a.revision != c.Last:
		return fmt.Errorf("%w: %v is at revision %d, not %d", durable.ErrConflict, c.Actor, a.revision, c.Last)
	}
	more := map[string]int64{}
	if grows := stateBytes(c.Actor, c.State) - a.bytes; grows > 0 {
		more[c.Actor.Plugin] = grows
	}
	queues := map[durable.Actor]int64{}
	for i := range c.Posts {
		post := &c.Posts[i]
		n := int64(postBytes(post))
		more[post.To.Plugin] += n
		queues[post.To] += n
	}
	for to, n := range queues {
		if n += k.actors[to].waiting(); n > maxQueue {
			return fmt.Errorf("%w: %v has not consumed %d bytes of posts, and at most %d may wait", durable.ErrFull, to, n, maxQueue)
		}
	}
	if k.tight && len(more) > 0 {
		return fmt.Errorf("%w: the bus is nearly full, and what is left is for what was stored already", durable.ErrFull)
	}
	if k.options.Room != nil {
		for plugin, n := range more {
			has := k.pluginOf(plugin)
			if most := k.options.Room(plugin); most > 0 && has.bytes+has.reserved+n > most {
				return fmt.Errorf("%w: states of %s have %d bytes, and may have %d", durable.ErrFull, plugin, has.bytes+n, most)
			}
		}
	}
	for plugin, n := range more {
		k.pluginOf(plugin).reserved += n
	}
	p.reserved = more
	return nil
}

// release lets go of the actors of a commit, which is stored, or not, or was never admitted.
func (k *Keeper) release(p *pending) {
	for plugin, n := range p.reserved {
		k.pluginOf(plugin).reserved -= n
	}
	for _, a := range p.actors {
		a.users--
		k.rest(a)
	}
}

// settle ends a commit: it is stored, or with an error it is not.
func (k *Keeper) settle(p *pending, err error) {
	a := p.actors[0]
	close(a.committing)
	a.committing = nil
	k.release(p)
	p.err, p.settled = err, true
	close(p.known)
	if err == nil {
		k.counts.commits.Add(1)
	} else {
		k.counts.failures.Add(1)
	}
}

// withdraw takes a commit out of the queue that nobody waits for any more, if it is still there.
func (k *Keeper) withdraw(p *pending, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !p.grouped && !p.settled {
		k.settle(p, err)
	}
}

// abandon ends what is in the queue.
func (k *Keeper) abandon(err error) {
	for _, p := range k.queue {
		if !p.settled {
			k.settle(p, err)
		}
	}
	k.queue = nil
}
