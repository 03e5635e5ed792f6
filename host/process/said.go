package process

import (
	"context"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/sandbox/abi"
)

// The broadcasts of a guest in topics with a durable history are stored before any effect of the event leaves: those of a durable actor in one
// commit with its state, others alone. When their turn comes among the effects they are sent.

// spoken is a broadcast of the event at hand.
type spoken struct {
	effect *abi.Effect
	said   *channels.Said // nil: it could not be stored, and is not sent
}

// speak prepares the broadcasts among the effects that are to be stored.
func (b *body) speak(effects []abi.Effect) (list []spoken, err error) {
	hub := b.home.Node.Endpoint.Hub
	if len(effects) == 0 || !hub.Archives() {
		return nil, nil
	}
	for i := range effects {
		e := &effects[i]
		topic := b.guest.Topic()
		switch e.Kind {
		default:
			continue
		case abi.EffectBroadcast, abi.EffectBroadcastFrom:
		case abi.EffectPublish:
			if topic = e.Detail; !b.mayUse(topic) {
				continue // it will not be sent, either
			}
		}
		var said *channels.Said
		failure := error(nil)
		b.process.Block(func() {
			said, failure = hub.Prepare(context.Background(), topic, e.Name, e.Payload, e.Flags&abi.Binary != 0)
		})
		if failure != nil {
			err = failure
		}
		if said != nil || failure != nil {
			list = append(list, spoken{e, said})
		}
	}
	return list, err
}

// prepared returns those of a list that can be stored.
func prepared(list []spoken) (said []*durable.Said) {
	for i := range list {
		if s := list[i].said; s != nil {
			said = append(said, asSaid(s))
		}
	}
	return said
}

// forsakeSaid gives up broadcasts that were not stored.
func forsakeSaid(list []spoken) {
	for i := range list {
		if s := list[i].said; s != nil {
			s.Drop()
			list[i].said = nil
		}
	}
}

// sayAlone stores the broadcasts of an event of which nothing else is stored. Those that cannot be are not sent, and counted.
func (b *body) sayAlone(effects []abi.Effect) {
	list, err := b.speak(effects)
	if len(list) == 0 {
		return
	}
	b.spoken = &list
	if said := prepared(list); len(said) > 0 {
		b.process.Block(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var keeper durable.Keeper
			failure := error(nil)
			if keeper, failure = b.home.Node.Keeper(); failure == nil {
				failure = keeper.Commit(ctx, &durable.Commit{Said: said})
			}
			if failure != nil {
				err = failure
				forsakeSaid(list)
			}
		})
	}
	if err != nil {
		who := durable.Actor{Plugin: b.home.App.Name(), Kind: durable.Topic, Name: b.guest.Topic()}
		if who.Name == "" {
			who.Kind, who.Name = durable.Process, b.Name()
		}
		b.home.complain(who, "broadcasts were not sent, as the history of their topic is durable and cannot be stored", err)
	}
}

// Said implements [channels.Speaker].
func (b *body) Said(e *abi.Effect) (s *channels.Said, ok bool) {
	if b.spoken == nil {
		return nil, false
	}
	for i, sp := range *b.spoken {
		if sp.effect == e {
			(*b.spoken)[i].said = nil
			return sp.said, true
		}
	}
	return nil, false
}

// sendRest sends the broadcasts of an event that are stored, and whose turn has not come: the effects were dropped.
func (b *body) sendRest() {
	if b.spoken == nil {
		return
	}
	for _, sp := range *b.spoken {
		if sp.said != nil {
			sp.said.Release()
		}
	}
	b.spoken = nil
}

var _ channels.Speaker = (*body)(nil)
