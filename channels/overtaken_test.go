package channels_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/supervisor"
)

// oneAtATime is a server on which a guest that waits makes all others wait.
var oneAtATime = options{runtime: supervisor.Options{Schedulers: 1, Slice: time.Hour}}

const gone = `{"status":"error","response":{"reason":"overtaken"}}]`

// A join that waits for so long that its client has given it up gives its turn to the client's next one: no guest works for nobody, and the client, which
// waits for ten seconds each time, is not put behind all others again.
func TestOvertakenJoins(t *testing.T) {
	runBoth(t, oneAtATime, func(t *testing.T, s *server) {
		busy := s.connect().joined("room:a")
		busy.send(`["1","2","room:a","wait",{}]`)
		late, patient := s.connect(), s.connect()
		late.send(`["1","1","room:a","phx_join",{"n":1}]`)
		patient.send(`["1","1","room:a","phx_join",{"n":10}]`)
		time.Sleep(10 * time.Second)
		late.send(`["1","2","room:a","phx_leave",{}]`, `["3","3","room:a","phx_join",{"n":3}]`, `["3","4","room:a","echo",{"lost":true}]`)
		time.Sleep(11 * time.Second)
		late.send(`["3","5","room:a","phx_leave",{}]`, `["6","6","room:a","phx_join",{"n":6}]`, `["6","7","room:a","echo",{"n":7}]`)
		s.plugin.gate <- struct{}{}
		late.want(
			`["1","1","room:a","phx_reply",`+gone,
			ok("1", "2", "room:a"),
			`["3","3","room:a","phx_reply",`+gone,
			ok("3", "5", "room:a"),
			ok("6", "6", "room:a"),
			`["6","7","room:a","phx_reply",{"status":"ok","response":{"n":7}}]`,
		)
		patient.want(ok("1", "1", "room:a"))
		wantDecided(t, s, `{}`, `{"n":6}`, `{"n":10}`)
		if n := s.Stats().JoinsOvertaken; n != 2 {
			t.Errorf("%d joins were overtaken", n)
		}
		s.wantCrashes()
	})
}

// Who has left for good is not joined, and can come again.
func TestOvertakenForGood(t *testing.T) {
	runBoth(t, oneAtATime, func(t *testing.T, s *server) {
		busy := s.connect().joined("room:a")
		busy.send(`["1","2","room:a","wait",{}]`)
		c := s.connect()
		c.send(`["1","1","room:a","phx_join",{"n":1}]`)
		time.Sleep(10 * time.Second)
		c.send(`["1","2","room:a","phx_leave",{}]`)
		s.plugin.gate <- struct{}{}
		c.want(`["1","1","room:a","phx_reply",`+gone, ok("1", "2", "room:a"))
		wantDecided(t, s, `{}`)
		c.send(`["3","3","room:a","phx_join",{"n":3}]`)
		c.want(ok("3", "3", "room:a"))
		wantDecided(t, s, `{"n":3}`)
		s.wantCrashes()
	})
}

// Within five seconds all is done as it comes: who leaves at once has been there. So is what waits without having been given up.
func TestNotOvertaken(t *testing.T) {
	runBoth(t, oneAtATime, func(t *testing.T, s *server) {
		busy := s.connect().joined("room:a")
		busy.send(`["1","2","room:a","wait",{}]`)
		quick, patient := s.connect(), s.connect()
		patient.send(`["1","1","room:b","phx_join",{"n":1}]`, `["1","2","room:b","echo",{}]`)
		time.Sleep(time.Minute)
		quick.send(`["1","1","room:a","phx_join",{"n":2}]`, `["1","2","room:a","phx_leave",{}]`)
		time.Sleep(3 * time.Second)
		s.plugin.gate <- struct{}{}
		quick.want(ok("1", "1", "room:a"), ok("1", "2", "room:a"), `["1","1","room:a","phx_close",{}]`)
		patient.want(ok("1", "1", "room:b"), ok("1", "2", "room:b"))
		s.wantCrashes()
	})
}

// wantDecided checks which joins guests have decided since the last time, by their payloads.
func wantDecided(t *testing.T, s *server, want ...string) {
	t.Helper()
	settle()
	s.plugin.mu.Lock()
	defer s.plugin.mu.Unlock()
	var got []string
	for _, note := range s.plugin.joins {
		if payload, _, _ := strings.Cut(note, " as "); strings.HasPrefix(payload, "{") { // a shared handler's guest notes the member, too
			got = append(got, payload)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("guests decided %q, want %q", got, want)
	}
	s.plugin.joins = nil
}
