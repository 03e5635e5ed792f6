package host_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"rtd/host/gateway/deflate"
	"rtd/host/hosttest"
)

// packing is a client on the bare connection, which has offered permessage-deflate.
type packing struct {
	net.Conn
	r        *bufio.Reader
	accepted string
}

// dialPacking connects to the mount with what is offered.
func (s *server) dialPacking(t testing.TB, offer string) *packing {
	t.Helper()
	c := &packing{Conn: s.rawDial(t)}
	fmt.Fprintf(c, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: %s\r\n\r\n", offer)
	c.r = bufio.NewReader(c)
	response, err := http.ReadResponse(c.r, nil)
	must(t, err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response.Status)
	}
	c.accepted = response.Header.Get("Sec-WebSocket-Extensions")
	return c
}

// send writes a frame with that first byte. Its mask changes nothing.
func (c *packing) send(t testing.TB, first byte, payload []byte) {
	t.Helper()
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	_, err := c.Write(append(append(b, 0, 0, 0, 0), payload...))
	must(t, err)
}

// next reads a frame, and returns what it says too.
func (c *packing) next(t testing.TB) (first byte, payload []byte, text string) {
	t.Helper()
	var head [8]byte
	read := func(b []byte) {
		if _, err := io.ReadFull(c.r, b); err != nil {
			t.Fatal(err)
		}
	}
	read(head[:2])
	first, size := head[0], uint64(head[1])
	switch size {
	case 126:
		read(head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		read(head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	payload = make([]byte, size)
	read(payload)
	text = string(payload)
	if first&0x40 != 0 {
		message, err := deflate.Inflate(payload, 1<<20)
		must(t, err)
		text = string(message)
	}
	return first, payload, text
}

// until reads frames until one contains the text.
func (c *packing) until(t testing.TB, part string) (first byte, payload []byte, text string) {
	t.Helper()
	for !strings.Contains(text, part) {
		first, payload, text = c.next(t)
	}
	return first, payload, text
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	b, ok := deflate.Append(nil, []byte(text))
	if !ok {
		t.Fatalf("%q is not shorter when it is compressed", text)
	}
	return b
}

const (
	joinLobby = `["1","1","room:lobby","phx_join",{"token":"demo","user":"ada"}]`
	repeated  = "say it again, say it again, say it again, say it again, say it again, say it again, say it again, say it again, "
)

const deflating = "[socket.socket]\ndeflate_from = 100\n"

// For clients that offer it, frames of some length are compressed; those that come may be, too,
// in one frame or several. A broadcast is compressed once.
func TestDeflate(t *testing.T) {
	t.Parallel()
	for _, poller := range []string{"auto", "goroutines"} {
		t.Run(poller, func(t *testing.T) {
			t.Parallel()
			s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: patientChat + deflating + "[server]\npoller = \"" + poller + "\"\nmax_frame = 65536\n"})
			plain := s.dialPacking(t, "")
			small := s.dialPacking(t, "permessage-deflate; server_max_window_bits=8")
			one, two := s.dialPacking(t, "permessage-deflate; client_max_window_bits"), s.dialPacking(t, "permessage-deflate")
			const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
			if plain.accepted != "" || one.accepted != accepted || small.accepted != accepted+"; server_max_window_bits=8" {
				t.Fatalf("accepted: %q, %q, %q", plain.accepted, one.accepted, small.accepted)
			}
			everyone := []*packing{plain, small, one, two}
			for _, c := range everyone {
				c.send(t, 0x81, []byte(joinLobby))
				if first, _, text := c.until(t, "phx_reply"); first != 0x81 && len(text) < 100 {
					t.Errorf("first byte %x of %q", first, text)
				}
			}

			// A push that is compressed, in one frame and in three with a ping in between.
			push := `["1","2","room:lobby","echo",{"body":"` + strings.Repeat(repeated, 3) + `"}]`
			body := packed(t, push)
			one.send(t, 0xc1, body)
			one.until(t, `"2","room:lobby","phx_reply"`)
			one.send(t, 0x41, body[:5])
			one.send(t, 0x89, []byte("ping"))
			one.send(t, 0x00, body[5:9])
			one.send(t, 0x80, body[9:])
			first, payload, text := one.until(t, strings.Repeat(repeated, 3))
			if first != 0xc1 || len(payload) >= len(text) {
				t.Errorf("the answer of %d bytes comes as %d, first byte %x", len(text), len(payload), first)
			}
			// What is not compressed may come as well, and is answered so if it is short.
			one.send(t, 0x81, []byte(`[null,"3","phoenix","heartbeat",{}]`))
			if first, _, _ := one.until(t, `"3","phoenix"`); first != 0x81 {
				t.Errorf("first byte %x of a heartbeat's answer", first)
			}

			// A broadcast: plain, plain since it is longer than the window, and twice the same.
			one.send(t, 0xc1, packed(t, `["1","4","room:lobby","new_message",{"body":"`+strings.Repeat(repeated, 4)+`"}]`))
			var payloads [][]byte
			for i, c := range everyone {
				first, payload, text := c.until(t, `"new_message"`)
				if !strings.Contains(text, repeated) || first != map[bool]byte{true: 0xc1, false: 0x81}[i >= 2] {
					t.Errorf("client %d gets first byte %x, %q", i, first, text)
				}
				payloads = append(payloads, payload)
			}
			if string(payloads[2]) != string(payloads[3]) || string(payloads[0]) != string(payloads[1]) || len(payloads[2]) >= len(payloads[0]) {
				t.Errorf("a broadcast comes as %d, %d, %d and %d bytes", len(payloads[0]), len(payloads[1]), len(payloads[2]), len(payloads[3]))
			}
		})
	}
}

// Compressed messages that are too large, damaged or not agreed to end their connection.
func TestDeflateBadFrames(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: patientChat + deflating + "[server]\nmax_frame = 65536\n"})
	off := start(t, hosttest.Setup{})
	const offer = "permessage-deflate"
	beat := packed(t, `[null,"3","phoenix","heartbeat",{"a":"`+repeated+`"}]`)
	bomb := packed(t, strings.Repeat(" ", 10<<20))
	for _, test := range []struct {
		name  string
		s     *server
		offer string
		first byte
		body  []byte
		code  websocket.StatusCode
	}{
		{"a bomb", s, offer, 0xc1, bomb, websocket.StatusMessageTooBig},
		{"a little too large", s, offer, 0xc1, packed(t, strings.Repeat(" ", 65537)), websocket.StatusMessageTooBig},
		{"cut off", s, offer, 0xc1, beat[:len(beat)/2], websocket.StatusInternalError}, // the library reads half a message
		{"no DEFLATE", s, offer, 0xc1, []byte("\xff\xff\xff"), websocket.StatusProtocolError},
		{"many last blocks", s, offer, 0xc1, []byte(strings.Repeat("\x03\x00", 1000)), websocket.StatusInternalError},
		{"not agreed to", s, "", 0xc1, beat, websocket.StatusProtocolError},
		{"switched off", off, offer, 0xc1, beat, websocket.StatusProtocolError},
		{"a compressed ping", s, offer, 0xc9, []byte("x"), websocket.StatusProtocolError},
		{"another bit", s, offer, 0xe1, beat, websocket.StatusProtocolError},
		{"no JSON", s, offer, 0xc1, packed(t, repeated), websocket.StatusInternalError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := test.s.dialPacking(t, test.offer)
			c.send(t, test.first, test.body)
			wantCloseFrame(t, c.r, test.code)
		})
	}
}

