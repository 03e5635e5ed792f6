package suite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// past reads a history and returns it in one line, without the epoch: offset, oldest, messages.
func (m *member) past(t *testing.T, pairs ...any) string {
	t.Helper()
	page := m.get(t, "history", pairs...)
	_, offset, _ := strings.Cut(page["position"].(string), ":")
	return fmt.Sprint(offset, " ", page["oldest"], " ", page["messages"])
}

var histories = []scenario{
	{"history", func(t *testing.T, s *stack) {
		const topic = "suite:kept1"
		wants := func(m *member, want string, pairs ...any) {
			t.Helper()
			if got := m.past(t, pairs...); got != want {
				t.Errorf("%v = %s, want %s", pairs, got, want)
			}
		}
		wants(s.control, "0 1 []", "topic", topic, "limit", 10) // nobody is there yet
		epoch := s.control.get(t, "history", "topic", topic)["position"]
		a := s.join(t, topic, "{}")
		if got := a.get(t, "history")["position"]; got != epoch {
			t.Errorf("the position is %v, and was %v", got, epoch)
		}
		began := time.Now().UnixMilli()
		a.does(t, "ok {}", "broadcast", "event", "said", "text", `a "b"`)
		a.replied(t, a.sendBytes(t, "broadcast", []byte("xyz")), "broadcast", "ok {}")
		wants(a, `2 1 [1 said {"text":"a \"b\""} 2 bytes binary xyz]`, "limit", 10)
		wants(a, `2 1 [2 bytes binary xyz]`, "after", 1, "limit", 10)
		wants(a, `2 1 [1 said {"text":"a \"b\""}]`, "limit", 1)
		wants(a, `2 1 []`)
		wants(s.control, `2 1 [2 bytes binary xyz]`, "topic", topic, "after", 1, "limit", 1000000)
		if ms := int64(a.get(t, "history", "limit", 1)["ms"].(float64)); ms < began || ms > time.Now().UnixMilli() {
			t.Errorf("the first was at %d, and not behind %d", ms, began)
		}
		large := strings.Repeat("l", 1000)
		for range 2 {
			a.does(t, "ok {}", "broadcast", "event", "said", "text", large)
		}
		wants(a, fmt.Sprintf(`4 2 [2 bytes binary xyz 3 said {"text":%q} 4 said {"text":%q}]`, large, large), "limit", 10)
		wants(a, `4 2 []`, "after", 4, "limit", 10)

		s.control.fails(t, "no_history", "history", "limit", 1)
		s.control.fails(t, "no_history", "history", "topic", "granted:who", "limit", 1)
		s.control.fails(t, "denied", "history", "topic", "foreign:who", "limit", 1)
	}},
}
