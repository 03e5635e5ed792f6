package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// observer knows who is present from the states and diffs that it gets. It takes
// them as they come: what is before a state is in it.
type observer struct {
	*hosttest.Client

	mu     sync.Mutex
	metas  map[string]map[string]bool // phx_refs by key
	states int
	diffs  int
}

type metas map[string]struct {
	Metas []struct {
		Ref string `json:"phx_ref"`
	}
}

// watch joins a room as somebody who observes it.
func (s *server) watch(t testing.TB, name string) *observer {
	t.Helper()
	o := &observer{Client: s.Connect(t), metas: map[string]map[string]bool{}}
	o.Hear(o.take)
	o.MustJoin(t, "room:1", fmt.Sprintf(`{"token":"demo","user":%q}`, name))
	return o
}

func (o *observer) take(m hosttest.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var diff struct{ Joins, Leaves metas }
	switch m.Event {
	case "presence_state":
		o.states++
		clear(o.metas)
		json.Unmarshal(m.Payload, &diff.Joins)
	case "presence_diff":
		o.diffs++
		json.Unmarshal(m.Payload, &diff)
	}
	for key, list := range diff.Joins {
		if o.metas[key] == nil {
			o.metas[key] = map[string]bool{}
		}
		for _, meta := range list.Metas {
			o.metas[key][meta.Ref] = true
		}
	}
	for key, list := range diff.Leaves {
		for _, meta := range list.Metas {
			delete(o.metas[key], meta.Ref)
		}
		if len(o.metas[key]) == 0 {
			delete(o.metas, key)
		}
	}
}

// present is who the observer knows, as names and refs.
func (o *observer) present() map[string]map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Collect(func(yield func(string, map[string]bool) bool) {
		for key, refs := range o.metas {
			if !yield(key, maps.Clone(refs)) {
				return
			}
		}
	})
}

// churn is clients that come and go in one room, some of whom crash their handler or
// leave before they die.
type churn struct {
	server *server
	end    time.Time
	life   time.Duration // at most; half of that on average

	joins, crashes, leaves atomic.Int64
	slowest                atomic.Int64 // join with its state, in ns
	failed                 hosttest.FirstError
}

// lives is one life of a user after the other.
func (c *churn) lives(user string) {
	for time.Now().Before(c.end) && c.failed.Get() == nil {
		if err := c.live(user); err != nil {
			c.failed.Set(fmt.Errorf("%s: %w", user, err))
		}
	}
}

// live is one life. Its client looks only at the reply to its join and whether it
// is then told who is there.
func (c *churn) live(user string) error {
	begin := time.Now()
	ws, _, err := websocket.Dial(context.Background(), c.server.URL+"/socket/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: hosttest.Web})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	send := func(event, payload string) error {
		return ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `["1","1","room:1",%q,%s]`, event, payload))
	}
	if err := send("phx_join", fmt.Sprintf(`{"token":"demo","user":%q}`, user)); err != nil {
		return err
	}
	if _, reply, err := ws.Read(context.Background()); err != nil || !strings.Contains(string(reply), `"status":"ok"`) {
		return fmt.Errorf("join: %.200s, %w", reply, err)
	}
	told := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		told <- skipTo(ws, "presence_state")
		for skip(ws) == nil {
		}
	}()
	defer func() {
		ws.CloseNow() // without a word
		<-gone
	}()
	if err := <-told; err != nil {
		return fmt.Errorf("presence_state: %w", err)
	}
	c.joins.Add(1)
	for took := int64(time.Since(begin)); took > c.slowest.Load(); {
		c.slowest.Store(took)
	}

	c.rest()
	switch rand.IntN(3) {
	case 0: // restarted in place, and present again
		c.crashes.Add(1)
		err = send("crash", "{}")
	case 1:
		c.leaves.Add(1)
		err = send("phx_leave", "{}")
	}
	c.rest()
	return err
}

// rest is half of a life. Those who are left at the end die at once.
func (c *churn) rest() {
	time.Sleep(min(rand.N(c.life/2), time.Until(c.end)))
}

