package longpoll_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/host/gateway/longpoll"
)

// client is one that polls, and the socket behind it.
type client struct {
	t      *testing.T
	server *longpoll.Server
	token  string

	mu     sync.Mutex
	out    channels.Outbox
	end    func()
	got    []string // frames, binary ones in angle brackets
	closed int
	refuse error

	joins sync.WaitGroup // that are not decided
}

// Receive implements [longpoll.Socket].
func (c *client) Receive(frame []byte, binary bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := string(frame)
	if binary {
		text = "<" + text + ">"
	}
	if text == "bad" {
		return errors.New("malformed")
	}
	c.got = append(c.got, text)
	return nil
}

// Decided implements [longpoll.Socket].
func (c *client) Decided(ctx context.Context) error {
	decided := make(chan struct{})
	go func() { c.joins.Wait(); close(decided) }()
	select {
	case <-decided:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements [longpoll.Socket].
func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed++
}

func (c *client) open(out channels.Outbox, end func()) (longpoll.Socket, error) {
	if c.refuse != nil {
		return nil, c.refuse
	}
	c.out, c.end = out, end
	return c, nil
}

type answer struct {
	Status   int
	Token    string
	Messages []string
}

func (c *client) do(ctx context.Context, method, kind, body string) (answer, *http.Response) {
	r := httptest.NewRequestWithContext(ctx, method, "/socket/longpoll?vsn=2.0.0", strings.NewReader(body))
	if c.token != "" {
		r.Header.Set("X-Phoenix-Longpoll-Token", c.token)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	c.server.Serve(w, r, c.open)
	var a answer
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			c.t.Errorf("body %q: %v", w.Body, err)
		}
	}
	return a, w.Result()
}

func (c *client) get() answer { a, _ := c.do(c.t.Context(), "GET", "", ""); return a }

func (c *client) post(kind, body string) int {
	a, _ := c.do(c.t.Context(), "POST", kind, body)
	return a.Status
}

func (c *client) send(text string) { c.out.Send(channels.Frame{Data: []byte(text)}) }

// connected returns a client with a session.
func connected(t *testing.T, o longpoll.Options) *client {
	c := &client{t: t, server: longpoll.New(o)}
	a := c.get()
	if a.Status != 410 || a.Token == "" || len(a.Messages) != 0 {
		t.Fatalf("first poll = %+v", a)
	}
	c.token = a.Token
	return c
}

func want(t *testing.T, a answer, status int, messages ...string) {
	t.Helper()
	if a.Status != status || !slices.Equal(a.Messages, messages) {
		t.Errorf("answer = %+v, want %d %q", a, status, messages)
	}
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connected(t, longpoll.Options{})
		c.send(`["a"]`)
		c.send(`["ü\n"]`)
		want(t, c.get(), 200, `["a"]`, `["ü\n"]`)

		begin := time.Now()
		want(t, c.get(), 204)
		if waited := time.Since(begin); waited != 10*time.Second {
			t.Errorf("an empty poll took %v", waited)
		}

		time.AfterFunc(3*time.Second, func() { c.send("later") })
		begin = time.Now()
		want(t, c.get(), 200, "later")
		if waited := time.Since(begin); waited != 3*time.Second {
			t.Errorf("a poll took %v until something came", waited)
		}
	})
}

// What a poll that was given up did not get, the next one gets.
func TestAbandonedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connected(t, longpoll.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.do(ctx, "GET", "", "")
		c.send("kept")
		want(t, c.get(), 200, "kept")

		var first answer
		var polls sync.WaitGroup
		polls.Go(func() { first = c.get() })
		synctest.Wait()
		polls.Go(func() { want(t, c.get(), 200, "for the second") })
		synctest.Wait()
		c.send("for the second")
		polls.Wait()
		want(t, first, 204)
	})
}

func TestPost(t *testing.T) {
	c := connected(t, longpoll.Options{MaxBody: 1000})
	const ndjson = "application/x-ndjson"
	for _, step := range []struct {
		kind, body string
		status     int
		want       []string
	}{
		{"application/json", `["1","2"]`, 200, []string{`["1","2"]`}},
		{"", `{"topic":"t"}`, 200, []string{`{"topic":"t"}`}},
		{ndjson, "[1]\n[2]\r\nAAE=\n[3]", 200, []string{"[1]", "[2]", "<\x00\x01>", "[3]"}},
		{ndjson + "; charset=utf-8", "[4]\n\n", 200, []string{"[4]"}},
		{ndjson, strings.Repeat("[5]\n", 120), 200, slices.Repeat([]string{"[5]"}, 100)},
	} {
		c.got = nil
		if status := c.post(step.kind, step.body); status != step.status || !slices.Equal(c.got, step.want) {
			t.Errorf("%s %.40q: status %d, frames %.200q", step.kind, step.body, status, c.got)
		}
	}
	if _, r := c.do(t.Context(), "POST", "", strings.Repeat("x", 1001)); r.StatusCode != 400 {
		t.Errorf("too large a body: %d", r.StatusCode)
	}
}

