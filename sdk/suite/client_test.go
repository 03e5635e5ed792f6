package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is a Phoenix client that speaks V2, also in binary, and forgets nothing that it
// receives.
type client struct {
	ws    *websocket.Conn
	ended chan struct{}
	ref   int

	mu      sync.Mutex
	inbox   []frame // that nobody has asked for yet
	changed chan struct{}
}

// frame is a message as received. A reply's event is its ref, and its payload begins
// with its status.
type frame struct {
	topic, event string
	binary       bool
	payload      []byte
}

// member is a client in a topic.
type member struct {
	*client
	topic   string
	joinRef string
}

func (s *stack) connect(t testing.TB, query string) *client {
	t.Helper()
	c, status := s.dial(t, query, nil)
	if c == nil {
		t.Fatalf("the client is refused: %d", status)
	}
	return c
}

// dial connects, or returns with which status that was refused.
func (s *stack) dial(t testing.TB, query string, o *websocket.DialOptions) (*client, int) {
	t.Helper()
	ws, response, err := websocket.Dial(context.Background(), s.url+query, o)
	if err != nil {
		if response == nil {
			t.Fatal(err)
		}
		return nil, response.StatusCode
	}
	ws.SetReadLimit(-1)
	c := &client{ws: ws, ended: make(chan struct{}), changed: make(chan struct{})}
	go c.read()
	t.Cleanup(func() { ws.CloseNow(); <-c.ended })
	return c, response.StatusCode
}

// join is a client of its own in a topic.
func (s *stack) join(t testing.TB, topic, payload string) *member {
	t.Helper()
	m := s.connect(t, "").member(topic)
	m.replies(t, "phx_join", payload, "ok {}")
	return m
}

// member is about to join.
func (c *client) member(topic string) *member {
	c.ref++
	return &member{c, topic, strconv.Itoa(c.ref)}
}

