package admin

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"rtd/host/httpapi"
)

// History and PastMessage are what was said in a topic.
type (
	History     = httpapi.History
	PastMessage = httpapi.PastMessage
)

// Purged says what a purge has removed.
type Purged struct {
	Messages uint64 `json:"messages"` // so many
	Position string `json:"position"` // of the newest broadcast
	Oldest   uint64 `json:"oldest"`   // offset of the oldest that is left, or of the next one if none is
}

// Histories is the part of a [Backend] that has what was said in topics.
type Histories interface {
	// History returns at most limit messages of a topic behind an offset. The error says if it has no history.
	History(topic string, after uint64, limit int) (History, error)
	// PurgeHistory removes those before an offset.
	PurgeHistory(topic string, before uint64, by string) (Purged, error)
}

// MaxHistory is how many messages one answer has.
const MaxHistory = 1000

func (s *Server) routeHistory(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/history", s.history)
	mux.HandleFunc("DELETE /admin/history", s.purgeHistory)
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after, ok := httpapi.Offset(w, r, "after", 0)
	if !ok {
		return
	}
	limit, ok := httpapi.Limit(w, r, MaxHistory)
	if !ok {
		return
	}
	h, err := s.backend.History(query.Get("topic"), after, limit)
	if err != nil {
		refuse(w, err)
		return
	}
	h.Messages = append([]PastMessage{}, h.Messages...)
	httpapi.Succeed(w, h)
}

func (s *Server) purgeHistory(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	before, ok := httpapi.Offset(w, r, "before", math.MaxUint64)
	if !ok {
		return
	}
	p, err := s.backend.PurgeHistory(query.Get("topic"), before, by(r))
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, p)
}

// History returns at most limit messages of a topic behind an offset.
func (c *Client) History(ctx context.Context, topic string, after uint64, limit int) (h History, err error) {
	return h, c.ask(ctx, "GET", "history", url.Values{
		"topic": {topic}, "after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)},
	}, nil, &h)
}

// PurgeHistory removes the messages of a topic before an offset. Whoever missed them is told of a gap.
func (c *Client) PurgeHistory(ctx context.Context, topic string, before uint64) (p Purged, err error) {
	return p, c.ask(ctx, "DELETE", "history", url.Values{"topic": {topic}, "before": {strconv.FormatUint(before, 10)}}, nil, &p)
}
