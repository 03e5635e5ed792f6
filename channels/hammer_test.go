package channels_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// TestHammer has everything happen at once, on all locks. What has to hold is
// checked by each client's ledger and, at the end, by close.
func TestHammer(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.RestForOne} {
			t.Run(fmt.Sprintf("%v, shared %v", strategy, shared), func(t *testing.T) {
				goroutines := runtime.NumGoroutine()
				hammerServer(t, strategy, shared)
				for range 100 {
					if runtime.NumGoroutine() <= goroutines {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
			})
		}
	}
}

func hammerServer(t *testing.T, strategy supervisor.Strategy, shared bool) {
	s := newServer(t, options{
		mailbox: 50,
		limits:  channels.Limits{Joins: 2, Held: 20},
		tree: supervisor.DynamicConfig{
			Strategy:  strategy,
			Intensity: supervisor.Intensity{Max: 30, Within: time.Minute},
		},
		shared:  shared,
		sibling: true,
	})
	done := make(chan struct{})
	var deploys, sockets sync.WaitGroup
	deploys.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				s.plugin.deploy(s.plugin.version(fmt.Sprint("v", i), supervisor.Transient))
			}
			if i == 10 || i == 30 || i == 50 {
				s.crashSibling()
			}
		}
	})
	for n := range 20 {
		c := s.connect()
		sockets.Go(func() {
			hammer(c, rand.New(rand.NewPCG(uint64(n), 1)))
			if n%2 == 0 { // the others see the plugin's end
				c.Close()
			}
		})
	}
	sockets.Wait()
	close(done)
	deploys.Wait()
	s.stop()
	for n, c := range s.clients {
		var l ledger
		l.read(t, c.take())
		if n%2 == 0 {
			continue
		}
		for _, ref := range c.joins {
			if !l.answered[ref] {
				t.Errorf("client %d: join %s was not answered", n, ref)
			}
		}
		for ref := range l.joined {
			if !l.ended[ref] {
				t.Errorf("client %d: join %s was accepted, but not ended", n, ref)
			}
		}
	}
	s.close()
	if st := s.Stats(); st.JoinsAccepted == 0 || st.Broadcasts == 0 || len(s.crashes) == 0 {
		t.Errorf("not much happened: %+v, %d crashes", st, len(s.crashes))
	}
}

// hammer sends 500 frames of all kinds.
func hammer(c *client, rnd *rand.Rand) {
	joins := []string{`{}`, `{}`, `{}`, `"greet"`, `"refuse"`, `"crash"`, `"panic"`, `"crash in replay"`, `"wants"`, `"knock"`}
	for i := range 500 {
		topic := topics[rnd.IntN(len(topics))]
		switch n := rnd.IntN(40); {
		case n < 6:
			c.joins = append(c.joins, fmt.Sprint(i))
			c.send(fmt.Sprintf(`["%d","%d",%q,"phx_join",%s]`, i, i, topic, joins[rnd.IntN(len(joins))]))
		case n < 8:
			c.send(fmt.Sprintf(`[null,"%d",%q,"phx_leave",{}]`, i, topic))
		case n < 10:
			c.send(fmt.Sprintf(`["%d","%d",%q,"echo",{}]`, rnd.IntN(i+1)-1, i, topic))
		case n < 12:
			c.send(fmt.Sprintf(`[null,"%d",%q,"crash",{}]`, i, topic))
		case n < 13:
			c.send(fmt.Sprintf(`[null,"%d",%q,"reply and stop","normal"]`, i, topic))
		case n < 14:
			c.send(fmt.Sprintf(`[null,"%d",%q,"tell","%d"]`, i, topic, rnd.IntN(50)))
		case n < 18:
			c.send(fmt.Sprintf(`[null,"%d",%q,"say",{}]`, i, topic))
		default:
			c.send(fmt.Sprintf(`[null,"%d",%q,"echo",{}]`, i, topic))
		}
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // to let some of it be served
		}
	}
}

// TestNothingIsLostBesideCrashes has clients that do no wrong, beside one that
// crashes its own channel of the same topic and a plugin that is deployed again
// and again: all their messages are answered and all broadcasts arrive, in order.
func TestNothingIsLostBesideCrashes(t *testing.T) {
	const clients, messages = 8, 200
	s := newServer(t, options{tree: supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1 << 30, Within: time.Minute}}})
	var quiet []*client
	for range clients {
		quiet = append(quiet, s.connect())
	}
	wild := s.connect()
	for _, c := range append(quiet, wild) {
		c.send(`["1","1","room:a","phx_join",{}]`)
	}
	for s.Hub.Members("room:a") <= clients {
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	for n, c := range quiet {
		wg.Go(func() {
			for i := range messages {
				c.send(fmt.Sprintf(`["1","%d","room:a","say and echo",{"from":%d,"n":%d}]`, i+2, n, i))
			}
		})
	}
	wg.Go(func() {
		for i := range messages {
			wild.send(fmt.Sprintf(`["1","%d","room:a","crash",{}]`, i+2))
			if i%10 == 0 {
				s.plugin.deploy(s.plugin.version(fmt.Sprint("v", i), supervisor.Transient))
			}
		}
	})
	wg.Wait()
	for _, c := range append(quiet, wild) { // behind everything
		c.send(`["1","last","room:a","phx_leave",{}]`)
	}
	for s.Stats().Channels > 0 {
		time.Sleep(time.Millisecond)
	}
	for n, c := range quiet {
		next := map[string]int{}
		for _, f := range c.take() {
			for from := range clients {
				if f == fmt.Sprintf(`[null,null,"room:a","said",{"from":%d,"n":%d}]`, from, next[fmt.Sprint(from)]) {
					next[fmt.Sprint(from)]++
				}
			}
			if f == fmt.Sprintf(`["1","%d","room:a","phx_reply",{"status":"ok","response":{"from":%d,"n":%d}}]`, next["reply"]+2, n, next["reply"]) {
				next["reply"]++
			}
		}
		// The last messages of others may come when this one has left.
		if next["reply"] != messages || next[fmt.Sprint(n)] != messages {
			t.Errorf("client %d: %v", n, next)
		}
	}
	got := wild.take()
	errors := 0
	for _, f := range got {
		if strings.Contains(f, `"crashed"`) {
			errors++
		}
	}
	if errors != messages {
		t.Errorf("%d of %d crashes were answered", errors, messages)
	}
	s.close()
}
