package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unique"

	"rtd/host/durable"
)

// actor is what is known of an actor in memory. The keeper's lock guards it.
type actor struct {
	name durable.Actor
	meta
	posts []durable.Post // that wait

	changed uint64         // sequence of the record that changed it last; 0: as stored in its leaf
	anew    bool           // the state has changed, not just the posts
	clear   bool           // what is lost in its leaf is to go
	state   *durable.State // the changed one; nil: it was removed
	weight  int64          // what it counts in Keeper.bytes

	users      int           // who needs it to stay in memory
	listed     bool          // in Keeper.idle
	reading    chan struct{} // closed when its leaf is read; nil: it is
	committing chan struct{} // closed when the outcome of its commit is known; nil: there is none
}

// meta is what is known of a stored state.
type meta struct {
	revision uint64 // 0: there is none
	bytes    int64
	use      unique.Handle[durable.Use]
}

// overhead is what an actor, or a post, counts in addition to its bytes in the room of a plugin.
const overhead = 64

func metaOf(name durable.Actor, s *durable.State) meta {
	if s == nil {
		return meta{}
	}
	return meta{s.Revision, stateBytes(name, s), unique.Make(durable.Use{Version: s.Version, Snapshot: s.Snapshot})}
}

func stateBytes(name durable.Actor, s *durable.State) int64 {
	if s == nil {
		return 0
	}
	return int64(len(name.Name)+len(s.Guest)+len(s.Held)) + overhead
}

func postBytes(p *durable.Post) int {
	n := len(p.To.Plugin) + len(p.To.Name) + len(p.From) + len(p.Payload) + overhead
	if p.Aside != nil {
		n += len(p.Aside.Event) + len(p.Aside.Cause)
	}
	return n
}

// plugin is what the keeper knows of the actors of a plugin.
type plugin struct {
	bytes    int64 // of states and posts, with those that are being committed
	actors   [durable.Process + 1]int
	uses     map[unique.Handle[durable.Use]]int
	waiting  int // posts
	reserved int64
}

func (k *Keeper) pluginOf(name string) *plugin {
	p := k.plugin[name]
	if p == nil {
		p = &plugin{uses: map[unique.Handle[durable.Use]]int{}}
		k.plugin[name] = p
	}
	return p
}

// count adds a stored state, or with sign -1 takes it away.
func (p *plugin) count(kind durable.Kind, m meta, sign int) {
	if m.revision == 0 {
		return
	}
	p.bytes += int64(sign) * m.bytes
	p.actors[kind] += sign
	if p.uses[m.use] += sign; p.uses[m.use] == 0 {
		delete(p.uses, m.use)
	}
}

// take returns what is known of an actor, which the caller lets go of with drop. It reads its leaf if need be. If settled, it waits for
// the outcome of a commit that is under way. Despite damage it goes on as if there were nothing.
func (k *Keeper) take(ctx context.Context, name durable.Actor, settled, despite bool) (*actor, error) {
	k.mu.Lock()
	for k.dead == nil {
		a := k.actors[name]
		if a == nil {
			a = &actor{name: name, users: 1, reading: make(chan struct{})}
			k.actors[name] = a
			k.mu.Unlock()
			return k.learn(ctx, a, despite)
		}
		wait := a.reading
		if wait == nil && settled {
			wait = a.committing
		}
		if wait == nil {
			a.users++
			k.mu.Unlock()
			return a, nil
		}
		k.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: a commit of %v has not ended: %w", durable.ErrUnavailable, name, ctx.Err())
		}
		k.mu.Lock()
	}
	defer k.mu.Unlock()
	return nil, k.dead
}

// learn reads the leaf of an actor. Despite damage it goes on as if there were nothing.
func (k *Keeper) learn(ctx context.Context, a *actor, despite bool) (*actor, error) {
	e, err := k.read(ctx, a.name)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(a.reading)
	a.reading = nil
	if err != nil && !(despite && errors.Is(err, durable.ErrDamaged)) {
		delete(k.actors, a.name)
		return nil, err
	}
	if e != nil {
		a.meta = metaOf(a.name, e.state)
	}
	return a, nil
}

// drop lets go of an actor.
func (k *Keeper) drop(a *actor) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a.users--
	k.rest(a)
}

// manyIdle is how many actors stay in memory that need not.
const manyIdle = 16 << 10

