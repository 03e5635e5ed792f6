package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// A server that is stopped while people chat closes their sockets with 1012, and
// what it has acknowledged everybody has got.
func TestDrainUnderTraffic(t *testing.T) {
	t.Parallel()
	const clientCount = 30
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: patientChat})
	clients := s.ConnectAll(t, clientCount, "room:lobby", `{"token":"demo"}`)
	heard := make([]map[string]int, clientCount) // written by the client's reader, read after its end
	for i, c := range clients {
		heard[i] = map[string]int{}
		c.Hear(func(m hosttest.Message) {
			var p struct{ Body string }
			_ = json.Unmarshal(m.Payload, &p) // what is no message is counted as ""
			heard[i][p.Body]++
		})
	}
	acknowledged := make([][]string, clientCount)
	var answered atomic.Int64
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf("%d-%d", i, n)
				r, err := c.Call("room:lobby", "new_message", fmt.Sprintf(`{"body":%q}`, body))
				if err != nil || r.Status != "ok" {
					return // the server has stopped; the client looks whether it was for 1012
				}
				acknowledged[i] = append(acknowledged[i], body)
				answered.Add(1)
			}
		})
	}
	hosttest.Eventually(t, "traffic", func() bool { return answered.Load() > 10*clientCount })
	begin := time.Now()
	s.Stop(t)
	t.Logf("drained %d connections in %v, after %d messages", clientCount, time.Since(begin).Round(time.Millisecond), answered.Load())
	hosttest.Within(t, "the clients", func() error { all.Wait(); return nil })
	for i, c := range clients {
		c.WantClosed(t, websocket.StatusServiceRestart)
		for sender := range clients {
			for _, body := range acknowledged[sender] {
				if heard[i][body] != 1 {
					t.Fatalf("message %s was acknowledged, client %d has heard it %d times", body, i, heard[i][body])
				}
			}
		}
	}
}

// What a handler has begun when the drain begins, it finishes: the answer and the
// broadcast arrive before the sockets close.
func TestDrainLetsHandlersFinish(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: nastyTable})
	clients := s.ConnectAll(t, 2, "nasty:a", "{}")
	before := s.Metric(t, "rtd_messages_in_total")
	ref, err := clients[0].Push("nasty:a", "slow", `{"n":1}`)
	must(t, err)
	hosttest.Eventually(t, "its arrival", func() bool { return s.Metric(t, "rtd_messages_in_total") > before })
	s.Stop(t)
	for _, c := range clients {
		c.Expect(t, "nasty:a", "slow")
		c.WantClosed(t, websocket.StatusServiceRestart)
	}
	if r, err := clients[0].Reply(ref); err != nil || r.Status != "ok" {
		t.Errorf("reply %v, %v", r, err)
	}
}

// Guests that are in the middle of something cannot hold the server up for longer
// than their deadline, nor clients that answer no close frame.
func TestDrainWithBusyGuests(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: nastyTable + "[server]\ngrace = \"5m\"\n"})
	c := s.Connect(t)
	s.joinAndSleep(t)
	c.MustJoin(t, "nasty:a", "{}")
	_, err := c.Push("nasty:a", "loop", "{}")
	must(t, err)
	time.Sleep(100 * time.Millisecond) // so that the loop has begun
	s.Stop(t)                          // within Patience, which is less than the grace period
	c.WantClosed(t, websocket.StatusServiceRestart)
}

// Nobody is let in while plugins load or the server drains.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: nastyTable +
		"[server]\ngrace = \"10m\"\ndrain_batch = 1\ndrain_interval = \"10s\"\n"})
	if status, text := s.Get(t, "/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", status, text)
	}
	s.Connect(t)
	s.Connect(t) // whose turn to be closed comes seconds later
	s.Cancel()
	s.Log.Wait(t, "draining")
	if status, _ := s.Get(t, "/readyz"); status != 503 {
		t.Errorf("readyz while draining: %d, want 503", status)
	}
	if status, _ := s.Get(t, "/healthz"); status != 200 {
		t.Errorf("healthz while draining: %d, want 200", status)
	}
	if status := s.refusal(t, "?vsn=2.0.0", nil); status != 503 {
		t.Errorf("connect while draining: %d, want 503", status)
	}
	if _, answer := s.Get(t, "/socket/longpoll?vsn=2.0.0"); !strings.Contains(answer, `"status":500`) { // which clients take for a 503
		t.Errorf("a new session while draining: %s", answer)
	}
}

