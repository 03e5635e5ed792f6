package process

import (
	"context"
	"errors"
	"fmt"

	"rtd/channels"
	"rtd/host/durable"
)

// Archive stores histories of topics with the keeper of durable actors. It implements [channels.Archive].
type Archive struct {
	// Keeper returns the keeper. It must not wait.
	Keeper func() (durable.Histories, error)
	// Begun returns the keeper if something has needed it, or nil. Nil: nothing stored is reviewed.
	Begun func() durable.Histories
}

// Open implements [channels.Archive].
func (a Archive) Open(ctx context.Context, topic string, keep channels.Keep) (stored channels.Archived, err error) {
	k, err := a.Keeper()
	if err != nil {
		return stored, err
	}
	past, err := k.OpenHistory(ctx, topic, keep.Age)
	if err != nil {
		return stored, err
	}
	stored.Epoch, stored.Last = past.Epoch, past.Last
	for _, s := range past.Said {
		stored.Messages = append(stored.Messages, channels.PastMessage{Offset: s.Offset, At: s.At, Event: s.Event, Payload: s.Payload, Binary: s.Binary})
	}
	return stored, nil
}

// Store implements [channels.Archive].
func (a Archive) Store(ctx context.Context, list []*channels.Said) error {
	k, err := a.Keeper()
	if err != nil {
		return err
	}
	c := &durable.Commit{}
	for _, s := range list {
		c.Said = append(c.Said, asSaid(s))
	}
	err = k.Commit(ctx, c)
	if errors.Is(err, durable.ErrTooLarge) {
		return fmt.Errorf("%w: %w", channels.ErrSaidTooLarge, err)
	}
	return err
}

// asSaid is a broadcast as keepers store it.
func asSaid(s *channels.Said) *durable.Said {
	return &durable.Said{Topic: s.Topic, Event: s.Event, Payload: s.Payload, Binary: s.Binary, At: s.At, Stored: s.Stored}
}

// Purge implements [channels.Archive].
func (a Archive) Purge(ctx context.Context, topic string, before uint64) error {
	k, err := a.Keeper()
	if err != nil {
		return err
	}
	if err := k.PurgeHistory(ctx, topic, before); !errors.Is(err, durable.ErrNone) {
		return err
	}
	return nil
}

// Trim implements [channels.Archive].
func (a Archive) Trim(topic string, oldest uint64) {
	if k, err := a.Keeper(); err == nil {
		k.TrimHistory(topic, oldest)
	}
}

// Close implements [channels.Archive].
func (a Archive) Close(topic string) {
	if k, err := a.Keeper(); err == nil {
		k.CloseHistory(topic)
	}
}

// Review implements [channels.Archive].
func (a Archive) Review() {
	if a.Begun == nil {
		return
	}
	if k := a.Begun(); k != nil {
		k.ReviewHistories()
	}
}
