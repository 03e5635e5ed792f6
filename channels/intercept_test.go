package channels_test

import (
	"fmt"
	"testing"

	"rtd/channels"
	"rtd/supervisor"
)

// interceptors join a topic with guests that intercept "said".
func (c *client) interceptor(topic string) *client {
	c.t.Helper()
	c.send(fmt.Sprintf(`["1","1",%q,"phx_join","intercept"]`, topic))
	c.want(ok("1", "1", topic))
	return c
}

const saidOut = `["1",null,"room:a","said out",{}]`

func TestIntercept(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		a, b, plain := s.connect().interceptor("room:a"), s.connect().interceptor("room:a"), s.connect().joined("room:a")
		plain.send(`["1","2","room:a","say",{}]`)
		plain.want(said)
		a.want(saidOut)
		b.want(saidOut)
		// Its own, too, but for those that leave it out.
		a.send(`["1","3","room:a","say and echo",{"n":1}]`)
		a.want(`["1","3","room:a","phx_reply",{"status":"ok","response":{"n":1}}]`, `["1",null,"room:a","said out",{"n":1}]`)
		b.want(`["1",null,"room:a","said out",{"n":1}]`)
		plain.want(`[null,null,"room:a","said",{"n":1}]`)
		plain.sendBinary(bin("1", "3", "room:a", "say", "\x01"))
		plain.want("binary \x02\x06\x04room:asaid\x01")
		a.want("binary \x00\x01\x06\x081room:asaid out\x01")
		b.take()
		// Other events go past the guests, and so do those that are altered.
		plain.send(`["1","4","room:a","shout",{}]`)
		a.want(`[null,null,"room:a","shouted",{}]`)
		b.take()
		plain.send(`["1","5","room:a","say",{"drop":true}]`)
		a.want()
		b.want()
		plain.take()
		if st := s.Stats(); st.Intercepted != 8 || st.Deliveries != 4+2 {
			t.Errorf("stats: %+v", st)
		}
		// The end of a membership is the end of it.
		a.send(`["1","6","room:a","phx_leave",{}]`)
		settle()
		a.take()
		plain.send(`["1","7","room:a","say",{}]`)
		b.want(saidOut)
		a.want()
		plain.want(said)
	})
}

func TestInterceptBeginsWithTheJoin(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","intercept and say"]`)
		c.want(ok("1", "1", "room:a"), saidOut)
	})
}

func TestBroadcastFromLeavesOutItsInterceptor(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		a, b := s.connect().interceptor("room:a"), s.connect().interceptor("room:a")
		a.send(`["1","2","room:a","shout as said",{}]`)
		a.want()
		b.want(saidOut)
	})
}

