package channels_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// ears hear broadcasts.
type ears struct {
	mu    sync.Mutex
	heard []string
}

func (e *ears) hear(b channels.Broadcasted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, fmt.Sprintf("%s %s %s %t", b.Topic, b.Event, b.Payload, b.Binary))
}

func (e *ears) want(t *testing.T, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.Join(e.heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard:\n%s\nwant:\n%s", strings.Join(e.heard, "\n"), strings.Join(want, "\n"))
	}
	e.heard = nil
}

func TestPublish(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a, b, elsewhere := s.connect().joined("room:a"), s.connect().joined("room:a"), s.connect().joined("room:b")
		for _, payload := range []string{`{"n":1}`, ``} {
			if err := s.Publish("room:a", "news", []byte(payload), false); err != nil {
				t.Error(err)
			}
		}
		if err := s.Publish("room:a", "news", []byte{0}, true); err != nil {
			t.Error(err)
		}
		want := []string{`[null,null,"room:a","news",{"n":1}]`, `[null,null,"room:a","news",{}]`, "binary \x02\x06\x04room:anews\x00"}
		a.want(want...)
		b.want(want...)
		for _, err := range []error{
			s.Publish("room:a", "news", []byte(`[1]`), false),
			s.Publish("room:a", "news", []byte(`{`), false),
			s.Publish("room:a", "\xff", nil, false),
			s.Publish("room:\xff", "news", nil, false),
			s.Publish("room:a", strings.Repeat("x", 256), nil, true),
			s.Publish(strings.Repeat("x", 256), "news", nil, true),
		} {
			if err == nil {
				t.Error("was published")
			}
		}
		a.want()
		elsewhere.want()
		if st := s.Stats(); st.Broadcasts != 3 || st.Deliveries != 6 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestListen(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		var first, second, other ears
		cancel := s.Listen(nil, "room:a", first.hear)
		again := s.Listen(nil, "room:a", first.hear)
		cancelSecond := s.Listen(nil, "room:a", second.hear)
		defer s.Listen(nil, "room:b", other.hear)()
		if n := s.Hub.Members("room:a"); n != 0 {
			t.Errorf("listeners count as %d members", n)
		}
		again()
		s.Publish("room:a", "news", nil, false) // nobody has joined
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","say",{"n":1}]`)
		c.sendBinary(bin("1", "3", "room:a", "shout", "\x01"))
		c.want(`[null,null,"room:a","said",{"n":1}]`)
		want := []string{`room:a news {} false`, `room:a said {"n":1} false`, "room:a shouted \x01 true"}
		first.want(t, want...)
		second.want(t, want...)
		cancel()
		cancel()
		again()
		c.send(`["1","4","room:a","phx_leave",{}]`)
		settle()
		c.take()
		second.heard = nil // a shared handler tells who has left
		s.Publish("room:a", "news", nil, false)
		first.want(t)
		second.want(t, want[0])
		cancelSecond()
		s.Publish("room:a", "news", nil, false)
		second.want(t)
		other.want(t)
	})
}

// A listener that may not listen any more hears nothing until it may again, unless it has cancelled.
func TestSuspend(t *testing.T) {
	e := channels.NewEndpoint(channels.Limits{})
	var a, b, c, nobody ears
	e.Listen("a", "room:1", a.hear)
	e.Listen("a", "room:2", a.hear)
	e.Listen("b", "room:1", b.hear)
	cancel := e.Listen("a", "room:1", c.hear)
	e.Listen(nil, "room:1", nobody.hear)
	publish := func() {
		t.Helper()
		for _, topic := range []string{"room:1", "room:2"} {
			if err := e.Publish(topic, "news", nil, false); err != nil {
				t.Error(err)
			}
		}
	}
	const one, two = "room:1 news {} false", "room:2 news {} false"
	denied := func(owner any, topic string) bool { return owner == "a" && topic == "room:1" }
	e.Hub.Suspend(func(topic string) bool { return topic != "room:1" }, denied)
	publish()
	a.want(t, one, two)
	b.want(t, one)
	c.want(t, one)
	nobody.want(t, one)
	for range 2 {
		e.Hub.Suspend(func(topic string) bool { return topic == "room:1" }, denied)
		publish()
		a.want(t, two)
		b.want(t, one)
		c.want(t)
		nobody.want(t, one)
	}
	e.Hub.Resume(func(any, string) bool { return false })
	publish()
	a.want(t, two)
	b.want(t, one)
	nobody.want(t, one)
	cancel()
	e.Hub.Resume(denied)
	publish()
	a.want(t, one, two)
	b.want(t, one)
	c.want(t)
	nobody.want(t, one)
}

