package host

import (
	"fmt"

	"rtd/host/api"
	"rtd/host/auth"
)

// backend is the server as the API for backends sees it.
type backend struct{ *Server }

func (b backend) Publish(topic, event string, payload []byte) error {
	return b.endpoint.Publish(topic, event, payload, false)
}

func (b backend) Topics(prefix, after string, limit int) []api.Topic {
	var list []api.Topic
	for _, t := range b.endpoint.Hub.Topics(prefix, after, limit) {
		list = append(list, api.Topic(t))
	}
	return list
}

func (b backend) Presences(topic string) []byte { return b.endpoint.Presence.List(topic) }
func (b backend) Disconnect(id string) int      { return b.endpoint.Disconnect(id) }
func (b backend) Ready() bool                   { return b.ready.Load() && !b.draining.Load() }

// minKey is how many bytes a key of the API must have: fewer can be guessed.
const minKey = 16

// secrets reads the keys of the config, wherever they are.
func secrets(entries []string) (values []string, err error) {
	for i, entry := range entries {
		secret, err := auth.ParseSecret(entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if len(secret.Reveal()) < minKey {
			return nil, fmt.Errorf("entry %d has less than %d bytes; make one with: openssl rand -base64 24", i+1, minKey)
		}
		values = append(values, secret.Reveal())
	}
	return values, nil
}
