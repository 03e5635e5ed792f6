package process

import (
	"errors"
	"fmt"

	"rtd/channels"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Rehearse asks the process of a worker how it would move to a release. done is called once,
// by the process or because it has ended.
func Rehearse(p *supervisor.Process, next *release.Release, done func(became channels.Renewal, lost error)) {
	r := rehearsal{next, done}
	if p.Post(r) != nil {
		r.Dropped()
	}
}

// RehearseHandler is the same for the guest of a channel handler, which rests: it is called by
// [channels.Channel.Inspect].
func RehearseHandler(g channels.Guest, next *release.Release, topic, members string) (became channels.Renewal, lost error) {
	b := g.(*body)
	return b.rehearse(next, &channels.Handover{
		From: &b.release.Version, To: &next.Version, Topic: topic, Name: topic,
		Members: func() string { return members }, Again: true, Keep: next.Settings.Rollout.Stay,
	})
}

// rehearsal asks a worker to try how it would move to a release.
type rehearsal struct {
	next *release.Release
	done func(became channels.Renewal, lost error)
}

// Dropped implements [supervisor.Dropper]: the process has ended.
func (r rehearsal) Dropped() { r.done(channels.Unmoved, nil) }

func (w *Worker) rehearse(p *supervisor.Process, r rehearsal) {
	b := w.body.Load()
	became, lost := b.rehearse(r.next, w.handover(p, b.release, r.next, r.next.Settings.Rollout.Stay))
	if errors.Is(lost, channels.ErrUnmoved) {
		if _, ok := b.goesOnWithout(r.next); ok {
			became, lost = channels.Replayed, nil
		}
	}
	r.done(became, lost)
}

// rehearse tries a move with a copy of the guest and a guest of next, both with a process
// that reaches nobody, and says what would become of the process.
func (b *body) rehearse(next *release.Release, move *channels.Handover) (became channels.Renewal, lost error) {
	var from, to *sandbox.Instance
	defer func() {
		for _, i := range []*sandbox.Instance{from, to} {
			if i != nil {
				i.Close()
			}
		}
	}()
	failure := move.Try(
		func() (ask channels.Ask, err error) {
			if from, err = b.guest.Copy(&sandbox.Alone{On: b}); err != nil {
				return nil, fmt.Errorf("copy guest: %w", err)
			}
			return from.Handle, nil
		},
		func() (ask channels.Ask, err error) {
			if to, err = next.Module.Start(move.Topic, &sandbox.Alone{On: b}); err != nil {
				return nil, err
			}
			return func(e *abi.Event) ([]abi.Effect, error) { return checked(to, e, move.Topic) }, nil
		})
	became, lost = move.Became(failure)
	if b.memory != nil && !remains(became, move.Keep) {
		return channels.Unmoved, fmt.Errorf("%w: %w", channels.ErrUnmoved, failure)
	}
	return became, lost
}

// checked gives an event to a guest and holds its effects to the protocol.
func checked(guest *sandbox.Instance, e *abi.Event, topic string) ([]abi.Effect, error) {
	effects, err := guest.Handle(e)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		if err := channels.CheckEffect(&effects[i], topic); err != nil {
			return nil, fmt.Errorf("%v %.100q: %w", effects[i].Kind, effects[i].Name, err)
		}
	}
	return effects, nil
}