// TestBroadcastedOutlivesTheGuest has a listener keep what a guest overwrites.
func TestBroadcastedOutlivesTheGuest(t *testing.T) {
	h, payload := channels.NewEndpoint(channels.Limits{}), []byte(`{"n":1}`)
	var kept channels.Broadcasted
	defer h.Listen(nil, "t", func(b channels.Broadcasted) { kept = b })()
	h.Publish("t", "e", payload, false)
	copy(payload, `{"n":2}`)
	if string(kept.Payload) != `{"n":1}` {
		t.Errorf("kept %s", kept.Payload)
	}
}

func TestDisconnect(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		var ends []string
		connect := func(name, id string) *client {
			return s.connectWith(channels.SocketOptions{ID: id, Disconnect: func() { ends = append(ends, name) }})
		}
		want := func(id string, names ...string) {
			t.Helper()
			if n := s.Disconnect(id); n != len(names) || strings.Join(ends, " ") != strings.Join(names, " ") {
				t.Errorf("disconnect %q: %d, ends of %q, want %q", id, n, ends, names)
			}
			ends = nil
		}
		a1, a2, a3 := connect("a1", "user:a"), connect("a2", "user:a"), connect("a3", "user:a")
		b := connect("b", "user:b")
		connect("nobody", "")
		s.connectWith(channels.SocketOptions{ID: "user:c"})
		want("user:a", "a3", "a2", "a1")
		want("user:b", "b")
		want("")
		want("user:")
		if n := s.Disconnect("user:c"); n != 1 { // it cannot be told
			t.Errorf("user:c: %d", n)
		}
		a2.Close()
		want("user:a", "a3", "a1")
		a3.Close()
		a3.Close()
		want("user:a", "a1")
		a1.Close()
		want("user:a")
		b.Close()
		want("user:b")
		connect("b2", "user:b")
		want("user:b", "b2")
	})
}

// TestPubSubHammer does everything at once, from outside and from guests that
// hold their handlers' locks.
func TestPubSubHammer(t *testing.T) {
	s := newServer(t, options{tree: supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1 << 30}}})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			var e ears
			for i := range 200 {
				cancel := s.Listen(nil, "room:a", e.hear)
				box := &outbox{}
				o := channels.SocketOptions{ID: fmt.Sprint(n % 2), Out: box, Codec: []channels.Codec{channels.V1, channels.V2}[n%2]}
				o.Disconnect = func() {}
				c := s.NewSocket(o)
				for _, f := range []string{`"phx_join","payload":"intercept"`, `"say","payload":{}`, `"crash","payload":{}`, `"echo","payload":{}`} {
					frame := `{"topic":"room:a","ref":"1","event":` + f + `}`
					if n%2 == 1 {
						frame = `["1","1","room:a",` + strings.Replace(f, `"payload":`, "", 1) + `]`
					}
					if err := c.Receive([]byte(frame), false); err != nil {
						t.Error(err)
					}
				}
				if err := s.Publish("room:a", "said", nil, i%2 == 0); err != nil {
					t.Error(err)
				}
				s.Disconnect(fmt.Sprint(i % 2))
				for len(box.take()) == 0 { // the join's answer
					time.Sleep(10 * time.Microsecond)
				}
				c.Close()
				cancel()
			}
		})
	}
	wg.Wait()
	for s.Stats().Channels > 0 {
		time.Sleep(time.Millisecond)
	}
	if st := s.Stats(); st.Intercepted == 0 || st.Broadcasts < 1600 {
		t.Errorf("not much happened: %+v", st)
	}
	s.close()
}
