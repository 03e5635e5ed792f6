package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"rtd/host/api"
)

type backend struct {
	published []string
	unready   bool
}

func (b *backend) Check(topic, event string, payload []byte) error {
	if event == "bad" {
		return errors.New("cannot be sent")
	}
	return nil
}

func (b *backend) Publish(_ context.Context, messages []api.Message) (sent int, err error) {
	for i, m := range messages {
		switch m.Event {
		case "away":
			return i, errAway
		case "large":
			return i, fmt.Errorf("%w: 2 MB", api.ErrTooLarge)
		}
		b.published = append(b.published, fmt.Sprintf("%s %s %s", m.Topic, m.Event, m.Payload))
	}
	return len(messages), nil
}

// errAway is that of what is durable and cannot be stored.
var errAway = errors.New("the bus is away")

func (b *backend) Topics(_ context.Context, prefix, after string, limit int) []api.Topic {
	return []api.Topic{{Topic: fmt.Sprintf("%s after %s", prefix, after), Members: limit}}
}
func (b *backend) Presences(topic string) []byte { return []byte(`{"` + topic + `":{"metas":[]}}`) }
func (b *backend) History(_ context.Context, topic string, after uint64, limit int) (api.History, bool, error) {
	if topic == "away" {
		return api.History{}, false, errAway
	}
	h := api.History{Position: "e:2", Oldest: 1}
	for offset := after + 1; offset <= min(2, after+uint64(limit)); offset++ {
		h.Messages = append(h.Messages, api.PastMessage{Offset: offset, Event: "said", Payload: []byte(`{"n":1}`)})
	}
	return h, topic != "none", nil
}
func (b *backend) PurgeHistory(_ context.Context, topic string, before uint64) (bool, error) {
	if topic == "away" {
		return true, errAway
	}
	b.published = append(b.published, fmt.Sprintf("purge %s %d", topic, before))
	return topic != "none", nil
}
func (b *backend) Disconnect(_ context.Context, id string) int { return len(id) }
func (b *backend) Ready() bool                                 { return !b.unready }

