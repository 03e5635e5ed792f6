package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rtd/host/durable"
	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// A timer or post that a guest crashes at is tried again, and then set aside: it stays with the actor, in the keeper, until somebody
// decides.
//
//	event ──crash──► event ──crash──► set aside ──retry──► event ──stored──► gone
//	                                   ▲     │ └───drop───────────────────► gone
//	                                   └─────┴──crash──┘
//
// Each arrow to another place is a commit of the actor. So whatever ends in between, the item is in one of them.

// Bounds of what is set aside of an actor. Beyond them the oldest is thrown away.
const (
	maxAside      = 100
	maxAsideBytes = 256 << 10 // of payloads; a larger one is kept alone
)

// asideAgain is how long it takes until an item that could not be set aside comes up again.
const asideAgain = time.Second

// Errors of [Home.Retry] and [Home.Discard].
var (
	ErrNotAside   = errors.New("nothing is set aside by that id")
	errNobodyHere = errors.New("the actor is not there, or could not take it; rtd logs says why, and it stays set aside")
)

// setAside takes an item out of the way: the post at hand, or one made of the timer at hand.
func (b *body) setAside(item durable.Post) error {
	m := b.memory
	m.source, m.event, m.silent = m.next, abi.EventInfo, false
	m.next = source{}
	m.posts = []durable.Post{item}
	m.drops = crowded(m.keeper.Posts(m.actor), len(item.Payload))
	dropped := len(m.drops)
	err := b.Commit(nil)
	m.posts, m.drops = nil, nil
	what := "message"
	if item.Aside.Timer {
		what = "timer"
	}
	if err != nil {
		b.home.complain(m.actor, "a "+what+" at which a durable actor crashes cannot be set aside, and is tried again later", err)
		return err
	}
	b.home.Node.Log.Error("set aside: the guest has crashed at it twice; rtd crash retry tries it again, rtd crash drop throws it away",
		"plugin", m.actor.Plugin, "actor", m.actor.String(), "id", item.ID.String(), "what", what, "cause", item.Aside.Cause)
	if dropped > 0 {
		b.home.Node.Log.Error("thrown away: more was set aside than is kept of one actor, so the oldest goes", "plugin", m.actor.Plugin,
			"actor", m.actor.String(), "items", dropped)
	}
	return nil
}

// crowded returns those that go when one more is set aside: the oldest.
func crowded(posts []durable.Post, bytes int) (out []durable.PostID) {
	count := 1
	for _, p := range slices.Backward(posts) {
		if p.Aside == nil {
			continue
		}
		count++
		if bytes += len(p.Payload); count > maxAside || bytes > maxAsideBytes {
			out = append(out, p.ID)
		}
	}
	return out
}

// decision is what somebody wants to become of an item that was set aside.
type decision struct {
	id      durable.PostID
	drop    bool
	outcome chan<- error // with room for one
}

func (d decision) tell(err error) {
	select {
	case d.outcome <- err:
	default: // it was told
	}
}

// Dropped implements [supervisor.Dropper].
func (d decision) Dropped() { d.tell(errNobodyHere) }

// decided does what a decision says. The event of an item is the same as before.
func (b *body) decided(d decision) (e abi.Event, ok bool) {
	m := b.memory
	if m == nil {
		d.tell(errNobodyHere)
		return abi.Event{}, false
	}
	posts := m.keeper.Posts(m.actor)
	i := slices.IndexFunc(posts, func(p durable.Post) bool { return p.ID == d.id && p.Aside != nil })
	if i < 0 {
		d.tell(ErrNotAside)
		return abi.Event{}, false
	}
	item := &posts[i]
	if d.drop {
		m.source, m.event, m.silent, m.next = source{post: item.ID}, abi.EventInfo, false, source{}
		d.tell(b.Commit(nil))
		return abi.Event{}, false
	}
	m.next = source{id: item.Aside.Event, post: item.ID, decision: &d}
	return abi.Event{Kind: abi.Kind(item.Kind), Flags: binaryFlag(item.Binary), Payload: item.Payload}, true
}

// decide tells who has decided about the item at hand what came of that.
func (m *memory) decide(err error) {
	if d := m.source.decision; d != nil {
		m.source.decision = nil
		if err != nil {
			err = fmt.Errorf("it stays set aside: %w", err)
		}
		d.tell(err)
	}
}

// Retry has a durable actor try an item again that was set aside; it wakes for that. If nil is returned, the event is stored, and
// the item gone. If the guest crashes, or ctx ends before, the item stays, or comes to its end later.
func (h *Home) Retry(ctx context.Context, a durable.Actor, id durable.PostID) error {
	return h.decide(ctx, a, id, false)
}

// Discard throws an item away that was set aside.
func (h *Home) Discard(ctx context.Context, a durable.Actor, id durable.PostID) error {
	return h.decide(ctx, a, id, true)
}

func (h *Home) decide(ctx context.Context, a durable.Actor, id durable.PostID, drop bool) error {
	outcome := make(chan error, 1)
	d := decision{id, drop, outcome}
	err := error(errNobodyHere)
	switch a.Kind {
	case durable.Topic:
		err = h.Node.Endpoint.Wake(h.App, a.Name, d)
	case durable.Process:
		if p := h.Names.Whereis(a.Name); p != nil {
			err = p.Post(d)
		}
	}
	if err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the actor is busy, and may still take it; rtd crash list says if it has: %w", ctx.Err())
	}
}

// shortCause is the first line of a cause, as it is kept.
func shortCause(err error) string {
	text := err.Error()
	if trap := (*sandbox.Trap)(nil); errors.As(err, &trap) {
		text = trap.Cause // the rest is in the crash report
	}
	line, _, _ := strings.Cut(text, "\n")
	return printable([]byte(line))
}
