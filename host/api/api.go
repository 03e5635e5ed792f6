package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"rtd/host/httpapi"
)

// Backend is the server behind the API.
type Backend interface {
	// Check returns an error if a message cannot be broadcast to the members of a topic.
	Check(topic, event string, payload []byte) error
	// Publish broadcasts messages that Check has passed, in order, and returns how many. With an error nobody has got the others: what
	// is durable cannot be stored, at present, or ever if the error wraps [ErrTooLarge].
	Publish(ctx context.Context, messages []Message) (sent int, err error)
	// Topics lists at most limit topics that begin with prefix, sorted, with their
	// numbers of members, starting behind the topic after.
	Topics(ctx context.Context, prefix, after string, limit int) []Topic
	// Presences returns the presence_state of a topic.
	Presences(topic string) []byte
	// History returns at most limit messages that were broadcast to a topic behind an offset, and
	// false if the topic has no history. PurgeHistory lets go of those before an offset. With an error a durable history cannot be read or
	// changed at present.
	History(ctx context.Context, topic string, after uint64, limit int) (History, bool, error)
	PurgeHistory(ctx context.Context, topic string, before uint64) (bool, error)
	// Disconnect ends the connections of a socket id and returns how many there were.
	Disconnect(ctx context.Context, id string) int
	// Ready reports whether every plugin of the folder runs and the server does not drain.
	Ready() bool
}

// ErrTooLarge says that a message is larger than a durable history stores.
var ErrTooLarge = errors.New("too large")

// Topic is a topic with the number of its members.
type Topic struct {
	Topic   string `json:"topic"`
	Members int    `json:"members"`
}

// Spec is the API's description by OpenAPI 3.
//
//go:embed openapi.json
var Spec []byte

// Options configure an API.
type Options struct {
	Keys     []string // any of which is accepted; at least one
	MaxBody  int64    // bytes of a request; default 8 MB
	MaxBatch int      // messages of a broadcast; default 1,000
}

// New returns the API, for requests whose path begins with /api/.
func New(b Backend, o Options) http.Handler {
	if o.MaxBody == 0 {
		o.MaxBody = 8_000_000
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 1000
	}
	a := &api{backend: b, options: o, keys: httpapi.NewKeys(o.Keys)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/broadcast", a.broadcast)
	mux.HandleFunc("GET /api/topics", a.topics)
	mux.HandleFunc("GET /api/presence", a.presence)
	mux.HandleFunc("GET /api/history", a.history)
	mux.HandleFunc("DELETE /api/history", a.purge)
	mux.HandleFunc("POST /api/disconnect", a.disconnect)
	mux.HandleFunc("GET /api/health", a.health)
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(Spec)
	})
	return a.authorized(mux)
}

type api struct {
	backend Backend
	options Options
	keys    httpapi.Keys
}

// authorized lets requests with a key through.
func (a *api) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.keys.Known(r) {
			httpapi.Unauthorized(w, errors.New("send one of the keys in api.keys of config.toml as Authorization: Bearer KEY"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Message is one broadcast.
type Message struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

const maxName = 255 // bytes of a topic or event

func (m *Message) check() error {
	switch {
	case !utf8.ValidString(m.Topic) || !utf8.ValidString(m.Event):
		return errors.New("topic or event is not UTF-8")
	case m.Topic == "" || len(m.Topic) > maxName:
		return fmt.Errorf("topic of %d bytes; want 1 to %d", len(m.Topic), maxName)
	case m.Event == "" || len(m.Event) > maxName:
		return fmt.Errorf("event of %d bytes; want 1 to %d", len(m.Event), maxName)
	case len(m.Payload) == 0:
		m.Payload = json.RawMessage("{}")
	case bytes.TrimSpace(m.Payload)[0] != '{':
		return errors.New("payload is no JSON object")
	}
	return nil
}

func (a *api) broadcast(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Message
		Messages []Message `json:"messages"`
	}
	if !httpapi.Decode(w, r, a.options.MaxBody, &body) {
		return
	}
	messages := body.Messages
	single := body.Topic != "" || body.Event != "" || body.Payload != nil
	switch {
	case messages == nil && !single:
		httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("give one message (topic, event, payload), or messages, a list of them"))
		return
	case messages == nil:
		messages = []Message{body.Message}
	case single:
		httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("give one message or messages, not both"))
		return
	case len(messages) > a.options.MaxBatch:
		httpapi.Fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("%d messages; at most %d at once", len(messages), a.options.MaxBatch))
		return
	}
	for i := range messages {
		m := &messages[i]
		err := m.check()
		if err == nil {
			err = a.backend.Check(m.Topic, m.Event, m.Payload)
		}
		if err != nil {
			httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("message %d: %w", i, err))
			return
		}
	}
	sent, err := a.backend.Publish(r.Context(), messages)
	switch {
	case errors.Is(err, ErrTooLarge):
		httpapi.Answer(w, http.StatusRequestEntityTooLarge, map[string]any{"error": fmt.Sprintf("message %d: %v", sent, err), "sent": sent})
		return
	case err != nil:
		httpapi.Answer(w, http.StatusServiceUnavailable, map[string]any{"error": "unavailable: " + err.Error(), "sent": sent})
		return
	}
	httpapi.Succeed(w, map[string]int{"sent": sent})
}

func (a *api) topics(w http.ResponseWriter, r *http.Request) {
	limit, ok := httpapi.Limit(w, r, mostListed)
	if !ok {
		return
	}
	query := r.URL.Query()
	topics := a.backend.Topics(r.Context(), query.Get("prefix"), query.Get("after"), limit)
	httpapi.Succeed(w, map[string]any{"topics": append([]Topic{}, topics...)})
}

func (a *api) presence(w http.ResponseWriter, r *http.Request) {
	topic, ok := topicOf(w, r)
	if !ok {
		return
	}
	httpapi.Succeed(w, map[string]json.RawMessage{"presences": a.backend.Presences(topic)})
}

func (a *api) disconnect(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID string `json:"id"`
	}
	if !httpapi.Decode(w, r, a.options.MaxBody, &body) {
		return
	}
	if body.ID == "" {
		httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("id is missing: the socket id that connect gave"))
		return
	}
	httpapi.Succeed(w, map[string]int{"disconnected": a.backend.Disconnect(r.Context(), body.ID)})
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	if !a.backend.Ready() {
		status = http.StatusServiceUnavailable
	}
	httpapi.Answer(w, status, map[string]bool{"ready": status == http.StatusOK})
}
