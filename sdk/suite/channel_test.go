package suite_test

import (
	"bytes"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

var joining = []scenario{
	{"join", func(t *testing.T, s *stack) {
		c := s.connect(t, "")
		c.member("suite:join").replies(t, "phx_join", `{"welcome":"to “all”\n"}`, `ok {"welcome":"to “all”\n"}`)
		c.member("suite:plain").replies(t, "phx_join", `[1]`, "ok {}")
	}},
	{"join is refused", func(t *testing.T, s *stack) {
		c := s.connect(t, "")
		c.member("suite:refused").replies(t, "phx_join", `{"refuse":"not \"now\""}`, `error {"reason":"not \"now\""}`)
		s.recorded(t, "")
	}},
	{"join crashes", func(t *testing.T, s *stack) {
		c := s.connect(t, "")
		c.member("suite:crashing").replies(t, "phx_join", `{"crash":"no such luck"}`, `error {"reason":"join crashed"}`)
		s.logged(t, "no such luck", `"topic":"suite:crashing"`)
	}},
	{"what join pushes follows its reply", func(t *testing.T, s *stack) {
		m := s.connect(t, "").member("suite:pushing")
		ref := m.send(t, "phx_join", `{"push":"hi","welcome":"you"}`)
		first, err := m.Next(func(hosttest.Message) bool { return true })
		must(t, err)
		if !first.Answers(ref) {
			t.Errorf("first came %v", first)
		}
		m.next(t, "joined")
	}},
}

var messages = []scenario{
	{"replies", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:replies", "{}")
		for _, text := range []string{`{"a":[1,"é\ud83d\ude00"]}`, `"text"`, `null`, `12.50`, `{}`} {
			m.replies(t, "echo", text, "ok "+text)
		}
		m.does(t, `error {"text":"a\nb"}`, "status", "status", "error", "text", "a\nb")
		m.does(t, `not_found {"text":"<\u2028\\\">"}`, "status", "status", "not_found", "text", "<\u2028\\\">")
		m.does(t, `ok {"text":"😀 \u0001"}`, "status", "status", "ok", "text", "😀 \u0001")
		for _, test := range []struct{ payload, want string }{
			{`{"status":"ok","text":"\b\f\n\r\t\/\\\""}`, `ok {"text":"\b\f\n\r\t/\\\""}`},
			{`{"a":{"text":"x"},"b":["text","}"],"status":"ok","text":"y"}`, `ok {"text":"y"}`},
			{"\t{ \"status\" :\n\"ok\" , \"te\\u0078t\":\"z\"}\r\n", `ok {"text":"z"}`},
			{`{"status":"ok","text":7}`, `ok {"text":""}`},
			{`{"status":"ok","text":null,"ms":[]}`, `ok {"text":""}`},
		} {
			m.replies(t, "status", test.payload, test.want)
		}
		long := strings.Repeat("0123456789", 100)
		m.does(t, `ok {"text":"`+long+`"}`, "status", "status", "ok", "text", long)
		m.does(t, `ok {"greeting":"hello"}`, "config")
	}},
	{"binary", func(t *testing.T, s *stack) {
		m, other := s.join(t, "suite:binary", "{}"), s.join(t, "suite:binary", "{}")
		payload := []byte("\x00\x01\xff{}\n")
		if got := m.answer(t, m.sendBytes(t, "echo", payload)); !got.Binary || got.Status != "ok" || !bytes.Equal(got.Payload, payload) {
			t.Errorf("echo = %q, binary %v", got.Payload, got.Binary)
		}
		for _, event := range []string{"push", "broadcast"} {
			m.replied(t, m.sendBytes(t, event, payload), event, "ok {}")
			m.hearsBytes(t, "bytes", payload)
		}
		other.hearsBytes(t, "bytes", payload)
		m.replied(t, m.sendBytes(t, "broadcast_from", payload[:2]), "broadcast_from", "ok {}")
		other.hearsBytes(t, "bytes", payload[:2])
		m.does(t, "ok {}", "broadcast", "event", "last", "text", "")
		m.next(t, "last")
		m.hasNot(t, "bytes")

		heard := s.join(t, "suite:bytes", "{}")
		m.does(t, "ok {}", "subscribe", "topic", "suite:bytes")
		m.replied(t, m.sendBytes(t, "publish", payload), "publish", "ok {}")
		heard.hearsBytes(t, "bytes", payload)
		m.hearsBytes(t, "heard", payload)
	}},
	{"large payloads", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:large", "{}")
		text := `{"text":"` + strings.Repeat("x", 60_000) + `"}`
		m.replies(t, "echo", text, "ok "+text)
		m.replies(t, "echo", `{}`, "ok {}")
	}},
	{"no reply", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:quiet", "{}")
		ref := m.send(t, "quiet", "{}")
		m.does(t, `ok {"count":2}`, "count")
		m.hasNot(t, ref)
	}},
	{"late replies", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:late", "{}")
		ref := m.send(t, "later", `{"ms":30}`)
		m.does(t, `ok {"count":2}`, "count") // meanwhile
		m.replied(t, ref, "later", `ok {"late":true}`)
		ref = m.send(t, "hold", "{}")
		m.does(t, "ok {}", "release", "text", "held")
		m.replied(t, ref, "hold", `ok {"text":"held"}`)
		ref = m.send(t, "hold", "{}")
		m.replied(t, m.sendBytes(t, "release", []byte("\x00\xff")), "release", "ok {}")
		if f := m.answer(t, ref); !f.Binary || f.String() != "ok \x00\xff" {
			t.Errorf("the late binary reply is %q, binary %v", f.Payload, f.Binary)
		}
	}},
	{"push and broadcast", func(t *testing.T, s *stack) {
		a, b := s.join(t, "suite:cast", "{}"), s.join(t, "suite:cast", "{}")
		a.does(t, "ok {}", "push", "event", "one", "text", "1")
		a.does(t, "ok {}", "broadcast", "event", "two", "text", "2")
		a.does(t, "ok {}", "broadcast_from", "event", "three", "text", "3")
		a.does(t, "ok {}", "broadcast", "event", "four", "text", "4")
		a.hears(t, "one", `{"text":"1"}`)
		for _, m := range []*member{a, b} {
			m.hears(t, "two", `{"text":"2"}`)
			m.hears(t, "four", `{"text":"4"}`)
		}
		b.hears(t, "three", `{"text":"3"}`)
		b.hasNot(t, "one")
		a.hasNot(t, "three")
	}},
	{"publish and subscribe", func(t *testing.T, s *stack) {
		a, b := s.join(t, "suite:a", "{}"), s.join(t, "suite:b", "{}")
		a.does(t, "ok {}", "publish", "topic", "suite:b", "event", "news", "text", "1")
		b.hears(t, "news", `{"text":"1"}`)
		a.does(t, "ok {}", "subscribe", "topic", "suite:b")
		b.does(t, "ok {}", "broadcast", "event", "news", "text", "2")
		a.hears(t, "heard", `{"topic":"suite:b","event":"news","payload":{"text":"2"}}`)
		a.does(t, "ok {}", "subscribe", "topic", "granted:1")
		a.does(t, "ok {}", "publish", "topic", "granted:1", "event", "x", "text", "3")
		a.hears(t, "heard", `{"topic":"granted:1","event":"x","payload":{"text":"3"}}`)
		a.does(t, "ok {}", "unsubscribe", "topic", "granted:1")
		a.does(t, "ok {}", "publish", "topic", "granted:1", "event", "x", "text", "4")
		b.does(t, "ok {}", "broadcast", "event", "last", "text", "")
		a.hears(t, "heard", `{"topic":"suite:b","event":"last","payload":{"text":""}}`)
		a.fails(t, "denied", "publish", "topic", "foreign:1", "event", "x", "text", "")
		a.fails(t, "denied", "subscribe", "topic", "foreign:1")
	}},
	{"intercept", func(t *testing.T, s *stack) {
		a, b := s.join(t, "suite:mask", "{}"), s.join(t, "suite:mask", "{}")
		a.does(t, "ok {}", "broadcast", "event", "masked", "text", "1")
		a.hears(t, "unmasked", `{"text":"1"}`)
		b.hears(t, "unmasked", `{"text":"1"}`)
		a.does(t, "ok {}", "broadcast_from", "event", "masked", "text", "2")
		b.hears(t, "unmasked", `{"text":"2"}`)
		a.hasNot(t, "unmasked")
		a.hasNot(t, "masked")
		b.hasNot(t, "masked")
	}},
	{"log", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:log", "{}")
		m.does(t, "ok {}", "log", "level", "warn", "text", "beware of the dog")
		s.logged(t, `"WARN"`, "beware of the dog", `"plugin":"suite"`)
	}},
	{"timers", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:timers", "{}")
		m.get(t, "send_after", "text", "tick", "ms", 20)
		m.hears(t, "info", `{"text":"tick"}`)
		timer := m.get(t, "send_after", "text", "never", "ms", 60_000)["timer"]
		if left := m.get(t, "cancel", "timer", timer)["left"].(float64); left < 1000 || left > 60_000 {
			t.Errorf("%v ms were left of 60,000", left)
		}
		m.fails(t, "no_process", "cancel", "timer", timer)
		m.does(t, "ok {}", "sleep", "ms", 10)
		m.does(t, "ok {}", "hibernate")
		m.does(t, `ok {"count":7}`, "count")
	}},
	{"vectors", func(t *testing.T, s *stack) {
		if strings.HasPrefix(s.language, "go") { // its own tests have the decoder at hand
			return
		}
		m := s.join(t, "suite:vectors", "{}")
		for _, v := range vectors(t) {
			f := m.answer(t, m.sendBytes(t, "vector", v.bytes))
			if f.Status != "ok" || !f.Binary || !bytes.Equal(f.Payload, v.bytes) {
				t.Errorf("%s:\n got %s %x\nwant ok %x", v.name, f.Status, f.Payload, v.bytes)
			}
		}
		for _, malformed := range []string{"", "\x01\x00\x00", "\x01\x00\x00\x00\x05\x00\x00\x00abcd", "\x01\x00\x00\x00\x01", "\x01\x00\x00\x00\xff\xff\xff\xffabcd"} {
			m.replied(t, m.sendBytes(t, "vector", []byte(malformed)), "a malformed record", `error {"reason":"malformed"}`)
		}
	}},
}

