package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// History is a part of what was said in a topic.
type History struct {
	Position string        `json:"position"` // of the newest broadcast, "EPOCH:OFFSET"
	Oldest   uint64        `json:"oldest"`   // offset of the oldest that is kept, or of the next one if none is
	Durable  bool          `json:"durable"`  // it outlives the server
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

// Limit reads how many the query asks for at a time, 100 if it does not say, and answers what is less than one or more than most.
func Limit(w http.ResponseWriter, r *http.Request, most int) (limit int, ok bool) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return min(100, most), true
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("limit is %.20q; want 1 to %d", text, most))
		return 0, false
	}
	return limit, true
}

// Offset reads an offset of the query, and answers one that is none.
func Offset(w http.ResponseWriter, r *http.Request, key string, byDefault uint64) (offset uint64, ok bool) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return byDefault, true
	}
	offset, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("%s is %.40q; want an offset such as 17", key, text))
	}
	return offset, err == nil
}
