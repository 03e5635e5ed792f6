package rollout_test

import (
	"fmt"
	"strings"
	"testing"

	"rtd/host/release"
	"rtd/sandbox/abi"
)

// past reads a history: the epoch, and in one line the offset, the oldest, and of each message offset, event and size.
func (w *world) past(whom, topic, after, limit string) (epoch, text string, code abi.Code) {
	w.t.Helper()
	r := w.ask(whom, abi.Effect{Kind: abi.OpHistory, Name: topic, Detail: after, Extra: limit})
	if r.code < 0 {
		return "", "", r.code
	}
	fields := fieldsOf(r.answer)
	epoch, offset, _ := strings.Cut(fields[0], ":")
	text = offset + " " + fields[1]
	for m := fields[2:]; len(m) > 0; m = m[5:] {
		text += fmt.Sprintf(" %s:%s:%d%s", m[0], m[2], len(m[3]), m[4])
	}
	return epoch, text, 0
}

// A guest reads what was said in its topics, and in those granted to it, by pages that are bounded.
func TestHistoryIsRead(t *testing.T) {
	w := newWorld(t)
	start := []abi.Effect{
		{Kind: abi.EffectHistory, Name: "room:*", Detail: `{"messages":100,"bytes":8388608,"age":3600000}`}, worker("a"),
	}
	w.deploy("p", func(s *release.Settings) {
		s.Topics, s.Grants, s.Pending = []string{"room:*"}, []string{"lobby"}, 16<<20
	}, start...)
	wants := func(want, topic, after, limit string) (epoch string) {
		t.Helper()
		epoch, got, code := w.past("p/a", topic, after, limit)
		if got != want || code != 0 {
			t.Errorf("history of %s after %q, limit %q = %s, %v; want %s", topic, after, limit, got, code, want)
		}
		return epoch
	}
	first := wants("0 1", "room:1", "", "10")
	for _, e := range []abi.Effect{
		{Name: "said", Payload: []byte(`{}`)}, {Name: "bytes", Payload: []byte{0xff}, Flags: abi.Binary}, {Name: "said", Payload: []byte(`{"n":3}`)},
	} {
		e.Kind, e.Detail = abi.EffectPublish, "room:1"
		if r := w.ask("p/a", e); r.code != 0 {
			t.Fatalf("publish %s = %v", e.Name, r)
		}
	}
	const all = "3 1 1:said:2 2:bytes:1binary 3:said:7"
	if again := wants(all, "room:1", "", "1000"); again != first {
		t.Errorf("the epoch is %s, and was %s", again, first)
	}
	wants(all, "room:1", "0", "18446744073709551615")
	wants("3 1 3:said:7", "room:1", "2", "1000")
	wants("3 1 2:bytes:1binary", "room:1", "1", "1")
	wants("3 1", "room:1", "", "")
	wants("3 1", "room:1", "18446744073709551615", "1")
	for topic, want := range map[string]abi.Code{"lobby": abi.CodeNoHistory, "elsewhere": abi.CodeDenied, "": abi.CodeMalformed} {
		if _, text, code := w.past("p/a", topic, "", "1"); code != want {
			t.Errorf("history of %q = %s, %v; want %v", topic, text, code, want)
		}
	}
	for _, text := range []string{"-1", "x", "1.5", "18446744073709551616"} {
		if _, _, code := w.past("p/a", "room:1", text, "1"); code != abi.CodeMalformed {
			t.Errorf("after %s: %v", text, code)
		}
		if _, _, code := w.past("p/a", "room:1", "", text); code != abi.CodeMalformed {
			t.Errorf("limit %s: %v", text, code)
		}
	}

	// A version that declares none keeps none.
	w.deploy("p", func(s *release.Settings) { s.Topics = []string{"room:*"} }, worker("a"))
	if _, text, code := w.past("p/a", "room:1", "", "10"); code != abi.CodeNoHistory {
		t.Errorf("of a version without: %s, %v", text, code)
	}
}

// Histories are declared when a plugin starts, and not later.
func TestHistoryIsDeclared(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Topics = []string{"room:*"} }, worker("a"))
	if r := w.ask("p/a", op(abi.EffectHistory, "room:*")); r.code != abi.CodeNotNow {
		t.Errorf("history after the start = %v", r)
	}
	err := w.try("q", nil, op(abi.EffectHistory, "hall"), worker("b"))
	if err == nil || !strings.Contains(err.Error(), `topics "hall" have history, and it serves none of them`) {
		t.Errorf("a pattern that it does not serve: %v", err)
	}
}