var lives = []scenario{
	{"each join has a state of its own", func(t *testing.T, s *stack) {
		a, b := s.join(t, "suite:state", "{}"), s.join(t, "suite:state", "{}")
		a.does(t, `ok {"count":1}`, "count")
		a.does(t, `ok {"count":2}`, "count")
		b.does(t, `ok {"count":1}`, "count")
	}},
	{"crash and replay", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:crash", `{"record":"Ada","push":"hi"}`)
		m.hears(t, "joined", `{"text":"hi","replay":false}`)
		m.does(t, `ok {"count":1}`, "count")
		pid := m.get(t, "socket")["pid"]
		m.does(t, `error {"reason":"crashed"}`, "crash", "text", "an old wound")
		m.hears(t, "joined", `{"text":"hi","replay":true}`)
		m.does(t, `ok {"count":1}`, "count")
		if again := m.get(t, "socket"); again["pid"] == pid || again["replay"] != true || again["topic"] != "suite:crash" {
			t.Errorf("after the crash of %v: %v", pid, again)
		}
		s.logged(t, "an old wound", `"topic":"suite:crash"`)
		m.does(t, `error {"reason":"crashed"}`, "trap")
		m.hears(t, "joined", `{"text":"hi","replay":true}`)
		m.does(t, `error {"reason":"crashed"}`, "no_such_event")
		m.hears(t, "joined", `{"text":"hi","replay":true}`)
		s.logged(t, "unknown event no_such_event")
		m.hasNot(t, "never")
		m.hasNot(t, "phx_error")
		m.replies(t, "phx_leave", "{}", "ok {}")
		s.recorded(t, "join Ada", "rejoin Ada", "rejoin Ada", "rejoin Ada", "terminate Ada shutdown: left")
	}},
	{"leave", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:leave", `{"record":"Ada"}`)
		m.replies(t, "phx_leave", "{}", "ok {}")
		s.recorded(t, "join Ada", "terminate Ada shutdown: left") // the reply does not wait for it
		m = s.join(t, "suite:leave", `{"record":"Bob"}`)
		m.WS.CloseNow()
		s.recorded(t, "join Bob", "terminate Bob shutdown: *")
	}},
	{"stop", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:stop", `{"record":"Ada"}`)
		m.does(t, "ok {}", "stop", "reason", "normal")
		m.hears(t, "phx_close", "{}")
		m = s.join(t, "suite:stop", `{"record":"Bob"}`)
		ref := m.send(t, "stop_quietly", `{"reason":"shutdown: enough"}`)
		m.hears(t, "phx_close", "{}")
		m.hasNot(t, ref)
		s.recorded(t, "join Ada", "terminate Ada normal", "join Bob", "terminate Bob shutdown: enough")
		m = s.join(t, "suite:stop", `{"push":"again"}`)
		m.next(t, "joined")
		m.send(t, "stop_quietly", `{"reason":"worn out"}`) // a crash, after which it is restarted
		m.hears(t, "joined", `{"text":"again","replay":true}`)
		s.logged(t, "worn out")
	}},
}
