package channels_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
)

// keepAll gives the topics that begin with room: a history of n messages.
func (s *server) keep(n int) {
	s.Hub.KeepHistory(64<<20, func(topic string) (channels.Keep, bool) {
		return channels.Keep{Bounds: history.Bounds{Messages: n}}, strings.HasPrefix(topic, "room:")
	})
}

var epochs = regexp.MustCompile(`"[0-9a-v]{10}:`)

// heard waits until all is quiet and checks what the client got since the last time, with E in place of epochs. It returns the last one.
func (c *client) heard(frames ...string) (epoch string) {
	c.t.Helper()
	settle()
	got := c.take()
	for i, f := range got {
		if found := epochs.FindString(f); found != "" {
			epoch = found[1:11]
		}
		got[i] = epochs.ReplaceAllString(f, `"E:`)
	}
	if !slices.Equal(got, frames) {
		c.t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(frames, "\n"))
	}
	return epoch
}

// enters joins room:a, from a position.
func (c *client) enters(since string) *client {
	c.t.Helper()
	c.send(fmt.Sprintf(`["1","1","room:a","phx_join",{"since":%q}]`, since))
	return c
}

const (
	joinedA = `["1","1","room:a","phx_reply",{"status":"ok","response":{}}]`
	said1   = `[null,"E:1","room:a","said",{"n":1}]`
	said2   = `[null,"E:2","room:a","said",{"n":2}]`
	said3   = `[null,"E:3","room:a","said",{"n":3}]`
)

func position(n int) string {
	return fmt.Sprintf(`[null,"E:%d","room:a","position",{"position":"E:%d"}]`, n, n)
}

func positionOf(n int) string {
	return fmt.Sprintf(`["1","E:%d","room:a","position",{"position":"E:%d"}]`, n, n)
}

func recovered(n, count int) string {
	return fmt.Sprintf(`["1","E:%d","room:a","recovered",{"complete":true,"position":"E:%d","count":%d}]`, n, n, count)
}

func lost(reason history.Gap, n, count int) string {
	return fmt.Sprintf(`["1","E:%d","room:a","recovered",{"complete":false,"reason":%q,"position":"E:%d","count":%d}]`, n, reason, n, count)
}

func (s *server) says(n ...int) {
	for _, n := range n {
		if err := s.Publish("room:a", "said", fmt.Appendf(nil, `{"n":%d}`, n), false); err != nil {
			s.t.Error(err)
		}
	}
}

func TestPositions(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		s.keep(100)
		a, b := s.connect().enters(""), s.connect().enters("0:0") // both are the application's own
		old := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		old.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
		a.heard(joinedA, positionOf(0))
		b.heard(joinedA, positionOf(0))
		old.heard(`{"topic":"room:a","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}`,
			`{"topic":"room:a","event":"position","payload":{"position":"E:0"},"ref":"E:0"}`)
		a.send(`["1","2","room:a","say",{"n":1}]`)
		a.heard(said1)
		b.heard(said1)
		old.heard(`{"topic":"room:a","event":"said","payload":{"n":1},"ref":"E:1"}`)
		// The sender of others is told of its position before the next one, and so is who cannot be sent binary.
		a.send(`["1","3","room:a","shout",{"n":2}]`, `["1","4","room:a","say binary",{}]`)
		a.heard(position(2), "binary \x02\x06\x04room:asaid\x00\x01", position(3))
		b.heard(`[null,"E:2","room:a","shouted",{"n":2}]`, "binary \x02\x06\x04room:asaid\x00\x01", position(3))
		s.says(4)
		old.heard(`{"topic":"room:a","event":"shouted","payload":{"n":2},"ref":"E:2"}`,
			`{"topic":"room:a","event":"position","payload":{"position":"E:3"},"ref":"E:3"}`,
			`{"topic":"room:a","event":"said","payload":{"n":4},"ref":"E:4"}`)
		// Presence and pushes are no part of it, and other topics are as ever.
		a.take()
		b.take()
		b.send(`["1","5","room:a","push",{}]`)
		b.heard(`["1",null,"room:a","pushed",{}]`)
		a.send(`["1","6","room:a","shout",{"n":5}]`)
		a.heard()
		b.heard(`[null,"E:5","room:a","shouted",{"n":5}]`)
	})
}

func TestTopicsWithoutHistory(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		s.Hub.KeepHistory(1<<20, func(topic string) (channels.Keep, bool) { return channels.Keep{}, topic == "room:b" })
		a := s.connect().enters(history.Position{Epoch: history.NewEpoch()}.String())
		a.heard(joinedA)
		s.says(1)
		a.heard(`[null,null,"room:a","said",{"n":1}]`)
		if _, ok := s.Hub.History("room:a", 0, 1); ok {
			t.Error("it has history")
		}
	})
}

