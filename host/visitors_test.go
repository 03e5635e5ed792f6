package host_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"rtd/host/hosttest"
)

// slowly are requests that are never whole.
var slowly = []string{
	"",
	"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConn",
	"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nab",
	"GET /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nab",
	"POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nab",
	"POST /api/broadcast HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Length: 5000\r\n\r\n{",
	"POST /socket/longpoll?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nab",
	"POST /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nab",
	"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 5000\r\n\r\nab",
}

const slowKey = "[api]\nkeys = [\"0123456789abcdef\"]\n"

// Requests that do not come do not hold up a drain, and it does not blame guests.
func TestSlowRequestsDoNotHoldUpADrain(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\ngrace = \"5m\"\n" + slowKey})
	for _, request := range slowly {
		io.WriteString(s.rawDial(t), request)
	}
	// One that polls is a request too, which is answered when its session ends.
	_, answer := s.Get(t, "/socket/longpoll?vsn=2.0.0")
	token := tokenIn(t, answer)
	fmt.Fprintf(s.rawDial(t), "GET /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: x\r\n\r\n", token)
	hosttest.Eventually(t, "all of them", func() bool { return s.Metric(t, "rtd_visitors") > float64(len(slowly)) })
	s.Stop(t) // within Patience, which is less than the grace period
	if lines := s.Log.All("guests are still at work; leaving them, the grace period is over"); len(lines) > 0 {
		t.Errorf("the log says %v", lines)
	}
}

// However many clients of an address keep rtd waiting, they hold no places against those
// who do not, and their number is bounded from accept on.
func TestSlowRequestsMakeRoom(t *testing.T) {
	t.Parallel()
	const limit = 20
	for name, config := range map[string]string{
		"of one address": fmt.Sprintf("max_per_address = %d\n", limit),
		"in all":         fmt.Sprintf("max_connections = %d\n", 80),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\n" + config + slowKey})
			first := s.Connect(t)
			first.MustJoin(t, "echo:a", "{}")
			// Some of them end by themselves, the more the slower the machine is.
			dialed := 0
			hosttest.Eventually(t, "fifty who made room", func() bool {
				for range 50 {
					io.WriteString(s.rawDial(t), slowly[dialed%len(slowly)])
					dialed++
				}
				return s.Metric(t, "rtd_connections_refused_total", `cause="slow"`) >= 50
			})
			for range 3 {
				if status, _ := s.Get(t, "/healthz"); status != http.StatusOK {
					t.Errorf("healthz: status %d", status)
				}
				c := s.Connect(t)
				c.MustJoin(t, "echo:a", "{}")
				c.WantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
			}
			if n := s.Metric(t, "rtd_visitors"); n > 80 || name == "of one address" && n > limit {
				t.Errorf("%v are at the door", n)
			}
			first.WantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
		})
	}
}

// An address that has its share of connections is told so, whatever it asks for.
func TestFullAddressIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Config: "[server]\nmax_per_address = 2\n"})
	s.Connect(t)
	s.Connect(t)
	if status, _, _ := s.status(t, "/socket/websocket?vsn=2.0.0", nil); status != http.StatusTooManyRequests {
		t.Errorf("a third: status %d, want 429", status)
	}
	if status, _ := s.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("readyz: status %d", status) // a few may always ask
	}
	var polls []net.Conn
	_, answer := s.Get(t, "/socket/longpoll?vsn=2.0.0")
	for n := range 20 { // each ends the one before, but they are requests until they are answered
		_ = n
		c := s.rawDial(t)
		fmt.Fprintf(c, "GET /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: x\r\n\r\n", tokenIn(t, answer))
		polls = append(polls, c)
	}
	for _, c := range polls[:5] {
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			continue // it made room
		}
	}
	if n := s.Metric(t, "rtd_visitors"); n > 8 {
		t.Errorf("%v visitors of an address that is full", n)
	}
}

// tokenIn returns the token of a long poll's answer.
func tokenIn(t *testing.T, answer string) string {
	t.Helper()
	var body struct{ Token string }
	must(t, json.Unmarshal([]byte(answer), &body))
	return body.Token
}
