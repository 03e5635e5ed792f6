package host

import (
	"context"
	"errors"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/durable"
	"rtd/host/durable/store"
	"rtd/host/process"
)

// archive stores histories of topics with the keeper of durable actors. It implements [channels.Archive].
type archive struct{ durables *durables }

func (a archive) Open(ctx context.Context, topic string, keep channels.Keep) (stored channels.Archived, err error) {
	if _, err := a.durables.get(); err != nil {
		return stored, err
	}
	k := a.durables.begun()
	past, err := k.OpenHistory(ctx, topic, keep.Age)
	if err != nil {
		return stored, err
	}
	stored.Position = history.Position{Epoch: past.Epoch, Offset: past.Last}
	for _, s := range past.Said {
		stored.Messages = append(stored.Messages, channels.PastMessage{Offset: s.Offset, At: s.At, Event: s.Event, Payload: s.Payload, Binary: s.Binary})
	}
	return stored, nil
}

func (a archive) Store(ctx context.Context, said []*channels.Said) error {
	k := a.durables.begun()
	if k == nil {
		return durable.ErrUnavailable
	}
	c := &durable.Commit{}
	for _, s := range said {
		c.Said = append(c.Said, process.StoredAs(s))
	}
	return k.Commit(ctx, c)
}

func (a archive) Purge(ctx context.Context, topic string, before uint64) error {
	k := a.durables.begun()
	if k == nil {
		return durable.ErrUnavailable
	}
	if err := k.PurgeHistory(ctx, topic, before); !errors.Is(err, durable.ErrNone) {
		return err
	}
	return nil
}

func (a archive) Trim(topic string, oldest uint64) {
	a.of(func(k *store.Keeper) { k.TrimHistory(topic, oldest) })
}
func (a archive) Close(topic string) { a.of(func(k *store.Keeper) { k.CloseHistory(topic) }) }

func (a archive) of(f func(k *store.Keeper)) {
	if k := a.durables.begun(); k != nil {
		f(k)
	}
}
