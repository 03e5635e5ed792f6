package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rtd/channels/history"
	"rtd/host/hosttest"
)

// nodesOf starts servers of one cluster, each with the echo plugin.
func nodesOf(t *testing.T, names ...string) []*server {
	t.Helper()
	var seeds, listeners []string
	for range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		listeners = append(listeners, l.Addr().String())
		seeds = append(seeds, fmt.Sprintf("%q", l.Addr()))
		l.Close()
	}
	var list []*server
	for i, name := range names {
		list = append(list, start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: fmt.Sprintf(`
[api]
keys = ["%s"]
[cluster]
name = "test"
node = "%s"
listen = "%s"
seeds = [%s]
down_after = "1s"
[plugin.echo]
history = ["echo:kept*"]
`, apiKey, name, listeners[i], strings.Join(seeds, ", "))}))
	}
	for _, s := range list {
		hosttest.Eventually(t, "all nodes are there", func() bool { return s.Metric(t, "rtd_cluster_nodes", "state", "there") == float64(len(names)-1) })
	}
	return list
}

// TestNodes has clients on three nodes be in the same topics, of which one has history.
func TestNodes(t *testing.T) {
	nodes := nodesOf(t, "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	var clients []*hosttest.Client
	for _, s := range nodes {
		client := s.Connect(t)
		client.MustJoin(t, "echo:lobby", "{}")
		client.MustJoin(t, "echo:kept", "{}")
		client.Expect(t, "echo:kept", "position") // before that it may miss what is said
		clients = append(clients, client)
	}
	ask := func(s *server, method, path, body, want string) string {
		t.Helper()
		status, answer := s.ask(t, method, path, apiKey, body)
		if status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%s %s: %d %s, want %s", method, path, status, answer, want)
		}
		return answer
	}
	ask(c, "GET", "/api/topics", "", `{"topic":"echo:lobby","members":3}`)
	for _, topic := range []string{"echo:lobby", "echo:kept"} {
		for i, s := range nodes {
			ask(s, "POST", "/api/broadcast", fmt.Sprintf(`{"topic":"%s","event":"said","payload":{"by":%d}}`, topic, i), `"sent":1`)
			for _, client := range clients {
				if m := client.Expect(t, topic, "said"); string(m.Payload) != fmt.Sprintf(`{"by":%d}`, i) {
					t.Errorf("%s: got %s", topic, m.Payload)
				}
			}
		}
	}

	// The history is the same at each node, whoever orders the topic, also where nobody is, and a client may come back anywhere.
	first := ask(a, "GET", "/api/history?topic=echo:kept", "", `"payload":{"by":2}`)
	for _, s := range nodes[1:] {
		if other := ask(s, "GET", "/api/history?topic=echo:kept", "", ""); other != first {
			t.Errorf("histories differ:\n%s\n%s", first, other)
		}
	}
	var page struct{ Position string }
	must(t, json.Unmarshal([]byte(first), &page))
	at, ok := history.Parse(page.Position)
	if !ok || at.Offset != 3 {
		t.Fatalf("the topic stands at %q", page.Position)
	}
	for _, s := range nodes {
		back := s.Connect(t)
		back.MustJoin(t, "echo:kept", fmt.Sprintf(`{"since":"%s:1"}`, at.Epoch))
		if m := back.Expect(t, "echo:kept", "recovered"); !strings.Contains(string(m.Payload), `"complete":true,"position":"`+at.String()+`","count":2`) {
			t.Errorf("recovered %s, want all up to %v", m.Payload, at)
		}
		back.Close()
	}
	ask(b, "DELETE", "/api/history?topic=echo:kept&before=3", "", "")
	for _, s := range nodes {
		hosttest.Eventually(t, "it is purged everywhere", func() bool {
			_, answer := s.ask(t, "GET", "/api/history?topic=echo:kept", apiKey, "")
			return strings.Contains(answer, `"oldest":3`)
		})
	}

	c.Stop(t)
	hosttest.Eventually(t, "it is gone", func() bool { return a.Metric(t, "rtd_cluster_nodes", "state", "left") == 1 })
	ask(a, "GET", "/api/topics", "", `{"topic":"echo:lobby","members":2}`)
	ask(a, "POST", "/api/broadcast", `{"topic":"echo:lobby","event":"said","payload":{"by":"a"}}`, `"sent":1`)
	if m := clients[1].Expect(t, "echo:lobby", "said"); string(m.Payload) != `{"by":"a"}` {
		t.Errorf("got %s", m.Payload)
	}
}

// TestPollsAnywhere has a client poll, and push, at another node than that of its session.
func TestPollsAnywhere(t *testing.T) {
	nodes := nodesOf(t, "a", "b")
	a, b := nodes[0], nodes[1]
	poll := func(s *server, method, token, body string) (answer struct {
		Status   int
		Token    string
		Messages []string
	}) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/socket/longpoll?vsn=2.0.0&token="+url.QueryEscape(token), strings.NewReader(body))
		must(t, err)
		reply, err := hosttest.Web.Do(r)
		must(t, err)
		defer reply.Body.Close()
		must(t, json.NewDecoder(reply.Body).Decode(&answer))
		return answer
	}
	opened := poll(a, "GET", "", "")
	if opened.Status != 410 {
		t.Fatalf("opened: %+v", opened)
	}
	if joined := poll(b, "POST", opened.Token, `["1","1","echo:lobby","phx_join",{"html":"<b>"}]`); joined.Status != 200 {
		t.Fatalf("joined: %+v", joined)
	}
	if replied := poll(b, "GET", opened.Token, ""); replied.Status != 200 || replied.Token != opened.Token || !strings.Contains(fmt.Sprint(replied.Messages), `"status":"ok"`) {
		t.Errorf("replied: %+v", replied)
	}
	go b.ask(t, "POST", "/api/broadcast", apiKey, `{"topic":"echo:lobby","event":"said","payload":{"text":"<b>"}}`)
	if said := poll(b, "GET", opened.Token, ""); !strings.Contains(fmt.Sprint(said.Messages), `"said",{"text":"<b>"}`) {
		t.Errorf("said: %+v", said)
	}

	// Who has given up takes nothing away from who polls next.
	ctx, giveUp := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(ctx, "GET", b.URL+"/socket/longpoll?vsn=2.0.0&token="+url.QueryEscape(opened.Token), nil)
		if err == nil {
			_, err = hosttest.Web.Do(r) //nolint:bodyclose // it fails
		}
		waits <- err
	}()
	hosttest.Eventually(t, "it is given up", func() bool {
		giveUp()
		return <-waits != nil
	})
	a.ask(t, "POST", "/api/broadcast", apiKey, `{"topic":"echo:lobby","event":"late","payload":{}}`)
	if late := poll(a, "GET", opened.Token, ""); !strings.Contains(fmt.Sprint(late.Messages), `"late"`) {
		t.Errorf("late: %+v", late)
	}

	a.Stop(t)
	if again := poll(b, "GET", opened.Token, ""); again.Status != 410 || !strings.HasPrefix(again.Token, "b~") {
		t.Errorf("when its node has ended: %+v", again)
	}
	if gone := poll(b, "POST", opened.Token, `["1","2","echo:lobby","echo",{}]`); gone.Status != 410 {
		t.Errorf("when its node has ended: %+v", gone)
	}
}
