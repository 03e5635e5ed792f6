package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"rtd/host/httpapi"
)

// Aside is a message or timer of a durable actor that was set aside: the guest has crashed at it twice.
type Aside struct {
	ID      string    `json:"id"`
	Actor   string    `json:"actor"` // such as "chat/topic:doc:1"
	What    string    `json:"what"`  // message or timer
	Event   string    `json:"event"` // its id, as the guest knows it
	At      time.Time `json:"at"`    // when it was set aside
	Cause   string    `json:"cause"` // of the last crash
	Bytes   int       `json:"bytes"` // of the payload
	Payload []byte    `json:"payload"`
}

// Asides is the part of a [Backend] that has what was set aside. An id may be cut, if its beginning is nobody else's.
type Asides interface {
	// Asides lists what was set aside, the oldest first, and at most [MaxAsides].
	Asides() ([]Aside, error)
	// RetryAside has an actor try again what was set aside. The error says why that has not gone well: then it stays.
	RetryAside(ctx context.Context, id, by string) (Aside, error)
	// DropAside throws it away.
	DropAside(ctx context.Context, id, by string) (Aside, error)
}

// MaxAsides is how many are listed. Others are when these are gone.
const MaxAsides = 1000

func (s *Server) routeAsides(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/asides", s.asides)
	mux.HandleFunc("POST /admin/aside", s.decideAside(s.backend.RetryAside))
	mux.HandleFunc("DELETE /admin/aside", s.decideAside(s.backend.DropAside))
}

func (s *Server) asides(w http.ResponseWriter, _ *http.Request) {
	list, err := s.backend.Asides()
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, append([]Aside{}, list...))
}

func (s *Server) decideAside(decide func(ctx context.Context, id, by string) (Aside, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := decide(r.Context(), r.URL.Query().Get("id"), by(r))
		if err != nil {
			refuse(w, err)
			return
		}
		httpapi.Succeed(w, a)
	}
}

// Asides lists what was set aside, the oldest first.
func (c *Client) Asides(ctx context.Context) (list []Aside, err error) {
	return list, c.ask(ctx, "GET", "asides", nil, nil, &list)
}

// RetryAside has an actor try again what was set aside, and waits for what comes of it.
func (c *Client) RetryAside(ctx context.Context, id string) (a Aside, err error) {
	return a, c.ask(ctx, "POST", "aside", url.Values{"id": {id}}, nil, &a)
}

// DropAside throws away what was set aside.
func (c *Client) DropAside(ctx context.Context, id string) (a Aside, err error) {
	return a, c.ask(ctx, "DELETE", "aside", url.Values{"id": {id}}, nil, &a)
}