func TestBadFramesEndTheSession(t *testing.T) {
	for kind, body := range map[string]string{"application/json": "bad", "application/x-ndjson": "[1]\n!!!"} {
		c := connected(t, longpoll.Options{})
		if status := c.post(kind, body); status != 410 {
			t.Errorf("%q: status %d", body, status)
		}
		if c.closed != 1 {
			t.Errorf("%q: socket closed %d times", body, c.closed)
		}
		if status := c.post("", "[1]"); status != 410 {
			t.Errorf("after it: status %d", status)
		}
		if a := c.get(); a.Status != 410 || a.Token == c.token {
			t.Errorf("a poll after it: %+v", a)
		}
	}
}

func TestRefusalsAndManners(t *testing.T) {
	c := &client{t: t, server: longpoll.New(longpoll.Options{Sessions: 1}), refuse: errors.New("no")}
	want(t, c.get(), 403)
	c.refuse = fmt.Errorf("crashed: %w", longpoll.ErrLater)
	want(t, c.get(), longpoll.TryAgain)
	c.refuse, c.token = nil, "made up"
	if a := c.get(); a.Status != 410 || a.Token == "made up" {
		t.Errorf("an unknown token: %+v", a)
	}
	c.token = ""
	want(t, c.get(), longpoll.TryAgain) // one too many
	if status := c.post("", "[1]"); status != 410 {
		t.Errorf("post without a token: %d", status)
	}
	r := httptest.NewRequest("OPTIONS", "/socket/longpoll", nil)
	r.Header.Set("Access-Control-Request-Headers", "x-phoenix-authtoken,content-type")
	w := httptest.NewRecorder()
	c.server.Serve(w, r, c.open)
	for name, want := range map[string]string{
		"Access-Control-Allow-Headers": "x-phoenix-authtoken,content-type",
		"Access-Control-Allow-Methods": "get, post, options",
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Max-Age":       "3600",
	} {
		if got := w.Header().Get(name); got != want || w.Code != 200 {
			t.Errorf("OPTIONS: %s = %q, want %q", name, got, want)
		}
	}
	if _, r := c.do(t.Context(), "DELETE", "", ""); r.StatusCode != 400 {
		t.Errorf("DELETE: %d", r.StatusCode)
	}
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connected(t, longpoll.Options{})
		time.Sleep(14 * time.Second)
		c.server.Sweep(time.Now())
		want(t, c.get(), 204) // it was there
		time.Sleep(16 * time.Second)
		c.server.Sweep(time.Now())
		if c.closed != 1 || c.server.Stats().Sessions != 0 {
			t.Errorf("closed %d times, %+v", c.closed, c.server.Stats())
		}

		c = connected(t, longpoll.Options{})
		var polls sync.WaitGroup
		polls.Go(func() {
			if a := c.get(); a.Status != 410 {
				t.Errorf("a poll while the session ends: %+v", a)
			}
		})
		synctest.Wait()
		c.end() // as disconnect does
		polls.Wait()
		synctest.Wait()
		if c.closed != 1 {
			t.Errorf("closed %d times", c.closed)
		}
	})
}

func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connected(t, longpoll.Options{Messages: 3})
		for n := range 4 {
			c.send(fmt.Sprint(n))
		}
		c.out.Send(channels.Frame{Data: []byte{1}, Binary: true})
		synctest.Wait()
		if s := c.server.Stats(); s.Slow != 1 || s.Sessions != 0 || c.closed != 1 || s.Binary != 1 {
			t.Errorf("%+v, closed %d times", s, c.closed)
		}
	})
}

// Many clients, posting and polling at once: nothing lost, doubled or out of order.
func TestConcurrently(t *testing.T) {
	server := longpoll.New(longpoll.Options{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c := &client{t: t, server: server}
			c.token = c.get().Token
			const n = 200
			all.Go(func() {
				for i := range n {
					c.send(fmt.Sprint(i))
				}
			})
			var got []string
			for len(got) < n {
				got = append(got, c.get().Messages...)
			}
			for i, text := range got {
				if text != fmt.Sprint(i) {
					t.Errorf("message %d is %s", i, text)
					return
				}
			}
		})
	}
	all.Wait()
	server.Close()
	if s := server.Stats(); s.Sessions != 0 {
		t.Errorf("%+v", s)
	}
}

func FuzzPost(f *testing.F) {
	f.Add("application/x-ndjson", "[1]\nAAE=\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		c := &client{t: t, server: longpoll.New(longpoll.Options{})}
		c.token = c.get().Token
		if status := c.post(kind, body); status != 200 && status != 410 {
			t.Errorf("status %d", status)
		}
	})
}

// TestPostWaitsForJoins makes sure that a poll behind a POST finds the replies to all its joins, and that
// a POST does not wait for ever.
func TestPostWaitsForJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connected(t, longpoll.Options{Window: 10 * time.Second})
		c.joins.Add(1)
		go func() {
			time.Sleep(3 * time.Second)
			c.send("1")
			c.send("2")
			c.joins.Done()
		}()
		began := time.Now()
		if status := c.post("", "[join]"); status != 200 || time.Since(began) != 3*time.Second {
			t.Errorf("post: %d after %v", status, time.Since(began))
		}
		want(t, c.get(), 200, "1", "2")

		c.joins.Add(1)
		defer c.joins.Done()
		began = time.Now()
		if status := c.post("", "[join]"); status != 408 || time.Since(began) != 10*time.Second {
			t.Errorf("post with a slow join: %d after %v", status, time.Since(began))
		}
	})
}
