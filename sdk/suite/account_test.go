package suite_test

import (
	"strings"
	"testing"
)

// accounts are the topics and the process that can be durable, where nobody has declared them so.
var accounts = []scenario{
	{"accounts of a topic", func(t *testing.T, s *stack) {
		ada := s.join(t, "durable:plain", `{"name":"Ada"}`)
		grace := s.join(t, "durable:plain", `{"name":"Grace"}`)
		ada.does(t, `ok {"count":1}`, "add", "text", "a")
		grace.hears(t, "added", `{"text":"a"}`)
		for _, text := range []string{"b", "c", "d"} {
			grace.get(t, "add", "text", text)
		}
		ada.does(t, `ok {"count":4,"last":["b","c","d"]}`, "state")
		ada.does(t, `ok {"names":["Ada","Grace"]}`, "names")
		seen := map[any]bool{}
		for range 3 {
			ids := ada.get(t, "event_id")
			if id := ids["id"]; id == "" || id != ids["again"] || seen[id] {
				t.Errorf("the ids of an event are %v, after %v", ids, seen)
			}
			seen[ids["id"]] = true
		}
		ada.get(t, "send_after", "text", "tick", "ms", 1)
		grace.hears(t, "due", `{"text":"tick"}`)
		ada.does(t, `ok {"answer":"1"}`, "call", "to", "ledger", "text", "x")
		ada.get(t, "call", "to", "ledger", "text", "timer 1 tick")
		eventually(t, "the ledger's timer", func() string {
			if answer := ada.get(t, "call", "to", "ledger", "text", "state")["answer"]; answer != "2 x,tick" {
				return "the ledger has " + answer.(string)
			}
			return ""
		})
		if id, _ := ada.get(t, "call", "to", "ledger", "text", "id")["answer"].(string); id == "" || seen[id] {
			t.Errorf("the ledger's event has the id %q", id)
		}
		ada.fails(t, "ended: *told to crash", "call", "to", "ledger", "text", "spoil y")
		eventually(t, "the ledger's next life", func() string {
			answer := ada.answer(t, ada.send(t, "call", object("to", "ledger", "text", "state")))
			if want := `ok {"answer":"0 "}`; answer.String() != want && !strings.Contains(answer.String(), `"answer":"0 "`) {
				return "the call is answered " + answer.String()
			}
			return ""
		})
		ada.does(t, `error {"reason":"crashed"}`, "add", "text", "spoil z")
		ada.does(t, `ok {"count":0,"last":[]}`, "state")
		ada.does(t, `ok {"names":["Ada","Grace"]}`, "names")
	}},
}
