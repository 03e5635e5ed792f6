package host_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A server that is stopped while people chat closes their sockets with 1012, and
// what it has acknowledged everybody has got.
func TestDrainUnderTraffic(t *testing.T) {
	const clientCount = 30
	s := start(t, setup{plugins: map[string][]byte{"chat": chatGuest(t)}, config: patientChat})
	clients := s.connectAll(t, clientCount, "room:lobby", `{"token":"demo"}`)
	heard := make([]map[string]int, clientCount) // written by the client's reader, read after its end
	for i, c := range clients {
		heard[i] = map[string]int{}
		c.mu.Lock()
		c.seen = func(m message) {
			var p struct{ Body string }
			_ = json.Unmarshal(m.payload, &p) // what is no message is counted as ""
			heard[i][p.Body]++
		}
		c.mu.Unlock()
	}
	acknowledged := make([][]string, clientCount)
	var answered atomic.Int64
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf("%d-%d", i, n)
				r, err := c.push("room:lobby", "new_message", fmt.Sprintf(`{"body":%q}`, body))
				if err != nil || r.Status != "ok" {
					return // the server has stopped; the client looks whether it was for 1012
				}
				acknowledged[i] = append(acknowledged[i], body)
				answered.Add(1)
			}
		})
	}
	eventually(t, "traffic", func() bool { return answered.Load() > 10*clientCount })
	begin := time.Now()
	s.stop(t)
	t.Logf("drained %d connections in %v, after %d messages", clientCount, time.Since(begin).Round(time.Millisecond), answered.Load())
	within(t, "the clients", func() error { all.Wait(); return nil })
	for i, c := range clients {
		c.wantClosed(t, websocket.StatusServiceRestart)
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
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: nastyTable})
	clients := s.connectAll(t, 2, "nasty:a", "{}")
	ref, err := clients[0].send("nasty:a", "slow", `{"n":1}`)
	must(t, err)
	time.Sleep(100 * time.Millisecond) // so that it has begun
	s.stop(t)
	for _, c := range clients {
		c.expect(t, "nasty:a", "slow")
		c.wantClosed(t, websocket.StatusServiceRestart)
	}
	if r, err := clients[0].reply("nasty:a", "slow", ref); err != nil || r.Status != "ok" {
		t.Errorf("reply %v, %v", r, err)
	}
}

// Guests that are in the middle of something cannot hold the server up for longer
// than their deadline, nor clients that answer no close frame.
func TestDrainWithBusyGuests(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: nastyTable + "[server]\ngrace = \"10s\"\n"})
	c := s.connect(t)
	s.joinAndSleep(t)
	c.mustJoin(t, "nasty:a", "{}")
	_, err := c.send("nasty:a", "loop", "{}")
	must(t, err)
	time.Sleep(100 * time.Millisecond) // so that the loop has begun
	begin := time.Now()
	s.stop(t)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the server took %v to stop, its grace period is 10 s", took)
	}
	c.wantClosed(t, websocket.StatusServiceRestart)
}

// Nobody is let in while plugins load or the server drains.
func TestReadiness(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: nastyTable})
	if status, text := s.get(t, "/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", status, text)
	}
	c := s.connect(t)
	c.mustJoin(t, "nasty:a", "{}")
	_, err := c.send("nasty:a", "loop", "{}")
	must(t, err)
	time.Sleep(100 * time.Millisecond) // so that the loop has begun, and the drain waits for it
	s.cancel()
	s.log.wait(t, "draining")
	if status, _ := s.get(t, "/readyz"); status != 503 {
		t.Errorf("readyz while draining: %d, want 503", status)
	}
	if status, _ := s.get(t, "/healthz"); status != 200 {
		t.Errorf("healthz while draining: %d, want 200", status)
	}
	if status := s.refusal(t, "?vsn=2.0.0", nil); status != 503 {
		t.Errorf("connect while draining: %d, want 503", status)
	}
}

// A drain in stages: batches close one after the other, and whose turn has not come is
// served as before. Channels end for the reason "draining", and nobody is told to stay away.
func TestStagedDrain(t *testing.T) {
	const interval = 1500 * time.Millisecond
	s := start(t, setup{plugins: map[string][]byte{"phx": phxGuest(t)}, config: phxTable +
		"[server]\ngrace = \"60s\"\ndrain_batch = 2\ndrain_interval = \"1500ms\"\n"})
	clients := s.connectAll(t, 5, "room:a", "{}")
	for _, c := range clients {
		c.mustJoin(t, "terminated:all", "{}")
		c.wantReply(t, "room:a", "report", `{"as":"all"}`, "ok")
	}
	open := func() (n int) {
		for _, c := range clients {
			if !c.isClosed() {
				n++
			}
		}
		return n
	}
	s.cancel()
	begin := time.Now()
	for _, left := range []int{3, 1, 0} {
		eventually(t, fmt.Sprintf("%d that are open", left), func() bool { return open() <= left })
		if n := open(); n != left {
			t.Fatalf("%d are open after %v, want %d", n, time.Since(begin), left)
		}
		for _, c := range clients {
			if !c.isClosed() {
				c.wantOpen(t)
				c.wantReply(t, "room:a", "echo", `{"n":1}`, `ok {"n":1}`)
				if status, _, _ := s.status(t, "/socket/websocket?vsn=2.0.0", nil); status != 503 {
					t.Errorf("a new one: status %d, want 503", status)
				}
			}
		}
	}
	if took := time.Since(begin); took < 2*interval {
		t.Errorf("three batches took %v, want two intervals of %v", took, interval)
	}
	s.stop(t)
	heard := 0
	for _, c := range clients {
		c.wantClosed(t, websocket.StatusServiceRestart)
		if c.has("phx_close") || c.has("phx_error") {
			t.Error("a client was told to leave its channel")
		}
		for {
			m, err := c.next(func(m message) bool { return m.event == "terminated" })
			if err != nil {
				break
			}
			heard++
			if !strings.Contains(string(m.payload), "shutdown: draining") {
				t.Errorf("terminated for %s", m.payload)
			}
		}
	}
	if heard == 0 {
		t.Error("nobody has heard of the end of others")
	}
}

// However small the batches, the last of them closes within the grace period.
func TestDrainBatchesFitTheGrace(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"echo": echoGuest(t)}, config: "[server]\ngrace = \"4s\"\ndrain_batch = 1\ndrain_interval = \"1s\"\n"})
	clients := s.connectAll(t, 30, "echo:a", "{}")
	begin := time.Now()
	s.stop(t)
	if took := time.Since(begin); took < 2*time.Second || took > 4*time.Second {
		t.Errorf("the drain took %v, want the two intervals that fit", took)
	}
	for _, c := range clients {
		c.wantClosed(t, websocket.StatusServiceRestart)
	}
}