// A drain in stages: batches close one after the other, and whose turn has not come is
// served as before. Channels end for the reason "draining", and nobody is told to stay away.
func TestStagedDrain(t *testing.T) {
	t.Parallel()
	const interval = 8 * time.Second
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[server]\ngrace = \"60s\"\ndrain_batch = 2\ndrain_interval = \"8s\"\n"})
	clients := s.ConnectAll(t, 5, "room:a", "{}")
	for _, c := range clients {
		c.MustJoin(t, "terminated:all", "{}")
		c.WantReply(t, "room:a", "report", `{"as":"all"}`, "ok")
	}
	open := func() (n int) {
		for _, c := range clients {
			if !c.IsClosed() {
				n++
			}
		}
		return n
	}
	begin := time.Now()
	s.Cancel()
	for _, left := range []int{3, 1, 0} {
		hosttest.Eventually(t, fmt.Sprintf("%d that are open", left), func() bool { return open() <= left })
		if n := open(); n != left {
			t.Fatalf("%d are open after %v, want %d", n, time.Since(begin), left)
		}
		for _, c := range clients {
			if !c.IsClosed() {
				c.WantOpen(t)
				c.WantReply(t, "room:a", "echo", `{"n":1}`, `ok {"n":1}`)
				if status, _, _ := s.status(t, "/socket/websocket?vsn=2.0.0", nil); status != 503 {
					t.Errorf("a new one: status %d, want 503", status)
				}
			}
		}
	}
	if took := time.Since(begin); took < 2*interval {
		t.Errorf("three batches took %v, want two intervals of %v", took, interval)
	}
	s.Stop(t)
	heard := 0
	for _, c := range clients {
		c.WantClosed(t, websocket.StatusServiceRestart)
		if c.Has("phx_close") || c.Has("phx_error") {
			t.Error("a client was told to leave its channel")
		}
		for {
			m, err := c.Next(func(m hosttest.Message) bool { return m.Event == "terminated" })
			if err != nil {
				break
			}
			heard++
			if !strings.Contains(string(m.Payload), "shutdown: draining") {
				t.Errorf("terminated for %s", m.Payload)
			}
		}
	}
	if heard == 0 {
		t.Error("nobody has heard of the end of others")
	}
}

// A drain that is spread tells everybody, over both transports, when to come back, and only then ends the connection. Who has not been told
// is served. No two come back at once.
func TestSpreadDrain(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[server]\ngrace = \"60s\"\ndrain_spread = \"2s\"\n"})
	poll := func(token string) (status int, said string, next string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/socket/longpoll?vsn=2.0.0", nil)
		must(t, err)
		r.Header.Set("X-Phoenix-Longpoll-Token", token)
		response, err := hosttest.Web.Do(r)
		must(t, err)
		defer response.Body.Close()
		var a struct {
			Status   int
			Token    string
			Messages []string
		}
		must(t, json.NewDecoder(response.Body).Decode(&a))
		return a.Status, strings.Join(a.Messages, "\n"), a.Token
	}
	_, _, token := poll("")
	clients := s.ConnectAll(t, 10, "room:a", "{}")
	isNotice := func(m hosttest.Message) bool { return m.Topic == "phoenix" && m.Event == "reconnect" }
	s.Cancel()
	told := 0
	hosttest.Eventually(t, "the first notice", func() bool {
		for _, c := range clients {
			if c.HasAny(isNotice) {
				told++
			}
		}
		return told > 0
	})
	if last := slices.IndexFunc(clients, func(c *hosttest.Client) bool { return !c.HasAny(isNotice) }); last >= 0 && !clients[last].IsClosed() {
		if r, err := clients[last].Call("room:a", "echo", `{"n":1}`); (err != nil || r.String() != `ok {"n":1}`) && !clients[last].HasAny(isNotice) {
			t.Errorf("who was not told is answered %v, %v", r, err)
		}
	}
	if status, said, _ := poll(token); status != 200 || !strings.Contains(said, `"phoenix","reconnect",{"after":2`) {
		t.Errorf("who polls is told %d %s", status, said)
	}
	if status, _, _ := poll(token); status != 500 { // at the end of the session
		t.Errorf("status %d when its session has ended", status)
	}
	s.Stop(t)
	for _, c := range clients {
		c.WantClosed(t, websocket.StatusServiceRestart)
		m, err := c.Next(isNotice)
		var when struct{ After int }
		if err != nil || json.Unmarshal(m.Payload, &when) != nil || when.After < 2000 || when.After > 2050 {
			t.Errorf("told %v, %v", m, err)
		}
	}
}

// The grace period bounds what is spread: half of it is for the rest.
func TestSpreadDrainWithinGrace(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[server]\ngrace = \"2s\"\ndrain_spread = \"10m\"\n"})
	clients := s.ConnectAll(t, 3, "room:a", "{}")
	s.Stop(t)
	for _, c := range clients {
		c.WantClosed(t, websocket.StatusServiceRestart)
		if !c.Has("reconnect") {
			t.Error("nothing said when to come back")
		}
	}
}