// TestInterceptedInOrder has broadcasts wait with a client's messages.
func TestInterceptedInOrder(t *testing.T) {
	run(t, options{mailbox: 3}, func(t *testing.T, s *server) {
		c, plain := s.connect().interceptor("room:a"), s.connect().joined("room:a")
		c.send(`["1","2","room:a","wait",{}]`)
		settle()
		plain.send(`["1","2","room:a","say",{"n":1}]`)
		settle()
		c.send(`["1","3","room:a","echo",{}]`)
		for n := range 3 { // for the last two there is no room
			plain.send(fmt.Sprintf(`["1","3","room:a","say",{"n":%d}]`, n+2))
		}
		settle()
		plain.take()
		s.plugin.gate <- struct{}{}
		c.want(ok("1", "2", "room:a"), `["1",null,"room:a","said out",{"n":1}]`, ok("1", "3", "room:a"), `["1",null,"room:a","said out",{"n":2}]`)
		if st := s.Stats(); st.Overloaded != 2 || st.Intercepted != 2 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// TestInterceptedBytes: what waits is counted once for all who wait for it, and what finds no
// room is lost for them alone.
func TestInterceptedBytes(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		const size = 256 + int64(len("room:a")+len("said")+len(`{"n":1}`))
		s.plugin.room = 2 * size
		all := []*client{s.connect().interceptor("room:a"), s.connect().interceptor("room:a")}
		plain := s.connect().joined("room:a")
		for _, c := range all {
			c.send(`["1","2","room:a","wait",{}]`)
		}
		settle()
		for n := range 4 { // for the last two there is no room
			plain.send(fmt.Sprintf(`["1","3","room:a","say",{"n":%d}]`, n+1))
		}
		settle()
		if got := len(plain.take()); got != 4 {
			t.Errorf("a member that intercepts nothing got %d broadcasts", got)
		}
		if got := s.plugin.kept.Load(); got != 2*size {
			t.Errorf("%d bytes wait, want %d", got, 2*size)
		}
		for range all {
			s.plugin.gate <- struct{}{}
		}
		for _, c := range all {
			c.want(ok("1", "2", "room:a"), `["1",null,"room:a","said out",{"n":1}]`, `["1",null,"room:a","said out",{"n":2}]`)
		}
		if st := s.Stats(); st.Overloaded != 4 || st.Intercepted != 4 || s.plugin.kept.Load() != 0 {
			t.Errorf("%d bytes wait; stats: %+v", s.plugin.kept.Load(), st)
		}
		// What waits for one that leaves is given back.
		all[0].send(`["1","4","room:a","wait",{}]`)
		settle()
		plain.send(`["1","5","room:a","say",{"n":5}]`)
		settle()
		all[0].Close()
		s.plugin.gate <- struct{}{}
		settle()
		if got := s.plugin.kept.Load(); got != 0 {
			t.Errorf("after the end %d bytes wait", got)
		}
	})
}

func TestInterceptAfterCrash(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c, plain := s.connect().interceptor("room:a"), s.connect().joined("room:a")
		plain.send(`["1","2","room:a","say",{"crash":true}]`, `["1","3","room:a","say",{"n":1}]`)
		c.want(`["1",null,"room:a","said out",{"n":1}]`)
		s.wantCrashes(`rooms v1 room:a out: trap, restarts, 0`)
		settle()
		plain.take()
	})
	// One that intercepts no more lets through what waits.
	run(t, options{}, func(t *testing.T, s *server) {
		c, plain := s.connect(), s.connect().joined("room:a")
		c.send(`["1","1","room:a","phx_join","intercept once"]`, `["1","2","room:a","wait and crash",{}]`)
		c.want(ok("1", "1", "room:a"))
		plain.send(`["1","2","room:a","say",{"n":1}]`)
		settle()
		s.plugin.gate <- struct{}{}
		c.want(fmt.Sprintf(crashedReply, "2"), `[null,null,"room:a","said",{"n":1}]`)
		plain.send(`["1","3","room:a","say",{"n":2}]`)
		c.want(`[null,null,"room:a","said",{"n":2}]`)
		s.wantJoins(`{}`, `"intercept once"`, `"intercept once" replayed`)
	})
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		c, plain := s.connect().interceptor("room:a"), s.connect().joined("room:a")
		plain.send(`["1","2","room:a","say",{"crash":true}]`, `["1","3","room:a","say",{"n":1}]`)
		c.want(crashed)
		settle()
		plain.take()
	})
}

func TestSharedHandlerIntercepts(t *testing.T) {
	run(t, options{shared: true}, func(t *testing.T, s *server) {
		a, b, c := s.connect().joined("room:a"), s.connect(), s.connect().joined("room:a")
		b.send(`["1","1","room:a","phx_join","intercept"]`)
		b.want(ok("1", "1", "room:a"))
		s.wantJoins(`{} as 1`, `{} as 2`, `"intercept" as 3`)
		// One event for all members, whenever they have joined.
		c.send(`["1","2","room:a","say",{}]`)
		a.want(saidOut)
		b.want()
		c.want()
		s.wantJoins(`out said {}`)
		c.send(`["1","3","room:a","shout as said",{}]`)
		a.want(saidOut)
		s.wantJoins(`out said {} but for 2`)
		if err := s.Publish("room:a", "said", nil, false); err != nil {
			t.Error(err)
		}
		a.want(saidOut)
		s.wantJoins(`out said {}`)
		// A new guest says anew what it intercepts: this one, nothing.
		c.send(`["1","4","room:a","wait and crash",{}]`)
		settle()
		s.Publish("room:a", "said", nil, false)
		s.plugin.gate <- struct{}{}
		const again = `[null,null,"room:a","again",{}]`
		a.want(again, said)
		b.want(again, said)
		c.want(fmt.Sprintf(crashedReply, "4"), again, said)
	})
}

// TestManyInterceptors gives a broadcast to 10,000 handlers.
func TestManyInterceptors(t *testing.T) {
	const handlers = 10_000
	run(t, options{limits: channels.Limits{Joins: -1}}, func(t *testing.T, s *server) {
		var all []*client
		for range handlers {
			c := s.connect()
			c.send(`["1","1","room:a","phx_join","intercept"]`)
			all = append(all, c)
		}
		settle()
		for _, c := range all {
			c.take()
		}
		s.Publish("room:a", "said", []byte(`{"n":1}`), false)
		settle()
		for i, c := range all {
			if got := c.take(); len(got) != 1 || got[0] != `["1",null,"room:a","said out",{"n":1}]` {
				t.Fatalf("handler %d: got %q", i, got)
			}
		}
	})
}
