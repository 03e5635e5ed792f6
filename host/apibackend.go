package host

import (
	"context"
	"errors"
	"fmt"

	"rtd/channels"
	"rtd/host/api"
)

// apiBackend is the server as the API for back ends sees it.
type apiBackend struct {
	everywhere
	readiness
}

func (b apiBackend) Check(topic, event string, payload []byte) error {
	return channels.CheckPublish(topic, event, payload, false)
}

func (b apiBackend) Publish(ctx context.Context, messages []api.Message) (sent int, err error) {
	list := make([]channels.Publication, len(messages))
	for i, m := range messages {
		list[i] = channels.Publication{Topic: m.Topic, Event: m.Event, Payload: m.Payload}
	}
	sent, err = b.PublishAll(ctx, list)
	if errors.Is(err, channels.ErrSaidTooLarge) {
		err = fmt.Errorf("%w: %w", api.ErrTooLarge, err)
	}
	return sent, err
}

func (b apiBackend) Topics(ctx context.Context, prefix, after string, limit int) []api.Topic {
	return b.topics(ctx, prefix, after, limit)
}

func (b apiBackend) History(ctx context.Context, topic string, after uint64, limit int) (api.History, bool, error) {
	page, ok, err := b.history(ctx, topic, after, limit)
	return past(page), ok, err
}

func (b apiBackend) PurgeHistory(ctx context.Context, topic string, before uint64) (bool, error) {
	return b.purge(ctx, topic, before)
}

func (b apiBackend) Presences(topic string) []byte { return b.Presence.List(topic) }

func (b apiBackend) Disconnect(ctx context.Context, id string) int { return b.disconnect(ctx, id) }