// rest puts an actor among those that may be forgotten, if it may.
func (k *Keeper) rest(a *actor) {
	if a.listed || !a.restful() {
		return
	}
	a.listed = true
	k.idle = append(k.idle, a)
	if len(k.idle) <= manyIdle {
		return
	}
	for _, old := range k.idle[:manyIdle/2] {
		if old.listed = false; old.restful() {
			delete(k.actors, old.name)
		}
	}
	k.idle = slices.Clone(k.idle[manyIdle/2:])
}

func (a *actor) restful() bool {
	return a.users == 0 && a.changed == 0 && len(a.posts) == 0
}

// apply does what a commit says. It is stored, in the record of a sequence. Those with new posts are returned.
func (k *Keeper) apply(c *durable.Commit, sequence uint64) (posted []durable.Actor) {
	for _, s := range c.Said {
		k.say(s)
	}
	if c.Actor == (durable.Actor{}) {
		return nil
	}
	a := k.actors[c.Actor]
	p := k.pluginOf(c.Actor.Plugin)
	if len(c.Took) > 0 {
		took := make(map[durable.PostID]bool, len(c.Took))
		for _, id := range c.Took {
			took[id] = true
		}
		k.remove(a, func(post *durable.Post) bool { return took[post.ID] })
	}
	p.count(c.Actor.Kind, a.meta, -1)
	a.meta = metaOf(c.Actor, c.State)
	p.count(c.Actor.Kind, a.meta, 1)
	a.anew, a.state = true, c.State
	a.clear = a.clear || removesNothing(c)
	if c.State == nil {
		k.remove(a, func(*durable.Post) bool { return true })
		k.alarms.set(c.Actor, noTime)
	} else {
		k.alarms.set(c.Actor, ringAt(c.State))
	}
	k.change(a, sequence)
	for i := range c.Posts {
		post := &c.Posts[i]
		to := k.actors[post.To]
		if slices.ContainsFunc(to.posts, func(old durable.Post) bool { return old.ID == post.ID }) {
			continue // the leaf has it already, and the log is read again
		}
		to.posts = append(to.posts, *post)
		k.pluginOf(post.To.Plugin).bytes += int64(postBytes(post))
		k.pluginOf(post.To.Plugin).waiting++
		k.change(to, sequence)
		if !slices.Contains(posted, post.To) {
			posted = append(posted, post.To)
		}
	}
	return posted
}

// removesNothing reports whether a commit removes an actor that has no state, or one that cannot be read: then it removes all in its leaf that
// cannot be read.
func removesNothing(c *durable.Commit) bool { return c.Last == 0 && c.State == nil }

// remove removes posts for an actor. The slice of those that wait is made anew, as others may have it.
func (k *Keeper) remove(a *actor, which func(*durable.Post) bool) {
	var rest []durable.Post
	p := k.pluginOf(a.name.Plugin)
	for i := range a.posts {
		if post := &a.posts[i]; which(post) {
			p.bytes -= int64(postBytes(post))
			p.waiting--
		} else {
			rest = append(rest, *post)
		}
	}
	a.posts = rest
}

// change notes that an actor is to be written at the next checkpoint.
func (k *Keeper) change(a *actor, sequence uint64) {
	if a.changed == 0 {
		k.dirty[a] = struct{}{}
	}
	a.changed = sequence
	k.bytes -= a.weight
	a.weight = 2*overhead + a.waiting()
	if a.anew {
		a.weight += stateBytes(a.name, a.state)
	}
	k.bytes += a.weight
}

// clean notes that an actor is stored in its leaf, as of a sequence.
func (k *Keeper) clean(a *actor, sequence uint64) {
	if a.changed != sequence {
		return
	}
	delete(k.dirty, a)
	k.bytes -= a.weight
	a.changed, a.weight, a.anew, a.clear, a.state = 0, 0, false, false, nil
	k.rest(a)
}

// bytesOf is how many bytes posts for the actor have, by their ids.
func (a *actor) bytesOf(ids []durable.PostID) (n int64) {
	for _, id := range ids {
		if i := slices.IndexFunc(a.posts, func(p durable.Post) bool { return p.ID == id }); i >= 0 {
			n += int64(postBytes(&a.posts[i]))
		}
	}
	return n
}

// waiting is how many bytes of posts wait for an actor.
func (a *actor) waiting() (n int64) {
	for i := range a.posts {
		n += int64(postBytes(&a.posts[i]))
	}
	return n
}