// cases are requests and what they are answered. Those with a status that
// openapi.json lists hold it to the truth.
var cases = []struct {
	method, path, body string
	status             int
	answer             string
}{
	{"POST", "/api/broadcast", `{"topic":"room:1","event":"e","payload":{"n":12345678901234567890}}`, 200, `{"sent":1}`},
	{"POST", "/api/broadcast", `{"topic":"room:1","event":"e"}`, 200, `{"sent":1}`},
	{"POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},{"topic":"b","event":"f"}]}`, 200, `{"sent":2}`},
	{"POST", "/api/broadcast", `{"messages":[]}`, 200, `{"sent":0}`},
	{"POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},{"topic":"","event":"f"}]}`, 422, "message 1: topic"},
	{"POST", "/api/broadcast", `{"topic":"a","event":"e","messages":[]}`, 422, "not both"},
	{"POST", "/api/broadcast", `{"topic":"a"}`, 422, "event"},
	{"POST", "/api/broadcast", `{"topic":"a","event":"e","payload":[1]}`, 422, "no JSON object"},
	{"POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},{"topic":"a","event":"e"},{"topic":"a","event":"e"}]}`, 413, "at most 2"},
	{"POST", "/api/broadcast", `{"topic":"a","event":"` + strings.Repeat("x", 1000) + `"}`, 413, "1000 bytes"},
	{"POST", "/api/broadcast", `{"topic":"a","event":"bad"}`, 422, "cannot be sent"},
	{"POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},{"topic":"a","event":"bad"}]}`, 422, "message 1: cannot be sent"},
	{"POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},{"topic":"a","event":"away"}]}`, 503, `{"error":"unavailable: the bus is away","sent":1}`},
	{"POST", "/api/broadcast", `{"messages":null}`, 422, "give one message"},
	{"POST", "/api/broadcast", `{}`, 422, "give one message"},
	{"POST", "/api/broadcast", "", 400, "it is empty; want a JSON object"},
	{"POST", "/api/broadcast", " \n", 400, "it is empty; want a JSON object"},
	{"POST", "/api/disconnect", "", 400, "it is empty; want a JSON object"},
	{"POST", "/api/broadcast", `{"topic":`, 400, "unexpected EOF"},
	{"POST", "/api/broadcast", `{"tpic":"a"}`, 400, "unknown field"},
	{"POST", "/api/broadcast", `{"topic":"a","event":"e"} {}`, 400, "more than one"},
	{"GET", "/api/topics?prefix=room:&after=room:1&limit=7", "", 200, `{"topics":[{"topic":"room: after room:1","members":7}]}`},
	{"GET", "/api/topics", "", 200, `"members":100`},
	{"GET", "/api/topics?limit=0", "", 422, "want 1 to 1000"},
	{"GET", "/api/presence?topic=room:1", "", 200, `{"presences":{"room:1":{"metas":[]}}}`},
	{"GET", "/api/presence", "", 422, "topic is missing"},
	{"GET", "/api/history?topic=room:1&after=1", "", 200, `{"position":"e:2","oldest":1,"durable":false,"messages":[{"offset":2,"at":"0001-01-01T00:00:00Z","event":"said","payload":{"n":1}}]}`},
	{"GET", "/api/history?topic=room:1&after=2", "", 200, `{"position":"e:2","oldest":1,"durable":false,"messages":[]}`},
	{"GET", "/api/history?topic=none", "", 404, "has no history"},
	{"GET", "/api/history?topic=away", "", 503, "unavailable: the bus is away"},
	{"DELETE", "/api/history?topic=away", "", 503, "unavailable: the bus is away"},
	{"GET", "/api/history", "", 422, "topic is missing"},
	{"GET", "/api/history?topic=room:1&limit=0", "", 422, "want 1 to 1000"},
	{"GET", "/api/history?topic=room:1&after=e:2", "", 422, "want an offset"},
	{"DELETE", "/api/history?topic=room:1&before=2", "", 200, `{"oldest":1,"position":"e:2"}`},
	{"DELETE", "/api/history?topic=none", "", 404, "has no history"},
	{"DELETE", "/api/history?topic=room:1&before=-1", "", 422, "want an offset"},
	{"POST", "/api/disconnect", `{"id":"users:7"}`, 200, `{"disconnected":7}`},
	{"POST", "/api/disconnect", `{}`, 422, "id is missing"},
	{"POST", "/api/disconnect", `nonsense`, 400, "invalid character"},
	{"POST", "/api/disconnect", `{"id":"` + strings.Repeat("x", 1000) + `"}`, 413, "1000 bytes"},
	{"GET", "/api/health", "", 200, `{"ready":true}`},
	{"GET", "/api/openapi.json", "", 200, `"openapi"`},
	{"GET", "/api/broadcast", "", 405, ""},
	{"GET", "/api/nothing", "", 404, ""},
}

func request(b *backend, key, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", key)
	}
	w := httptest.NewRecorder()
	api.New(b, api.Options{Keys: []string{"old", "secret"}, MaxBody: 1000, MaxBatch: 2}).ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	for _, c := range cases {
		w := request(&backend{}, "Bearer secret", c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s %s %.60s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.answer)
		}
	}
}

func TestPayloadsAreNotReencoded(t *testing.T) {
	b := &backend{}
	request(b, "bearer old", "POST", "/api/broadcast", `{"topic":"t","event":"e","payload":{"n":12345678901234567890, "a":1e1}}`)
	if want := `t e {"n":12345678901234567890, "a":1e1}`; len(b.published) != 1 || b.published[0] != want {
		t.Errorf("published %q, want %q", b.published, want)
	}
}

// A batch with a bad message is not sent at all.
func TestBatchesAreWhole(t *testing.T) {
	b := &backend{}
	for _, bad := range []string{`{"topic":"b"}`, `{"topic":"b","event":"bad"}`} {
		request(b, "Bearer secret", "POST", "/api/broadcast", `{"messages":[{"topic":"a","event":"e"},`+bad+`]}`)
		if b.published != nil {
			t.Errorf("published %q", b.published)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, status := range map[string]int{
		"Bearer secret": 200, "bearer  old": 200, "Bearer wrong": 401, "Bearer ": 401, "Bearer": 401, "": 401, "Basic secret": 401, "secret": 401,
	} {
		for _, path := range []string{"/api/health", "/api/nothing"} {
			if path == "/api/nothing" && status == 200 {
				continue
			}
			if w := request(&backend{}, key, "GET", path, ""); w.Code != status {
				t.Errorf("%s with %q: %d, want %d", path, key, w.Code, status)
			}
		}
	}
	if w := request(&backend{unready: true}, "Bearer secret", "GET", "/api/health", ""); w.Code != 503 {
		t.Errorf("health of a server that is not ready: %d", w.Code)
	}
}

// A body that comes too slowly is told so, and changes nothing.
func TestLateBodies(t *testing.T) {
	for _, path := range []string{"/api/broadcast", "/api/disconnect"} {
		r := httptest.NewRequest("POST", path, iotest.ErrReader(os.ErrDeadlineExceeded))
		r.Header.Set("Authorization", "Bearer secret")
		w := httptest.NewRecorder()
		api.New(&backend{}, api.Options{Keys: []string{"secret"}}).ServeHTTP(w, r)
		if w.Code != http.StatusRequestTimeout {
			t.Errorf("%s: %d, want 408", path, w.Code)
		}
	}
}

// The description lists what there is and nothing else: each operation answers all
// statuses that it lists, and the cases above get no other.
func TestDescription(t *testing.T) {
	var spec struct {
		Paths map[string]map[string]struct{ Responses map[string]any }
	}
	if err := json.Unmarshal(api.Spec, &spec); err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]bool{}
	for _, c := range cases {
		path, _, _ := strings.Cut(c.path, "?")
		if c.status == http.StatusNotFound && path != "/api/history" || c.status == http.StatusMethodNotAllowed {
			continue
		}
		operation := path + " " + strings.ToLower(c.method)
		if seen[operation] == nil {
			seen[operation] = map[string]bool{"401": true} // TestKeys
		}
		seen[operation][fmt.Sprint(c.status)] = true
	}
	seen["/api/health get"]["503"] = true // TestKeys
	seen["/api/broadcast post"]["408"] = true
	seen["/api/disconnect post"]["408"] = true // TestLateBodies
	listed := map[string]map[string]bool{}
	for path, operations := range spec.Paths {
		for method, o := range operations {
			statuses := map[string]bool{}
			for status := range o.Responses {
				statuses[status] = true
			}
			listed[path+" "+method] = statuses
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(listed)) {
		if !maps.Equal(listed[operation], seen[operation]) {
			t.Errorf("%s: openapi.json lists %v, the cases have %v", operation, listed[operation], seen[operation])
		}
	}
	if len(listed) != len(seen) {
		t.Errorf("openapi.json has %d operations, the cases %d", len(listed), len(seen))
	}
}
