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
	endpoint *channels.Endpoint
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
	sent, err = b.endpoint.PublishAll(ctx, list)
	if errors.Is(err, channels.ErrSaidTooLarge) {
		err = fmt.Errorf("%w: %w", api.ErrTooLarge, err)
	}
	return sent, err
}

func (b apiBackend) Topics(prefix, after string, limit int) []api.Topic {
	var list []api.Topic
	for _, t := range b.endpoint.Hub.Topics(prefix, after, limit) {
		list = append(list, api.Topic(t))
	}
	return list
}

func (b apiBackend) History(ctx context.Context, topic string, after uint64, limit int) (api.History, bool, error) {
	if err := b.endpoint.Hub.AwaitHistory(ctx, topic); err != nil {
		return api.History{}, false, err
	}
	page, ok := b.endpoint.Hub.History(topic, after, limit)
	return past(page), ok, nil
}

func (b apiBackend) PurgeHistory(ctx context.Context, topic string, before uint64) (bool, error) {
	return b.endpoint.Hub.PurgeHistory(ctx, topic, before)
}

func (b apiBackend) Presences(topic string) []byte { return b.endpoint.Presence.List(topic) }
func (b apiBackend) Disconnect(id string) int      { return b.endpoint.Disconnect(id) }
