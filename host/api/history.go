package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"

	"rtd/host/httpapi"
)

// History and PastMessage are what was said in a topic.
type (
	History     = httpapi.History
	PastMessage = httpapi.PastMessage
)

// mostListed is how many topics or messages one answer has.
const mostListed = 1000

var errNoHistory = errors.New("the topic has no history: none was kept lately, or history in its plugin's table of config.toml does not name it")

func (a *api) history(w http.ResponseWriter, r *http.Request) {
	topic, ok := topicOf(w, r)
	if !ok {
		return
	}
	limit, ok := httpapi.Limit(w, r, mostListed)
	if !ok {
		return
	}
	after, ok := httpapi.Offset(w, r, "after", 0)
	if !ok {
		return
	}
	h, ok, err := a.backend.History(r.Context(), topic, after, limit)
	if err != nil {
		httpapi.Fail(w, http.StatusServiceUnavailable, fmt.Errorf("unavailable: %w", err))
		return
	}
	if !ok {
		httpapi.Fail(w, http.StatusNotFound, errNoHistory)
		return
	}
	h.Messages = append([]PastMessage{}, h.Messages...)
	httpapi.Succeed(w, h)
}

func (a *api) purge(w http.ResponseWriter, r *http.Request) {
	topic, ok := topicOf(w, r)
	if !ok {
		return
	}
	before, ok := httpapi.Offset(w, r, "before", math.MaxUint64)
	if !ok {
		return
	}
	ok, err := a.backend.PurgeHistory(r.Context(), topic, before)
	if err == nil && !ok {
		httpapi.Fail(w, http.StatusNotFound, errNoHistory)
		return
	}
	var h History
	if err == nil {
		h, _, err = a.backend.History(r.Context(), topic, 0, 0)
	}
	if err != nil {
		httpapi.Fail(w, http.StatusServiceUnavailable, fmt.Errorf("unavailable: %w", err))
		return
	}
	httpapi.Succeed(w, map[string]any{"position": h.Position, "oldest": h.Oldest})
}

// topicOf reads the topic of the query.
func topicOf(w http.ResponseWriter, r *http.Request) (topic string, ok bool) {
	if topic = r.URL.Query().Get("topic"); topic == "" {
		httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("topic is missing"))
	}
	return topic, topic != ""
}
