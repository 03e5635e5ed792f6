package suite_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// client is a client whose members speak for it, each in a topic.
type client struct{ *hosttest.Client }

// member is a client in a topic.
type member struct {
	client
	topic string
}

func (s *stack) connect(t testing.TB, params string) client {
	t.Helper()
	return client{hosttest.Connect(t, s.Socket(params))}
}

// refusal dials, and returns the status with which that is refused.
func (s *stack) refusal(t testing.TB, params string) int {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), s.Socket(params), &websocket.DialOptions{HTTPClient: hosttest.Web})
	if err == nil {
		ws.CloseNow()
	} else if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// join is a client of its own in a topic.
func (s *stack) join(t testing.TB, topic, payload string) *member {
	t.Helper()
	m := s.connect(t, "").member(topic)
	m.replies(t, "phx_join", payload, "ok {}")
	return m
}

// member is about to join.
func (c client) member(topic string) *member { return &member{c, topic} }

// next waits for a message of an event in the topic, and passes over no other of that
// event.
func (m *member) next(t testing.TB, event string) hosttest.Message {
	t.Helper()
	return m.Expect(t, m.topic, event)
}

// answer waits for the reply to a push.
func (m *member) answer(t testing.TB, ref string) hosttest.Message {
	t.Helper()
	r, err := m.Reply(ref)
	must(t, err)
	if r.Topic != m.topic {
		t.Errorf("the reply %v is in topic %s, want %s", r, r.Topic, m.topic)
	}
	return r
}

// send pushes a message, which is not waited for, and returns its ref.
func (m *member) send(t testing.TB, event, payload string) (ref string) {
	t.Helper()
	ref, err := m.Push(m.topic, event, payload)
	must(t, err)
	return ref
}

func (m *member) sendBytes(t testing.TB, event string, payload []byte) (ref string) {
	t.Helper()
	ref, err := m.PushBinary(m.topic, event, payload)
	must(t, err)
	return ref
}

// replies pushes a message and checks the reply, written as status and response.
func (m *member) replies(t testing.TB, event, payload, want string) {
	t.Helper()
	m.replied(t, m.send(t, event, payload), event+" "+payload, want)
}

// replied checks the reply to what was sent.
func (m *member) replied(t testing.TB, ref, what, want string) {
	t.Helper()
	got := m.answer(t, ref)
	status, response, _ := strings.Cut(want, " ")
	if got.String() != want && (got.Status != status || !same(got.Payload, []byte(response))) {
		t.Errorf("%s of %s is answered\n%s, want\n%s", what, m.topic, got, want)
	}
}

// does pushes an order, pairs of keys and values, and checks the reply.
func (m *member) does(t testing.TB, want, event string, pairs ...any) {
	t.Helper()
	m.replies(t, event, object(pairs...), want)
}

// fails pushes an order that is refused for a reason, in which a * stands for
// anything.
func (m *member) fails(t testing.TB, reason, event string, pairs ...any) {
	t.Helper()
	got := m.answer(t, m.send(t, event, object(pairs...)))
	if want := "error " + object("reason", reason); got.String() == want {
		return
	}
	var response struct{ Reason string }
	if err := json.Unmarshal(got.Payload, &response); err != nil || got.Status != "error" || !matches(response.Reason, reason) {
		t.Errorf("%s %s is answered %s, want an error for %s", event, object(pairs...), got, reason)
	}
}

// get pushes an order and returns the response, which must be ok.
func (m *member) get(t testing.TB, event string, pairs ...any) map[string]any {
	t.Helper()
	got := m.answer(t, m.send(t, event, object(pairs...)))
	var values map[string]any
	if err := json.Unmarshal(got.Payload, &values); err != nil || got.Status != "ok" {
		t.Fatalf("%s %s of %s is answered %s", event, object(pairs...), m.topic, got)
	}
	return values
}

// hears waits for a message and checks its payload.
func (m *member) hears(t testing.TB, event, want string) {
	t.Helper()
	if f := m.next(t, event); f.Binary || !same(f.Payload, []byte(want)) {
		t.Errorf("%s of %s = %s, want %s", event, m.topic, f.Payload, want)
	}
}

func (m *member) hearsBytes(t testing.TB, event string, want []byte) {
	t.Helper()
	if f := m.next(t, event); !f.Binary || !bytes.Equal(f.Payload, want) {
		t.Errorf("%s of %s = %x, binary %v; want %x", event, m.topic, f.Payload, f.Binary, want)
	}
}

// hearsOf waits for a message and returns its payload.
func (m *member) hearsOf(t testing.TB, event string) (values map[string]any) {
	t.Helper()
	must(t, json.Unmarshal(m.next(t, event).Payload, &values))
	return values
}

// hasNot checks that a message did not come. Others that were sent later have come.
func (m *member) hasNot(t testing.TB, event string) {
	t.Helper()
	if m.HasAny(func(f hosttest.Message) bool { return f.Topic == m.topic && f.Event == event }) {
		t.Errorf("%s came in %s", event, m.topic)
	}
}

// object is a JSON object of pairs of keys and values.
func object(pairs ...any) string {
	values := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		values[pair[0].(string)] = pair[1]
	}
	b, _ := json.Marshal(values) // of texts and numbers
	return string(b)
}