func TestRecovery(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		s.keep(3)
		s.says(1) // nobody is there
		a := s.connect().enters("")
		epoch := a.heard(joinedA, positionOf(1))
		a.Close()
		s.says(2, 3)
		at := func(offset uint64) string { return history.Position{Epoch: epoch, Offset: offset}.String() }
		for _, c := range []struct {
			since string
			want  []string
		}{
			{at(1), []string{joinedA, said2, said3, recovered(3, 2)}},
			{at(3), []string{joinedA, recovered(3, 0)}},
			{at(0), []string{joinedA, said1, said2, said3, recovered(3, 3)}},
			{at(4), []string{joinedA, said1, said2, said3, lost(history.GapFuture, 3, 3)}},
			{history.Position{Epoch: history.NewEpoch(), Offset: 3}.String(), []string{joinedA, said1, said2, said3, lost(history.GapEpoch, 3, 3)}},
			{at(3) + " ", []string{joinedA, positionOf(3)}},
		} {
			b := s.connect().enters(c.since)
			b.heard(c.want...)
			b.Close()
		}
		s.says(4)
		b := s.connect().enters(at(0))
		b.heard(joinedA, said2, said3, `[null,"E:4","room:a","said",{"n":4}]`, lost(history.GapGone, 4, 3))
		if ok, err := s.Hub.PurgeHistory(t.Context(), "room:a", 4); !ok || err != nil {
			t.Error("there is no history")
		}
		c := s.connect().enters(at(2))
		c.heard(joinedA, `[null,"E:4","room:a","said",{"n":4}]`, lost(history.GapGone, 4, 1))
		page, _ := s.Hub.History("room:a", 0, 10)
		if page.Oldest != 4 || len(page.Messages) != 1 || string(page.Messages[0].Payload) != `{"n":4}` {
			t.Errorf("history: %+v", page)
		}
		// Whoever is refused is told nothing.
		d := s.connect()
		d.send(fmt.Sprintf(`["1","1","room:a","phx_join",{"refuse":true,"since":%q}]`, at(2)))
		d.heard(`["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"full"}}]`)
		// A topic without members, and without messages, is forgotten in the end, and begins anew.
		for _, c := range s.clients {
			c.Close()
		}
		settle()
		s.Hub.PurgeHistory(t.Context(), "room:a", 5)
		s.Hub.TidyHistory(time.Now().Add(time.Minute))
		e := s.connect().enters(at(4))
		e.heard(joinedA, recovered(4, 0))
		e.Close()
		settle()
		s.Hub.TidyHistory(time.Now().Add(2 * time.Hour))
		e = s.connect().enters(at(4))
		e.heard(joinedA, lost(history.GapEpoch, 0, 0))
		if kept := s.Stats().HistoryBytes; kept <= 0 || kept > 1000 {
			t.Errorf("an empty history takes %d bytes", kept)
		}
	})
}

// TestRecoveryIntercepted has those handlers told that intercept, and not their clients.
func TestRecoveryIntercepted(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		s.keep(100)
		a := s.connect().enters("")
		epoch := a.heard(joinedA, positionOf(0))
		s.says(1)
		if err := s.Publish("room:a", "other", nil, false); err != nil {
			t.Error(err)
		}
		since := history.Position{Epoch: epoch}.String()
		b := s.connect()
		b.send(fmt.Sprintf(`["1","1","room:a","phx_join",{"intercept":true,"since":%q}]`, since))
		b.heard(joinedA, `[null,"E:2","room:a","other",{}]`, recovered(2, 2), `["1",null,"room:a","said out",{"n":1}]`)
		s.says(3)
		b.heard(`["1",null,"room:a","said out",{"n":3}]`)
		if err := s.Publish("room:a", "other", nil, false); err != nil {
			t.Error(err)
		}
		b.heard(position(3), `[null,"E:4","room:a","other",{}]`)
	})
}

// TestHistoryIsBounded has many topics want more than all of them may take.
func TestHistoryIsBounded(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		const most = 20_000
		s.Hub.KeepHistory(most, func(string) (channels.Keep, bool) { return channels.Keep{}, true })
		for n := range 1000 {
			if err := s.Publish(fmt.Sprint("room:", n%100), "said", []byte(`{}`), false); err != nil {
				t.Fatal(err)
			}
			if kept := s.Stats().HistoryBytes; kept > most {
				t.Fatalf("%d bytes are kept", kept)
			}
		}
		stats := s.Stats()
		if stats.HistoryUnkept == 0 || stats.HistoryBytes < most/2 {
			t.Errorf("%d bytes are kept, %d broadcasts are not", stats.HistoryBytes, stats.HistoryUnkept)
		}
		s.Hub.KeepHistory(most, func(string) (channels.Keep, bool) { return channels.Keep{}, false })
		if kept := s.Stats().HistoryBytes; kept != 0 {
			t.Errorf("without history, %d bytes are kept", kept)
		}
	})
}

