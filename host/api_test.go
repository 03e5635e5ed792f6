package host_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

const apiKey = "a key of sixteen bytes and more"

// ask sends a request with a key and returns the status and the body.
func (s *server) ask(t *testing.T, method, path, key, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	must(t, err)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := hosttest.Web.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(bytes.TrimSpace(text))
}

func TestAPI(t *testing.T) {
	t.Setenv("RTD_TEST_KEY", apiKey)
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"chat": chatGuest(t)},
		Config:  "[api]\nkeys = [\"env:RTD_TEST_KEY\"]\n" + chatToken,
	})
	ada := s.Connect(t)
	ada.MustJoin(t, "room:1", `{"token":"demo","user":"Ada"}`)
	ada.Expect(t, "room:1", "presence_state")

	if status, _ := s.ask(t, "GET", "/api/topics", "", ""); status != 401 {
		t.Errorf("without a key: %d", status)
	}
	if status, body := s.ask(t, "GET", "/api/topics?prefix=room:", apiKey, ""); status != 200 || body != `{"topics":[{"topic":"room:1","members":1}]}` {
		t.Errorf("topics: %d %s", status, body)
	}
	if status, body := s.ask(t, "GET", "/api/presence?topic=room:1", apiKey, ""); status != 200 || !strings.Contains(body, `"Ada":{"metas":[{"phx_ref":`) {
		t.Errorf("presence: %d %s", status, body)
	}
	if status, body := s.ask(t, "POST", "/api/broadcast", apiKey, `{"topic":"room:1","event":"news","payload":{"n":12345678901234567890}}`); status != 200 {
		t.Errorf("broadcast: %d %s", status, body)
	}
	if m := ada.Expect(t, "room:1", "news"); string(m.Payload) != `{"n":12345678901234567890}` || m.JoinRef != "" {
		t.Errorf("broadcast arrived as %+v", m)
	}
	// A batch is sent as a whole or not at all, also if what is wrong is known to the channels only.
	for n, bad := range []string{`"\ud800"`, "\"\xff\"", "1e999"} {
		status, body := s.ask(t, "POST", "/api/broadcast", apiKey,
			`{"messages":[{"topic":"room:1","event":"first","payload":{"n":1}},{"topic":"room:1","event":"second","payload":{"n":`+bad+`}}]}`)
		if status != 422 || !strings.Contains(body, "message 1: ") {
			t.Errorf("a batch with %s: %d %s", bad, status, body)
		}
		s.ask(t, "POST", "/api/broadcast", apiKey, fmt.Sprintf(`{"topic":"room:1","event":"after%d"}`, n))
		ada.Expect(t, "room:1", fmt.Sprint("after", n))
		if ada.Has("first") {
			t.Errorf("half of a batch with %s was sent", bad)
		}
	}
	if status, body := s.ask(t, "POST", "/api/disconnect", apiKey, `{"id":"nobody"}`); status != 200 || body != `{"disconnected":0}` {
		t.Errorf("disconnect: %d %s", status, body)
	}
}

func TestNoAPIWithoutAKey(t *testing.T) {
	s := start(t, hosttest.Setup{})
	if status, _ := s.ask(t, "GET", "/api/topics", apiKey, ""); status != 404 {
		t.Errorf("status %d, want 404", status)
	}
}

// A client that polls and one with a WebSocket hear each other.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken})
	ada := s.Connect(t)
	ada.MustJoin(t, "room:1", `{"token":"demo","user":"Ada"}`)

	type answer struct {
		Status   int
		Token    string
		Messages []string
	}
	poll := func(method, token, body string) (a answer) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/socket/longpoll?vsn=2.0.0", strings.NewReader(body))
		must(t, err)
		r.Header.Set("X-Phoenix-Longpoll-Token", token)
		r.Header.Set("Content-Type", "application/x-ndjson")
		response, err := hosttest.Web.Do(r)
		must(t, err)
		defer response.Body.Close()
		must(t, json.NewDecoder(response.Body).Decode(&a))
		return a
	}
	token := poll("GET", "", "").Token
	if n := s.Metric(t, "rtd_longpoll_sessions"); n != 1 {
		t.Errorf("rtd_longpoll_sessions is %v", n)
	}
	if a := poll("POST", token, `["1","1","room:1","phx_join",{"token":"demo","user":"Grace"}]`+"\n"+`["1","2","room:1","new_message",{"body":"hello"}]`); a.Status != 200 {
		t.Fatalf("post: %+v", a)
	}
	if m, err := ada.Next(func(m hosttest.Message) bool { return m.Event == "new_message" }); err != nil || !strings.Contains(string(m.Payload), `"Grace"`) {
		t.Errorf("the other heard %v, %v", m, err)
	}
	ada.WantReply(t, "room:1", "new_message", `{"body":"hi Grace"}`, "ok")
	var heard string
	hosttest.Eventually(t, "all messages", func() bool {
		heard += strings.Join(poll("GET", token, "").Messages, "\n")
		return strings.Contains(heard, "hi Grace")
	})
	for _, want := range []string{`["1","1","room:1","phx_reply",{"status":"ok"`, `["1","2","room:1","phx_reply",{"status":"ok"`, "presence_state"} {
		if !strings.Contains(heard, want) {
			t.Errorf("heard no %s in\n%s", want, heard)
		}
	}
	if a := poll("GET", "made up", ""); a.Status != 410 {
		t.Errorf("a made-up token: %+v", a)
	}
}
