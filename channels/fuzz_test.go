package channels_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// FuzzSocket plays a client that sends whatever the bytes say, and holds the
// answers to what a client may rely on.
func FuzzSocket(f *testing.F) {
	f.Add([]byte("\x00\x20\x30\x10"))
	f.Add([]byte("\x00\x21\x22\x23\x24\x25\x26\x27\x10\x20\x00\x01\x02\x03\x04\x05\x06\x07"))
	f.Add([]byte("M\x87\x87hi\x04y\xf2\x90>\xec\xdb\x06f\x81\xfcaǂ\bH\x94\x87\x87\x87\x87\x87\xe0\x87MMM\x00\x10$"))
	f.Add([]byte("\x02\x20\x02\x10\x20\xf0\x00\x25\x25\x25\x25\x25\xf1\x04\x25\xf2\x20"))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		for _, shared := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { playAll(t, script, shared) })
		}
	})
}

func playAll(t *testing.T, script []byte, shared bool) {
	s := newServer(t, options{
		mailbox: 4,
		limits:  channels.Limits{Joins: 2, Held: 4, Pending: 5000},
		tree:    supervisor.DynamicConfig{Shutdown: time.Second},
		shared:  shared,
	})
	c := s.connect()
	var l ledger
	for i, b := range script {
		play(s, c, i, b)
		l.read(t, c.take())
	}
	close(s.plugin.gate)
	time.Sleep(5 * time.Second)
	settle()
	l.read(t, c.take())
	for _, topic := range topics {
		if open := l.topics[topic].open; s.Hub.Members(topic) != open {
			t.Errorf("%s: the client believes to have joined %d times, the hub %d", topic, open, s.Hub.Members(topic))
		}
	}
	s.close()
}

var (
	topics = []string{"room:a", "room:b", "room:c"}
	joins  = []string{`{}`, `"refuse"`, `"wait"`, `"crash"`, `"greet"`, `"wait in replay"`, `"crash in replay"`, `"intercept once"`}
	events = []string{"echo", "say", "crash", "wait", "push", "large", "save", "answer once"}
)

// play does one thing: the upper half of the byte says what, the lower to what.
func play(s *server, c *client, i int, b byte) {
	topic, choice := topics[b%3], int(b&0xf)%8
	joinRef := "null"
	if b&8 != 0 {
		joinRef = fmt.Sprintf(`"%d"`, i-choice-1) // of a recent join, perhaps
	}
	switch b >> 4 {
	case 0, 1:
		c.send(fmt.Sprintf(`["%d","%d",%q,"phx_join",%s]`, i, i, topic, joins[choice]))
	case 2, 3:
		c.send(fmt.Sprintf(`[%s,"%d",%q,"phx_leave",{}]`, joinRef, i, topic))
	case 4, 5:
		c.sendBinary(bin(strings.Trim(strings.TrimPrefix(joinRef, "null"), `"`), fmt.Sprint(i), topic, events[choice], "\x00"))
	case 6, 7, 8, 9:
		c.send(fmt.Sprintf(`[%s,"%d",%q,%q,{"n":%d}]`, joinRef, i, topic, events[choice], i))
	case 10:
		s.plugin.deploy(s.plugin.version(fmt.Sprint("v", i), supervisor.Restart(b%3)))
	case 11:
		select {
		case s.plugin.gate <- struct{}{}:
		default:
		}
	case 12:
		settle()
	case 13:
		time.Sleep(3 * time.Second)
	case 14:
		c.send(fmt.Sprintf(`[null,"%d","phoenix","heartbeat",{}]`, i))
	case 15:
		_ = c.Receive([]byte{b}, b&1 == 0)
	}
}

// asText is what a binary frame says, in text.
func asText(frame string) string {
	names := []int{3, 4, 2}[frame[0]]
	rest := frame[1+names:]
	var name []any
	for _, size := range []byte(frame[1 : 1+names]) {
		name = append(name, rest[:size])
		rest = rest[size:]
	}
	switch frame[0] {
	case 0:
		return fmt.Sprintf(`[%q,null,%q,%q,{}]`, name...)
	case 1:
		return fmt.Sprintf(`[%q,%q,%q,"phx_reply",{"status":%q}]`, name...)
	}
	return fmt.Sprintf(`[null,null,%q,%q,{}]`, name...)
}

// FuzzFrames gives a socket what somebody else may send. All that comes of it is
// an error, or answers that are frames.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		`["1","2","room:a","echo",{"a":[1e3,"\ud83d\ude00"]}]`, `[null,null,"room:b","phx_join",{}]`, `["1","1","room:a","phx_leave",{}]`,
		`{"topic":"room:a","event":"say","payload":{},"ref":[1]}`, `{"topic":"room:b","event":"phx_join","payload":0,"ref":{"a":1}}`,
		bin("1", "2", "room:a", "echo", "\xff"), bin("1", "2", "room:b", "phx_join", ""), bin("", "", "phoenix", "heartbeat", ""),
	} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
		f.Add([]byte(seed), true, false)
	}
	f.Fuzz(func(t *testing.T, frame []byte, binary, old bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, options{})
			c, other := s.connect().joined("room:a"), s.connect().joined("room:a")
			if old {
				c = s.connectWith(channels.SocketOptions{Codec: channels.V1})
				c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
			}
			_ = c.Receive(bytes.Clone(frame), binary)
			close(s.plugin.gate)
			settle()
			for _, f := range append(c.take(), other.take()...) {
				if data, ok := strings.CutPrefix(f, "binary "); ok {
					asText(data)
				} else if !json.Valid([]byte(f)) {
					t.Errorf("after %q: sent %q", frame, f)
				}
			}
			other.send(`["1","2","room:a","echo",{}]`)
			other.want(ok("1", "2", "room:a"))
			s.close()
		})
	})
}

// ledger is what a client can know from the frames that it got.
type ledger struct {
	answered map[string]bool
	topics   map[string]*struct{ open int }
	joined   map[string]bool // join_refs whose join was accepted
	ended    map[string]bool // and ended
}

func (l *ledger) read(t *testing.T, frames []string) {
	t.Helper()
	if l.topics == nil {
		l.answered, l.joined, l.ended = map[string]bool{}, map[string]bool{}, map[string]bool{}
		l.topics = map[string]*struct{ open int }{}
		for _, topic := range topics {
			l.topics[topic] = &struct{ open int }{}
		}
	}
	for _, f := range frames {
		var joinRef, ref *string
		var topic, event string
		var payload struct {
			Status   string
			Response json.RawMessage
		}
		if data, ok := strings.CutPrefix(f, "binary "); ok {
			f = asText(data)
		}
		if err := json.Unmarshal([]byte(f), &[]any{&joinRef, &ref, &topic, &event, &payload}); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		switch event {
		case "phx_reply":
			if ref == nil || l.answered[*ref] {
				t.Fatalf("%s: answered twice, or nothing", f)
			}
			l.answered[*ref] = true
			if joinRef != nil && *joinRef == *ref && payload.Status == "ok" {
				l.joined[*ref] = true
				l.topics[topic].open++
			}
		case "phx_close", "phx_error":
			if joinRef == nil || ref == nil || *joinRef != *ref || !l.joined[*ref] || l.ended[*ref] {
				t.Fatalf("%s: not joined, or ended twice", f)
			}
			l.ended[*ref] = true
			l.topics[topic].open--
		default:
			if joinRef != nil && (!l.joined[*joinRef] || l.ended[*joinRef]) {
				t.Fatalf("%s: push of a channel that is not joined", f)
			}
		}
	}
}
