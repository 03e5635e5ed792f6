package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Backend is the server behind the API.
type Backend interface {
	// Publish broadcasts to the members of a topic. An error says why the message
	// cannot be sent.
	Publish(topic, event string, payload []byte) error
	// Topics lists topics that begin with prefix, sorted, with their numbers of
	// members, from the one after a given one on, at most limit.
	Topics(prefix, after string, limit int) []Topic
	// Presences is the presence_state of a topic.
	Presences(topic string) []byte
	// Disconnect ends the connections of a socket id and returns how many there were.
	Disconnect(id string) int
	// Ready reports whether plugins are loaded and the server does not drain.
	Ready() bool
}

// Topic is a topic and how many joins of it there are.
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
	a := &api{backend: b, options: o}
	for _, key := range o.Keys {
		a.keys = append(a.keys, sha256.Sum256([]byte(key)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/broadcast", a.broadcast)
	mux.HandleFunc("GET /api/topics", a.topics)
	mux.HandleFunc("GET /api/presence", a.presence)
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
	keys    [][sha256.Size]byte
}

// authorized lets those through who know a key.
func (a *api) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
		known := 0
		for _, k := range a.keys {
			known |= subtle.ConstantTimeCompare(k[:], sum[:])
		}
		if known == 0 || !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, errors.New("send one of the keys in api.keys of config.toml as Authorization: Bearer KEY"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// message is one broadcast.
type message struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

const maxName = 255 // bytes of a topic or event

func (m *message) check() error {
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
		message
		Messages []message `json:"messages"`
	}
	if !a.read(w, r, &body) {
		return
	}
	messages := body.Messages
	switch {
	case messages == nil:
		messages = []message{body.message}
	case body.Topic != "" || body.Event != "" || body.Payload != nil:
		fail(w, http.StatusUnprocessableEntity, errors.New("give one message or messages, not both"))
		return
	case len(messages) > a.options.MaxBatch:
		fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("%d messages; at most %d at once", len(messages), a.options.MaxBatch))
		return
	}
	for i := range messages {
		if err := messages[i].check(); err != nil {
			fail(w, http.StatusUnprocessableEntity, fmt.Errorf("message %d: %w", i, err))
			return
		}
	}
	for i, m := range messages {
		if err := a.backend.Publish(m.Topic, m.Event, m.Payload); err != nil {
			fail(w, http.StatusUnprocessableEntity, fmt.Errorf("message %d, after those before it were sent: %w", i, err))
			return
		}
	}
	succeed(w, map[string]int{"sent": len(messages)})
}

func (a *api) topics(w http.ResponseWriter, r *http.Request) {
	const most = 1000
	query := r.URL.Query()
	limit := 100
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			fail(w, http.StatusUnprocessableEntity, fmt.Errorf("limit is %.20q; want 1 to %d", text, most))
			return
		}
		limit = n
	}
	topics := a.backend.Topics(query.Get("prefix"), query.Get("after"), limit)
	succeed(w, map[string]any{"topics": append([]Topic{}, topics...)})
}

func (a *api) presence(w http.ResponseWriter, r *http.Request) {
	topic := r.URL.Query().Get("topic")
	if topic == "" {
		fail(w, http.StatusUnprocessableEntity, errors.New("topic is missing"))
		return
	}
	succeed(w, map[string]json.RawMessage{"presences": a.backend.Presences(topic)})
}

func (a *api) disconnect(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID string `json:"id"`
	}
	if !a.read(w, r, &body) {
		return
	}
	if body.ID == "" {
		fail(w, http.StatusUnprocessableEntity, errors.New("id is missing: the socket id that connect gave"))
		return
	}
	succeed(w, map[string]int{"disconnected": a.backend.Disconnect(body.ID)})
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	if !a.backend.Ready() {
		status = http.StatusServiceUnavailable
	}
	write(w, status, map[string]bool{"ready": status == http.StatusOK})
}

// read decodes a body, or answers why it cannot.
func (a *api) read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, a.options.MaxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("body of more than %d bytes", large.Limit))
	case err != nil:
		fail(w, http.StatusBadRequest, err)
	}
	return err == nil
}

func succeed(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

func fail(w http.ResponseWriter, status int, err error) {
	write(w, status, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone will not mind
}
