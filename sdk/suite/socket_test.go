package suite_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

var connecting = []scenario{
	{"connect", func(t *testing.T, s *stack) {
		o := &websocket.DialOptions{
			HTTPHeader:   http.Header{"User-Agent": {`"tester"`}, "X-Suite": {"yes"}},
			Subprotocols: []string{"phoenix", "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte("to<ken>"))},
		}
		c, err := hosttest.Dial(s.Socket("&user=%C3%89mile+%22Z%22&a[b]=deep&a[c]=x"), o)
		must(t, err)
		defer c.Close()
		m := client{c}.member("suite:assigns")
		m.replies(t, "phx_join", "{}", "ok {}")
		m.does(t, `ok {"user":"Émile \"Z\"","mount":"socket","token":"to<ken>","agent":"\"tester\"","header":"yes","address":"127.0.0.1","nested":"deep"}`, "assigns")

		m = s.connect(t, "").member("suite:assigns")
		m.replies(t, "phx_join", "{}", "ok {}")
		m.does(t, "ok {}", "assigns")
	}},
	{"connect is refused", func(t *testing.T, s *stack) {
		for user, want := range map[string]int{"nobody": 401, "banned": 403, "crash": 500} {
			if status := s.refusal(t, "&user="+user); status != want {
				t.Errorf("%s: status %d, want %d", user, status, want)
			}
		}
	}},
	{"disconnect", func(t *testing.T, s *stack) {
		a, b, other := s.connect(t, "&user=ada"), s.connect(t, "&user=ada"), s.connect(t, "&user=bob")
		for _, c := range []client{a, b, other} { // and so each is known by its id
			c.member("suite:alive").replies(t, "phx_join", "{}", "ok {}")
		}
		s.control.does(t, "ok {}", "disconnect", "id", "users:ada")
		for _, c := range []client{a, b} {
			select {
			case <-c.Ended():
			case <-time.After(hosttest.Patience):
				t.Fatal("it is not disconnected")
			}
		}
		other.member("suite:more").replies(t, "phx_join", "{}", "ok {}")
	}},
}

var presences = []scenario{
	{"presence", func(t *testing.T, s *stack) {
		a, b := s.join(t, "suite:who", "{}"), s.join(t, "suite:who", "{}")
		ref := a.get(t, "track", "key", "ada", "text", `at "home"`)["ref"].(string)
		for _, m := range []*member{a, b} {
			m.hears(t, "presence_diff", `{"joins":{"ada":{"metas":[{"phx_ref":"`+ref+`","text":"at \"home\""}]}},"leaves":{}}`)
		}
		b.does(t, `ok {"ada":{"metas":[{"phx_ref":"`+ref+`","text":"at \"home\""}]}}`, "presences")
		b.get(t, "track", "key", "ada", "text", "too")
		b.does(t, `ok {"keys":1,"metas":2}`, "presence_count")
		s.control.does(t, `ok {"keys":1,"metas":2}`, "presence_count", "topic", "suite:who")
		s.control.does(t, `ok {"keys":0,"metas":0}`, "presence_count")
		b.next(t, "presence_diff")
		again := b.get(t, "update", "key", "ada", "text", "gone")["ref"].(string)
		if diff := string(b.next(t, "presence_diff").Payload); !strings.Contains(diff, again) || !strings.Contains(diff, "gone") {
			t.Errorf("after update: %s", diff)
		}
		b.does(t, "ok {}", "present")
		if state := string(b.next(t, "presence_state").Payload); !strings.Contains(state, ref) || !strings.Contains(state, again) {
			t.Errorf("presence_state = %s", state)
		}
		a.does(t, "ok {}", "untrack", "key", "ada")
		a.does(t, `ok {"keys":1,"metas":1}`, "presence_count")
		a.get(t, "track", "key", "ada", "text", "elsewhere", "topic", "granted:who")
		a.does(t, `ok {"keys":1,"metas":1}`, "presence_count", "topic", "granted:who")
		a.fails(t, "denied", "track", "key", "ada", "text", "", "topic", "foreign:who")
		a.fails(t, "denied", "present", "topic", "foreign:who")
		a.does(t, "ok {}", "present", "topic", "granted:who")
		if state := string(a.next(t, "presence_state").Payload); !strings.Contains(state, "elsewhere") {
			t.Errorf("presence_state of another topic = %s", state)
		}
	}},
}

var memberPresences = []scenario{
	{"presence of members", func(t *testing.T, s *stack) {
		count := func(want, topic string) {
			t.Helper()
			s.control.does(t, "ok "+want, "presence_count", "topic", topic)
		}
		list := func() string { return s.listed(t, "shared:who") }
		ada, bob := s.join(t, "shared:who", `{"name":"Ada","track":"user"}`), s.join(t, "shared:who", `{"name":"Bob","track":"user"}`)
		count(`{"keys":1,"metas":2}`, "shared:who")
		ada.fails(t, "taken", "track", "key", "user", "text", "again")
		ada.get(t, "track", "key", "user", "text", "elsewhere", "topic", "granted:who")
		count(`{"keys":1,"metas":1}`, "granted:who")
		before := list()
		two := bob.get(t, "update", "key", "user", "text", "Robert")["ref"].(string)
		if now := list(); !strings.Contains(now, two) || now == before || !strings.Contains(now, "Ada") {
			t.Errorf("after the update %s", now)
		}
		bob.get(t, "update", "key", "user", "text", "Bob")

		// A crash changes nothing for the members; their joins track them again. What is the
		// process's own has to be tracked again by it.
		before = list()
		ada.get(t, "track_self", "key", "host", "text", "")
		count(`{"keys":2,"metas":3}`, "shared:who")
		ada.does(t, `error {"reason":"crashed"}`, "crash", "text", "for all")
		ada.does(t, `ok {"total":1}`, "total")
		if now := list(); now != before {
			t.Errorf("present is %s, was %s", now, before)
		}
		count(`{"keys":1,"metas":1}`, "granted:who")

		bob.does(t, "ok {}", "untrack", "key", "user")
		count(`{"keys":1,"metas":1}`, "shared:who")
		ada.replies(t, "phx_leave", "{}", "ok {}")
		bob.hears(t, "left", `{"name":"Ada","reason":"left"}`)
		count(`{"keys":0,"metas":0}`, "shared:who")
		count(`{"keys":0,"metas":0}`, "granted:who")
	}},
}

// listed is the list of who is present in a topic.
func (s *stack) listed(t *testing.T, topic string) string {
	t.Helper()
	list, err := json.Marshal(s.control.get(t, "presences", "topic", topic))
	must(t, err)
	return string(list)
}

var sharing = []scenario{
	{"one process for a topic", func(t *testing.T, s *stack) {
		c := s.connect(t, "&user=ada")
		ada := c.member("shared:1")
		ada.replies(t, "phx_join", `{"name":"Ada","push":"hi"}`, "ok {}")
		ada.hears(t, "joined", `{"text":"hi","replay":false}`)
		bob := s.join(t, "shared:1", `{"name":"Bob"}`)
		ada.does(t, `ok {"total":1}`, "total")
		bob.does(t, `ok {"total":2}`, "total")
		bob.does(t, `ok {"names":["Ada","Bob"]}`, "names")
		s.connect(t, "").member("shared:1").replies(t, "phx_join", `{"name":"Eve","refuse":"full"}`, `error {"reason":"full"}`)
		bob.does(t, `ok {"names":["Ada","Bob"]}`, "names")

		bob.does(t, "ok {}", "tell", "name", "Ada", "text", "psst")
		ada.hears(t, "told", `{"text":"psst"}`)
		ada.does(t, `ok {"user":"ada","mount":"socket","token":"","agent":"Go-http-client/1.1","header":"","address":"127.0.0.1","nested":""}`, "assigns")
		bob.does(t, "ok {}", "assigns")
		one, two := ada.get(t, "socket"), bob.get(t, "socket")
		if one["pid"] != two["pid"] || one["member"] == two["member"] || one["member"] == "" || one["topic"] != "shared:1" || one["replay"] != false {
			t.Errorf("sockets %v and %v", one, two)
		}
		bob.does(t, "ok {}", "broadcast_from", "event", "news", "text", "1")
		ada.hears(t, "news", `{"text":"1"}`)
		bob.does(t, "ok {}", "broadcast_from", "event", "masked", "text", "2")
		ada.hears(t, "unmasked", `{"text":"2"}`)
		bob.does(t, "ok {}", "broadcast", "event", "masked", "text", "3")
		bob.hears(t, "unmasked", `{"text":"3"}`)
		bob.hasNot(t, "news")
		s.recorded(t, "join Ada", "join Bob")

		ada.get(t, "track", "key", "ada", "text", "")
		ada.does(t, "ok {}", "present")
		ada.next(t, "presence_state")
		bob.hasNot(t, "presence_state")
		ada.does(t, "ok {}", "untrack", "key", "ada")

		// Members come back in their order, and know nothing of it.
		bob.does(t, `error {"reason":"crashed"}`, "crash", "text", "for all")
		ada.hears(t, "joined", `{"text":"hi","replay":true}`)
		bob.does(t, `ok {"names":["Ada","Bob"]}`, "names")
		bob.does(t, `ok {"total":1}`, "total")
		if now := ada.get(t, "socket"); now["member"] != one["member"] || now["replay"] != true {
			t.Errorf("socket %v, then %v", one, now)
		}
		if user := ada.get(t, "assigns")["user"]; user != "ada" {
			t.Errorf("user %v after the crash", user)
		}
		s.recorded(t, "rejoin Ada", "rejoin Bob")

		eve := s.join(t, "shared:1", `{"name":"Eve"}`)
		ada.replies(t, "phx_leave", "{}", "ok {}")
		bob.hears(t, "left", `{"name":"Ada","reason":"left"}`)
		eve.does(t, `ok {"names":["Bob","Eve"]}`, "names")
		eve.replies(t, "echo", `{"a":1}`, `ok {"a":1}`)
	}},
}