// skipTo reads up to the frame of an event, which it knows from the frame's beginning.
func skipTo(ws *websocket.Conn, event string) error {
	for {
		_, frame, err := ws.Reader(context.Background())
		if err != nil {
			return err
		}
		start := make([]byte, 60)
		n, err := io.ReadFull(frame, start)
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		if _, err := io.Copy(io.Discard, frame); err != nil {
			return err
		}
		if strings.Contains(string(start[:n]), event) {
			return nil
		}
	}
}

// skip reads a frame.
func skip(ws *websocket.Conn) error {
	_, frame, err := ws.Reader(context.Background())
	if err == nil {
		_, err = io.Copy(io.Discard, frame)
	}
	return err
}

// Clients join, crash, leave and die at random, and observers come meanwhile.
// Afterwards all observers know who is there, and nobody else is.
//
// RTD_TEST_CHURN=5000 makes the clients so many at a time, for a minute or for
// RTD_TEST_CHURN_PERIOD. They come within half of that, live up to all of it, and
// come back; at the end all die at once.
func TestPresenceUnderChurn(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"chat": chatGuest(t)},
		Config:  "[api]\nkeys = [\"" + apiKey + "\"]\n" + patientChat + "max_restarts = 1000\n",
	})
	clients, period := scaled(60, 20), scaled(2*time.Second, 4*time.Second)
	life, coming := 50*time.Millisecond, 10*time.Millisecond
	if n, err := strconv.Atoi(os.Getenv("RTD_TEST_CHURN")); err == nil {
		clients, period = n, time.Minute
		if text := os.Getenv("RTD_TEST_CHURN_PERIOD"); text != "" {
			period, err = time.ParseDuration(text)
			must(t, err)
		}
		life, coming = period, period/2
	}
	const observers = 10
	c := &churn{server: s, end: time.Now().Add(period), life: life}
	watching := []*observer{s.watch(t, "observer 0")}
	var lives sync.WaitGroup
	for n := range clients {
		lives.Go(func() {
			time.Sleep(rand.N(coming))
			c.lives(fmt.Sprintf("user %d", n/2)) // two for a key
		})
	}
	for n := 1; n < observers; n++ {
		time.Sleep(period / (observers + 1))
		for _, o := range watching {
			o.WantOpen(t)
		}
		watching = append(watching, s.watch(t, fmt.Sprint("observer ", n)))
		if n == observers/2 {
			hosttest.Eventually(t, "presence of who has come", func() bool { return len(watching[0].present()) >= observers/2 })
			t.Logf("half-way %d clients have joined; present are %d keys", c.joins.Load(), len(watching[0].present()))
		}
	}
	lives.Wait()
	must(t, c.failed.Get())
	t.Logf("%d clients joined in %v, %.0f/s; %d crashed, %d left; the slowest was in after %v",
		c.joins.Load(), period, float64(c.joins.Load())/period.Seconds(), c.crashes.Load(), c.leaves.Load(), time.Duration(c.slowest.Load()).Round(time.Millisecond))

	var truth metas
	hosttest.Eventually(t, "end of everybody's presence", func() bool {
		truth = nil
		_, body := s.ask(t, "GET", "/api/presence?topic=room:1", apiKey, "")
		var answer struct{ Presences metas }
		must(t, json.Unmarshal([]byte(body), &answer))
		truth = answer.Presences
		return len(truth) == observers
	})
	want := map[string]map[string]bool{}
	for key, list := range truth {
		if len(list.Metas) != 1 || !strings.HasPrefix(key, "observer ") {
			t.Errorf("left over is %q with %d metas", key, len(list.Metas))
		}
		want[key] = map[string]bool{list.Metas[0].Ref: true}
	}
	for n, o := range watching {
		hosttest.Eventually(t, fmt.Sprintf("agreement of observer %d", n), func() bool {
			return maps.EqualFunc(o.present(), want, maps.Equal[map[string]bool])
		})
		if o.states != 1 || n == 0 && o.diffs == 0 { // later ones may have come after all that happened
			t.Errorf("observer %d got %d states and %d diffs", n, o.states, o.diffs)
		}
	}
}
