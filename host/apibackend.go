package host

import (
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

func (b apiBackend) Publish(topic, event string, payload []byte) {
	b.endpoint.PublishChecked(topic, event, payload, false)
}

func (b apiBackend) Topics(prefix, after string, limit int) []api.Topic {
	var list []api.Topic
	for _, t := range b.endpoint.Hub.Topics(prefix, after, limit) {
		list = append(list, api.Topic(t))
	}
	return list
}

func (b apiBackend) History(topic string, after uint64, limit int) (api.History, bool) {
	page, ok := b.endpoint.Hub.History(topic, after, limit)
	return past(page), ok
}

func (b apiBackend) PurgeHistory(topic string, before uint64) bool {
	return b.endpoint.Hub.PurgeHistory(topic, before)
}

func (b apiBackend) Presences(topic string) []byte { return b.endpoint.Presence.List(topic) }
func (b apiBackend) Disconnect(id string) int      { return b.endpoint.Disconnect(id) }