func (c *client) read() {
	defer close(c.ended)
	for {
		kind, b, err := c.ws.Read(context.Background())
		if err != nil {
			return
		}
		f := decode(b, kind == websocket.MessageBinary)
		c.mu.Lock()
		c.inbox = append(c.inbox, f)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

func decode(b []byte, isBinary bool) (f frame) {
	if isBinary {
		// The kind, sizes of names, names, and the payload.
		names := map[byte][]string{0: {"join_ref", "topic", "event"}, 1: {"join_ref", "ref", "topic", "status"}, 2: {"topic", "event"}}[b[0]]
		found, rest := map[string]string{}, b[1+len(names):]
		for i, name := range names {
			found[name], rest = string(rest[:b[1+i]]), rest[b[1+i]:]
		}
		f = frame{topic: found["topic"], event: found["event"], binary: true, payload: rest}
		if ref, ok := found["ref"]; ok {
			f.event, f.payload = ref, []byte(found["status"]+" "+string(rest))
		}
		return f
	}
	var fields [5]json.RawMessage
	var ref string
	if json.Unmarshal(b, &fields) != nil || json.Unmarshal(fields[2], &f.topic) != nil || json.Unmarshal(fields[3], &f.event) != nil {
		return frame{event: "malformed: " + string(b)}
	}
	_ = json.Unmarshal(fields[1], &ref) // null is ""
	f.payload = fields[4]
	if f.event == "phx_reply" {
		var reply struct {
			Status   string
			Response json.RawMessage
		}
		_ = json.Unmarshal(f.payload, &reply)
		f.event, f.payload = ref, []byte(reply.Status+" "+string(reply.Response))
	}
	return f
}

// next waits for a message of an event in the topic, and passes over no other of that
// event.
func (m *member) next(t testing.TB, event string) frame {
	t.Helper()
	late := time.After(patience)
	for ended := false; ; {
		m.mu.Lock()
		i := slices.IndexFunc(m.inbox, func(f frame) bool { return f.topic == m.topic && f.event == event })
		var f frame
		if i >= 0 {
			f = m.inbox[i]
			m.inbox = slices.Delete(m.inbox, i, i+1)
		}
		changed, have := m.changed, fmt.Sprintf("%.200s", m.texts())
		m.mu.Unlock()
		switch {
		case i >= 0:
			return f
		case ended:
			t.Fatalf("no %s in %s: the socket is closed; received %s", event, m.topic, have)
		}
		select {
		case <-changed:
		case <-m.ended:
			ended = true // look once more
		case <-late:
			t.Fatalf("no %s in %s; received %s", event, m.topic, have)
		}
	}
}

func (m *member) texts() (texts []string) {
	for _, f := range m.inbox {
		texts = append(texts, f.topic+" "+f.event+" "+string(f.payload))
	}
	return texts
}

// send pushes a message, which is not waited for, and returns its ref.
func (m *member) send(t testing.TB, event, payload string) string {
	t.Helper()
	m.ref++
	ref := strconv.Itoa(m.ref)
	if event == "phx_join" {
		m.joinRef = ref
	}
	text := fmt.Sprintf(`["%s","%s",%q,%q,%s]`, m.joinRef, ref, m.topic, event, payload)
	must(t, m.ws.Write(t.Context(), websocket.MessageText, []byte(text)))
	return ref
}

func (m *member) sendBytes(t testing.TB, event string, payload []byte) string {
	t.Helper()
	m.ref++
	ref := strconv.Itoa(m.ref)
	b := []byte{0, byte(len(m.joinRef)), byte(len(ref)), byte(len(m.topic)), byte(len(event))}
	b = append(b, m.joinRef+ref+m.topic+event...)
	must(t, m.ws.Write(t.Context(), websocket.MessageBinary, append(b, payload...)))
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
	got := string(m.next(t, ref).payload)
	status, response, _ := strings.Cut(got, " ")
	wantStatus, wantResponse, _ := strings.Cut(want, " ")
	if got != want && (status != wantStatus || !same([]byte(response), []byte(wantResponse))) {
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
	got := string(m.next(t, m.send(t, event, object(pairs...))).payload)
	if want := "error " + object("reason", reason); got == want {
		return
	}
	var response struct{ Reason string }
	status, text, _ := strings.Cut(got, " ")
	if err := json.Unmarshal([]byte(text), &response); err != nil || status != "error" || !matches(response.Reason, reason) {
		t.Errorf("%s %s is answered %s, want an error for %s", event, object(pairs...), got, reason)
	}
}

// get pushes an order and returns the response, which must be ok.
func (m *member) get(t testing.TB, event string, pairs ...any) map[string]any {
	t.Helper()
	got := string(m.next(t, m.send(t, event, object(pairs...))).payload)
	status, response, _ := strings.Cut(got, " ")
	var values map[string]any
	if err := json.Unmarshal([]byte(response), &values); err != nil || status != "ok" {
		t.Fatalf("%s %s of %s is answered %s", event, object(pairs...), m.topic, got)
	}
	return values
}

// hears waits for a message and checks its payload.
func (m *member) hears(t testing.TB, event, want string) {
	t.Helper()
	if f := m.next(t, event); f.binary || !same(f.payload, []byte(want)) {
		t.Errorf("%s of %s = %s, want %s", event, m.topic, f.payload, want)
	}
}

func (m *member) hearsBytes(t testing.TB, event string, want []byte) {
	t.Helper()
	if f := m.next(t, event); !f.binary || !bytes.Equal(f.payload, want) {
		t.Errorf("%s of %s = %x, binary %v; want %x", event, m.topic, f.payload, f.binary, want)
	}
}

// hearsOf waits for a message and returns its payload.
func (m *member) hearsOf(t testing.TB, event string) (values map[string]any) {
	t.Helper()
	must(t, json.Unmarshal(m.next(t, event).payload, &values))
	return values
}

// hasNot checks that a message did not come. Others that were sent later have come.
func (m *member) hasNot(t testing.TB, event string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.inbox, func(f frame) bool { return f.topic == m.topic && f.event == event }) {
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