// A hundred bombs in one segment, each within the limit: they are handled, and nobody else waits for them in
// a loop.
func TestDeflateManyLarge(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Config: deflating})
	c := s.dialPacking(t, "permessage-deflate")
	large := packed(t, `[null,"3","phoenix","heartbeat",{"a":"`+strings.Repeat("x", 60_000)+`"}]`)
	for range 100 {
		c.send(t, 0xc1, large)
	}
	for range 100 {
		c.until(t, `"3","phoenix"`)
	}
}

// Two libraries understand each other.
func TestDeflateClient(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: patientChat + deflating})
	for _, mode := range []websocket.CompressionMode{websocket.CompressionNoContextTakeover, websocket.CompressionContextTakeover} {
		c, err := hosttest.Dial(s.Socket(""), &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		must(t, err)
		t.Cleanup(c.Close)
		c.MustJoin(t, "room:lobby", `{"token":"demo","user":"ada"}`)
		for n := range 20 {
			body := fmt.Sprintf(`{"body":"%s"}`, strings.Repeat(repeated, n*n))
			reply, err := c.Call("room:lobby", "echo", body)
			must(t, err)
			if !strings.Contains(string(reply.Payload), body) {
				t.Fatalf("%d bytes come back as %d", len(body), len(reply.Payload))
			}
		}
		c.WS.Close(websocket.StatusNormalClosure, "")
	}
}
