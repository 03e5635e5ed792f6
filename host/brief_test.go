package host_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rtd/host/hosttest"
)

// However long a client's topics and events are, what is logged of them is not.
func TestLogLinesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}})
	c := s.Connect(t)
	long := strings.Repeat("ä", 20_000)
	topic := "nasty:" + long
	c.MustJoin(t, topic, "{}")
	c.WantReply(t, topic, "panic", "{}", "error")
	c.SendFrame(`[null,"1","` + topic + `","` + long + `",{}]`)
	line := s.Log.Wait(t, "channel crashed")
	if got := line.Text("topic"); len(got) > 256 || !strings.HasPrefix(got, "nasty:ää") || !strings.HasSuffix(got, fmt.Sprintf("… (%d bytes)", len(topic))) {
		t.Errorf("topic %q", got)
	}
	s.Stop(t)
	for _, l := range s.Log.Lines() {
		for key := range l {
			if n := len(l.Text(key)); n > 9000 {
				t.Errorf("%s of %q has %d bytes", key, l.Text("msg"), n)
			}
		}
	}
}

// An operator whose clients are refused for an origin or a token finds the cause in the log, once for many, and
// no token.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: tokenTable})
	const secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0"
	for range 5 {
		s.refusal(t, "?vsn=2.0.0&token="+secret, nil)
		s.Get(t, "/socket/longpoll?vsn=2.0.0&token="+secret)
		s.refusal(t, "?vsn=2.0.0&token="+signed(t, "ada", -time.Hour), nil)
		s.refusal(t, "?vsn=2.0.0", origin("https://evil.example"))
	}
	for _, want := range [][]string{
		{"clients refused for their token", "cause", "invalid"},
		{"clients refused for their token", "cause", "expired"},
		{"clients refused for their origin", "cause", "https://evil.example"},
	} {
		if lines := s.Log.All(want[0], want[1:]...); len(lines) != 1 || lines[0].Text("level") != "INFO" || lines[0].Text("socket") == "" {
			t.Errorf("%q: %v; want one line", want, lines)
		}
	}
	for cause, want := range map[string]float64{"token": 15, "origin": 5} {
		if n := s.Metric(t, "rtd_connections_refused_total", fmt.Sprintf("cause=%q", cause)); n != want {
			t.Errorf("%s: %v counted, want %v", cause, n, want)
		}
	}
	for _, l := range s.Log.Lines() {
		if text := fmt.Sprint(l); strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "eyJ") {
			t.Errorf("a token is in the log: %s", text)
		}
	}
}
