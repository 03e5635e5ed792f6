package store

import (
	"context"
	"fmt"

	"rtd/host/durable"
)

// pending is a commit on its way.
type pending struct {
	commit *durable.Commit
	actor  *actor   // nil: it has broadcasts alone
	others []*actor // that it has posts for
	bytes  int      // about, in a record
	known  chan struct{}
	err    error // once known is closed

	grows   int64            // bytes that are reserved in the actor's plugin
	sends   map[string]int64 // those for posts, by plugin
	grouped bool             // the committer has it
	settled bool
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
	if c.Actor == (durable.Actor{}) {
		return p, k.submitSaid(p)
	}
	a, err := k.take(ctx, c.Actor, true, removesNothing(c))
	if err != nil {
		return nil, err
	}
	p.actor = a
	for i := range c.Posts {
		if to := c.Posts[i].To; to != c.Actor {
			b, err := k.take(ctx, to, false, false)
			if err != nil {
				k.mu.Lock()
				k.release(p)
				k.mu.Unlock()
				return nil, err
			}
			p.others = append(p.others, b)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.admit(p); err != nil {
		k.release(p)
		return nil, err
	}
	a.committing = p.known
	k.queue = append(k.queue, p)
	kick(k.wake)
	return p, nil
}

// check looks at a commit by itself, and returns how large its record is, about.
func (k *Keeper) check(c *durable.Commit) (bytes int, err error) {
	if c.Actor == (durable.Actor{}) && c.State == nil && len(c.Said) > 0 && len(c.Posts)+len(c.Took) == 0 {
		return checkSaid(c, 0)
	}
	if err := checkActor(c.Actor); err != nil {
		return 0, err
	}
	bytes = 2*overhead + len(c.Actor.Plugin) + len(c.Actor.Name) + 24*len(c.Took)
	if s := c.State; s != nil {
		if n := len(s.Guest) + len(s.Held); n > k.options.MaxState {
			return 0, fmt.Errorf("%w: %d bytes, and at most %d are kept", durable.ErrTooLarge, n, k.options.MaxState)
		}
		if n := max(len(s.Version), len(s.Snapshot)); n > maxUse {
			return 0, fmt.Errorf("%w: the name of a version or snapshot has %d bytes, and at most %d are kept", durable.ErrTooLarge, n, maxUse)
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
	return checkSaid(c, bytes)
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
	c, a := p.commit, p.actor
	if err := k.refuses(c.Actor); err != nil && c.State != nil {
		return err
	}
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
	if err := k.opened(c); err != nil {
		return err
	}
	grows := max(0, stateBytes(c.Actor, c.State)-a.bytes)
	takes := a.bytesOf(c.Took)
	var sends map[string]int64
	for i := range c.Posts {
		post := &c.Posts[i]
		if sends == nil {
			sends = map[string]int64{}
		}
		sends[post.To.Plugin] += int64(postBytes(post))
		if err := k.queueHas(c, post.To, takes); err != nil {
			return err
		}
	}
	if err := k.busHas(c, grows > 0 || len(sends)+len(c.Said) > 0); err != nil {
		return err
	}
	if err := k.pluginHas(c.Actor.Plugin, max(0, grows+sends[c.Actor.Plugin]-takes)); err != nil {
		return err
	}
	for plugin, n := range sends {
		if plugin != c.Actor.Plugin {
			if err := k.pluginHas(plugin, n); err != nil {
				return err
			}
		}
	}
	p.grows, p.sends = grows, sends
	k.reserve(p, 1)
	k.pin(c, 1)
	return nil
}

// busHas checks that the bus has room for a commit. The last 16th is for what does not grow, and half of it for removing and for
// checkpoints, which need room before they make some.
func (k *Keeper) busHas(c *durable.Commit, grows bool) error {
	if c.State == nil && len(c.Posts)+len(c.Said) == 0 {
		return nil
	}
	room, limit := k.bus.Room()
	if limit == 0 {
		return nil
	}
	room -= 2 * k.bytes
	spare := limit / 16
	if room >= spare || !grows && room >= spare/2 {
		return nil
	}
	kick(k.full)
	return fmt.Errorf("%w: of the %d bytes of the bus (max_bytes) hardly any is left; what is left is for removing: rtd state reset", durable.ErrFull, limit)
}

// reserve notes the bytes that a commit may add, or with sign -1 does so no longer.
func (k *Keeper) reserve(p *pending, sign int64) {
	if p.grows > 0 {
		k.pluginOf(p.commit.Actor.Plugin).reserved += sign * p.grows
	}
	for plugin, n := range p.sends {
		k.pluginOf(plugin).reserved += sign * n
	}
}

// queueHas checks that there is room for the posts of a commit for an actor. takes is the bytes of those that it consumes.
func (k *Keeper) queueHas(c *durable.Commit, to durable.Actor, takes int64) error {
	n := k.actors[to].waiting()
	if to == c.Actor {
		n -= takes
	}
	for i := range c.Posts {
		if c.Posts[i].To == to {
			n += int64(postBytes(&c.Posts[i]))
		}
	}
	if n > maxQueue {
		return fmt.Errorf("%w: for %v wait %d bytes of posts, with the new ones, and at most %d may", durable.ErrFull, to, n, maxQueue)
	}
	return nil
}

// pluginHas checks that a plugin has room for more bytes.
func (k *Keeper) pluginHas(name string, more int64) error {
	if more == 0 || k.options.Room == nil {
		return nil
	}
	p := k.pluginOf(name)
	if most := k.options.Room(name); most > 0 && p.bytes+p.reserved+more > most {
		return fmt.Errorf("%w: states of %s would have %d bytes, and may have %d", durable.ErrFull, name, p.bytes+p.reserved+more, most)
	}
	return nil
}

// release lets go of the actors of a commit, which is stored, or not, or was never admitted.
func (k *Keeper) release(p *pending) {
	if p.actor == nil {
		return
	}
	k.reserve(p, -1)
	p.grows, p.sends = 0, nil
	p.actor.users--
	k.rest(p.actor)
	for _, a := range p.others {
		a.users--
		k.rest(a)
	}
}

// settle ends a commit: it is stored, or with an error it is not.
func (k *Keeper) settle(p *pending, err error) {
	if p.actor != nil {
		p.actor.committing = nil
	}
	k.pin(p.commit, -1)
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
