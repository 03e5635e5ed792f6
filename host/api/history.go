package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"rtd/host/httpapi"
)

// History is a part of what was said in a topic.
type History struct {
	Position string        `json:"position"` // of the newest broadcast, "EPOCH:OFFSET"
	Oldest   uint64        `json:"oldest"`   // offset of the oldest that is kept, or of the next one if none is
	Messages []PastMessage `json:"messages"` // oldest first
}

// PastMessage is a broadcast that was. It has a Payload, or else Binary.
type PastMessage struct {
	Offset  uint64          `json:"offset"`
	At      time.Time       `json:"at"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Binary  []byte          `json:"binary,omitempty"` // in base64
}

var errNoHistory = errors.New("the topic has no history: none was kept lately, or history in its plugin's table of config.toml does not name it")

func (a *api) history(w http.ResponseWriter, r *http.Request) {
	topic, ok := topicOf(w, r)
	if !ok {
		return
	}
	limit, ok := limitOf(w, r)
	if !ok {
		return
	}
	after, ok := offsetOf(w, r, "after", 0)
	if !ok {
		return
	}
	h, ok := a.backend.History(topic, after, limit)
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
	before, ok := offsetOf(w, r, "before", math.MaxUint64)
	if !ok {
		return
	}
	if !a.backend.PurgeHistory(topic, before) {
		httpapi.Fail(w, http.StatusNotFound, errNoHistory)
		return
	}
	h, _ := a.backend.History(topic, 0, 0)
	httpapi.Succeed(w, map[string]any{"position": h.Position, "oldest": h.Oldest})
}

// offsetOf reads an offset of the query.
func offsetOf(w http.ResponseWriter, r *http.Request, key string, byDefault uint64) (offset uint64, ok bool) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return byDefault, true
	}
	offset, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("%s is %.40q; want an offset such as 17", key, text))
	}
	return offset, err == nil
}

// topicOf reads the topic of the query.
func topicOf(w http.ResponseWriter, r *http.Request) (topic string, ok bool) {
	if topic = r.URL.Query().Get("topic"); topic == "" {
		httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("topic is missing"))
	}
	return topic, topic != ""
}

// limitOf reads how many are asked for at a time.
func limitOf(w http.ResponseWriter, r *http.Request) (limit int, ok bool) {
	const byDefault, most = 100, 1000
	text := r.URL.Query().Get("limit")
	if text == "" {
		return byDefault, true
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("limit is %.20q; want 1 to %d", text, most))
		return 0, false
	}
	return limit, true
}
