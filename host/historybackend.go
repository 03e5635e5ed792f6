package host

import (
	"context"
	"errors"
	"log/slog"

	"rtd/channels"
	"rtd/host/admin"
	"rtd/host/httpapi"
)

// historyBackend is what was said in topics, as those see it who administer the server.
type historyBackend struct {
	everywhere
	log *slog.Logger
}

var errNoHistory = errors.New("the topic has no history: nothing was said lately, or neither its plugin nor history in the plugin's table of config.toml names it")

// History implements [admin.Histories].
func (b historyBackend) History(topic string, after uint64, limit int) (h admin.History, err error) {
	page, ok, err := b.history(context.Background(), topic, after, limit)
	if err == nil && !ok {
		err = errNoHistory
	}
	if err != nil {
		return h, err
	}
	return past(page), nil
}

// past is a page of history as both APIs have it.
func past(page channels.HistoryPage) httpapi.History {
	h := httpapi.History{Position: page.Position.String(), Oldest: page.Oldest, Durable: page.Durable}
	for _, m := range page.Messages {
		said := httpapi.PastMessage{Offset: m.Offset, At: m.At, Event: m.Event, Payload: m.Payload}
		if m.Binary {
			said.Payload, said.Binary = nil, m.Payload
		}
		h.Messages = append(h.Messages, said)
	}
	return h
}

// PurgeHistory implements [admin.Histories].
func (b historyBackend) PurgeHistory(topic string, before uint64, by string) (p admin.Purged, err error) {
	ctx := context.Background()
	was, ok, err := b.history(ctx, topic, 0, 0)
	if err == nil && ok {
		ok, err = b.purge(ctx, topic, before)
	}
	is := was
	if err == nil && ok {
		is, ok, err = b.history(ctx, topic, 0, 0)
	}
	if err == nil && !ok {
		err = errNoHistory
	}
	if err != nil {
		return p, err
	}
	p = admin.Purged{Messages: is.Oldest - was.Oldest, Position: is.Position.String(), Oldest: is.Oldest}
	b.log.Info("history purged", "topic", topic, "messages", p.Messages, "by", by)
	return p, nil
}