// TestRecoveryAtSpeed has clients come and go while others broadcast. Each ends with all that was said since its first
// position, in order and once. Without since, they miss some: that shows that this test would notice.
func TestRecoveryAtSpeed(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, recovers := range []bool{true, false} {
			t.Run(fmt.Sprintf("shared %v, recovers %v", shared, recovers), func(t *testing.T) {
				s := newServer(t, options{shared: shared})
				defer s.close()
				s.keep(100_000)
				var speakers, listeners sync.WaitGroup
				done := make(chan struct{})
				for range 4 {
					speakers.Go(func() {
						for range 2000 {
							s.says(0)
							if rand.IntN(50) == 0 {
								time.Sleep(time.Millisecond)
							}
						}
					})
				}
				s.connectWith(channels.SocketOptions{}).enters("")
				var lives [8]traveller
				for i := range lives {
					l := &lives[i]
					l.server, l.recovers = s, recovers
					listeners.Go(func() { l.travel(done) })
				}
				speakers.Wait()
				said, _ := s.Hub.History("room:a", 0, 0)
				close(done)
				listeners.Wait()
				missed := uint64(0)
				for i := range lives {
					l := &lives[i]
					if l.wrong != "" {
						t.Error(l.wrong)
					}
					missed += l.missed
					if l.at.Offset < said.Position.Offset {
						t.Errorf("client %d ends at %v, and the topic at %v", i, l.at, said.Position)
					}
				}
				if recovers == (missed > 0) {
					t.Errorf("%d were missed", missed)
				}
			})
		}
	}
}

// traveller is a client that joins again and again, and counts what it gets.
type traveller struct {
	server   *server
	recovers bool
	at       history.Position
	missed   uint64
	wrong    string
}

func (l *traveller) travel(done chan struct{}) {
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		box := &outbox{}
		c := l.server.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: box})
		since := ""
		if l.recovers && l.at != (history.Position{}) {
			since = l.at.String()
		}
		if err := c.Receive(fmt.Appendf(nil, `["1","1","room:a","phx_join",{"since":%q}]`, since), false); err != nil {
			l.wrong = err.Error()
			return
		}
		for stands := false; !stands; time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) {
			for _, f := range box.take() {
				stands = l.take(f) || stands
			}
		}
		c.Close()
		for _, f := range box.take() {
			l.take(f)
		}
	}
}

// take reads a frame, and says whether it is the end of a join.
func (l *traveller) take(frame string) (stands bool) {
	var m [5]json.RawMessage
	var ref, event string
	if err := json.Unmarshal([]byte(frame), &m); err != nil {
		l.wrong = err.Error()
	}
	if m[1] != nil && string(m[1]) != "null" {
		_ = json.Unmarshal(m[1], &ref)
	}
	_ = json.Unmarshal(m[3], &event)
	p, ok := history.Parse(ref)
	switch {
	case event == "phx_reply", !ok:
		return false
	case event == "position" || event == "recovered":
		stands = true
		if event == "recovered" && !strings.Contains(frame, `"complete":true`) {
			l.wrong = frame
		}
		if l.at.Epoch != "" {
			l.missed += p.Offset - l.at.Offset
		}
	case p.Offset != l.at.Offset+1 || p.Epoch != l.at.Epoch:
		l.wrong = fmt.Sprintf("%v follows %v", p, l.at)
	}
	l.at = p
	return stands
}

// Clients that missed the same messages are sent the same frames: each is encoded once for a protocol, and compressed once, however many come back.
func TestRecoveriesShareFrames(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		const missed, clients = 50, 1000
		s.keep(missed)
		s.Hub.KeepForms(1)
		for n := range missed {
			s.says(n)
		}
		page, _ := s.Hub.History("room:a", 0, 0)
		made := 0
		frames := map[*byte]int{} // how often a broadcast's is sent
		for range clients {
			for _, codec := range []channels.Codec{channels.V2, channels.V1} {
				c := s.NewSocket(channels.SocketOptions{Codec: codec, Out: sink(func(f channels.Frame) {
					if strings.Contains(string(f.Data), `"said"`) {
						frames[&f.Data[0]]++
						f.Form(func(data []byte) []byte { made++; return data })
					}
				})})
				join := fmt.Sprintf(`["1","1","room:a","phx_join",{"since":"%s:0"}]`, page.Position.Epoch)
				if codec == channels.V1 {
					join = fmt.Sprintf(`{"topic":"room:a","event":"phx_join","payload":{"since":"%s:0"},"ref":"1"}`, page.Position.Epoch)
				}
				if err := c.Receive([]byte(join), false); err != nil {
					t.Fatal(err)
				}
				settle()
				c.Close()
			}
		}
		if len(frames) != 2*missed || made != 2*missed {
			t.Errorf("%d messages were encoded %d times and compressed %d times for %d clients of two protocols", missed, len(frames), made, 2*clients)
		}
		for f, n := range frames {
			if n != clients {
				t.Errorf("frame %p was sent %d times", f, n)
			}
		}
	})
}

// sink is an outbox whose frames are given to a function.
type sink func(channels.Frame)

func (s sink) Send(f channels.Frame) { s(f) }
