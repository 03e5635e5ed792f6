package process

import (
	"bytes"
	"time"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/durable"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Messages between durable actors are posts: they are stored with the event that sends them, and go away with the
// event that they become. So each comes once, whatever happens in between.

// nextPost makes an event of the post that has waited for longest.
func (b *body) nextPost() (e abi.Event, ok bool) {
	m := b.memory
	if m == nil {
		return abi.Event{}, false
	}
	first, more := firstOf(m.keeper.Posts(m.actor))
	if first == nil {
		return abi.Event{}, false
	}
	id := first.ID.String()
	m.next = source{id: id, post: first.ID}
	if cause, tired := b.home.tries.tired(m.actor, id); tired {
		aside := *first
		aside.Aside = &durable.Aside{Event: id, At: time.Now(), Cause: cause}
		if b.setAside(aside) != nil {
			b.process.PostAfter(asideAgain, postsWait{})
		} else if more {
			_ = b.process.Post(postsWait{})
		}
		return abi.Event{}, false
	}
	if more {
		_ = b.process.Post(postsWait{})
	}
	return abi.Event{Kind: abi.Kind(first.Kind), Flags: binaryFlag(first.Binary), Payload: first.Payload}, true
}

// firstOf returns the post that has waited for longest, if any waits, and whether more do. Others were set aside.
func firstOf(posts []durable.Post) (first *durable.Post, more bool) {
	for i := range posts {
		switch {
		case posts[i].Aside != nil:
		case first != nil:
			return first, true
		default:
			first = &posts[i]
		}
	}
	return first, false
}

// awaited reports whether posts wait for an actor.
func awaited(k durable.Keeper, a durable.Actor) bool {
	first, _ := firstOf(k.Posts(a))
	return first != nil
}

// sendLater sends a message when the event at hand is stored. To a durable actor it is stored as well, and comes once.
func (b *body) sendLater(to peer, kind abi.Kind, o *abi.Effect) error {
	m := b.memory
	isBinary := o.Flags&abi.Binary != 0
	if p := to.here(); p != nil {
		if a, durably := durableOf(p); durably {
			m.posts = append(m.posts, durable.Post{
				ID: durable.PostID{Born: m.born, Revision: m.revision + 1, Index: uint32(len(m.posts))},
				To: a, From: pidOf(b.process), Kind: uint16(kind), Binary: isBinary, Payload: bytes.Clone(o.Payload),
			})
			return nil
		}
	}
	send, err := ask.Later(to, b.home.App, b.process, kind, o.Payload, isBinary)
	if err != nil {
		return err
	}
	m.later = append(m.later, func() {
		if err := send(); err != nil {
			b.home.complain(m.actor, "a message of a durable actor has not come to its receiver, which is not durable", err)
		}
	})
	return nil
}

// durableOf names the durable actor whose process p is, if it is one.
func durableOf(p *supervisor.Process) (a durable.Actor, is bool) {
	switch actor := p.Actor().(type) {
	case *Worker:
		if actor.durable.Load() { // though it may be about to wake
			return actor.actor(), true
		}
	case *channels.SharedChannel:
		if actor.Remembered() {
			plugin, topic := actor.Handles()
			return durable.Actor{Plugin: plugin.Name(), Kind: durable.Topic, Name: topic}, true
		}
	}
	return durable.Actor{}, false
}

// Posted has a durable actor take the posts that wait for it. A process that is not there takes them when it begins.
func (h *Home) Posted(a durable.Actor) {
	if k, err := h.Node.Keeper(); err != nil || !awaited(k, a) {
		return // what there is was set aside
	}
	switch a.Kind {
	case durable.Topic:
		_ = h.Node.Endpoint.Wake(h.App, a.Name, postsWait{}) // or the plugin ends
	case durable.Process:
		if p := h.Names.Whereis(a.Name); p != nil {
			_ = p.Post(postsWait{})
		}
	}
}

// Due wakes a durable actor, one of whose timers is due.
func (h *Home) Due(a durable.Actor) {
	if a.Kind == durable.Topic {
		_ = h.Node.Endpoint.Wake(h.App, a.Name, nil) // or the plugin ends
	}
}
