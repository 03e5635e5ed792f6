package plugin_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rtd/channels"
	"rtd/host/plugin"
	"rtd/sandbox/abi"
)

func TestPresence(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *plugin.Settings) { s.Grants = []string{"lobby"} }, worker("a"), worker("b"))
	track := func(kind abi.Kind, key, meta, topic string) abi.Effect {
		return abi.Effect{Kind: kind, Name: key, Payload: []byte(meta), Detail: topic}
	}
	ref := w.ask("p/a", track(abi.OpTrack, "ada", `{"at":"home"}`, "lobby"))
	if ref.code <= 0 {
		t.Fatalf("track = %v", ref)
	}
	w.ask("p/b", track(abi.OpTrack, "ada", `{"at":"work"}`, "lobby"))
	for name, test := range map[string]struct {
		order abi.Effect
		code  abi.Code
	}{
		"twice":           {track(abi.OpTrack, "ada", `{}`, "lobby"), abi.CodeTaken},
		"no object":       {track(abi.OpTrack, "eve", `[]`, "lobby"), abi.CodeMalformed},
		"no topic":        {track(abi.OpTrack, "eve", `{}`, ""), abi.CodeMalformed},
		"not granted":     {track(abi.OpTrack, "eve", `{}`, "elsewhere"), abi.CodeDenied},
		"update of none":  {track(abi.OpUpdate, "eve", `{}`, "lobby"), abi.CodeNoProcess},
		"list of another": {op(abi.OpPresences, "elsewhere"), abi.CodeDenied},
	} {
		if r := w.ask("p/a", test.order); r.code != test.code {
			t.Errorf("%s: %v, want %v", name, r, test.code)
		}
	}
	var state map[string]struct {
		Metas []map[string]string
	}
	list := func() string {
		answer := w.ask("p/b", op(abi.OpPresences, "lobby")).answer
		state = nil
		must(t, json.Unmarshal([]byte(answer), &state))
		return answer
	}
	if text := list(); len(state["ada"].Metas) != 2 || !strings.Contains(text, ref.answer) {
		t.Errorf("list = %s", text)
	}
	if r := w.ask("p/b", op(abi.OpPresenceCount, "lobby")); strings.Join(fieldsOf(r.answer), " ") != "1 2" {
		t.Errorf("count = %q", r.answer)
	}

	updated := w.ask("p/a", track(abi.OpUpdate, "ada", `{"at":"sea"}`, "lobby"))
	if text := list(); !strings.Contains(text, `"at":"sea"`) || !strings.Contains(text, `"phx_ref_prev":"`+ref.answer) || updated.answer == ref.answer {
		t.Errorf("after update: %s", text)
	}
	w.ask("p/b", track(abi.OpUntrack, "ada", "", "lobby"))
	if text := list(); len(state["ada"].Metas) != 1 {
		t.Errorf("after untrack: %s", text)
	}
	w.call("p/a", op(trap, "")) // the host untracks who ends, for whatever reason
	eventually(t, "a has left", func() bool { list(); return len(state) == 0 })
}

// TestPresent: a channel handler can show who is present in its own topic and in those
// granted to the plugin; a process that is none has nobody to show it to.
func TestPresent(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *plugin.Settings) { s.Topics, s.Grants = []string{"room"}, []string{"lobby"} }, worker("a"))
	if r := w.ask("p/a", op(abi.EffectPresent, "lobby")); r.code != abi.CodeNotNow {
		t.Errorf("present in a process without a client = %v", r)
	}
	track := abi.Effect{Kind: abi.OpTrack, Name: "ada", Payload: []byte(`{"at":"home"}`), Detail: "lobby"}
	ref := w.ask("p/a", track).answer

	var box frames
	s := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &box})
	defer s.Close()
	what := orders(op(abi.EffectPresent, "room"), op(abi.EffectPresent, "elsewhere"), op(abi.EffectPresent, "lobby"), op(abi.EffectPresent, ""))
	must(t, s.Receive(append([]byte("\x00\x01\x01\x04\x0811roomphx_join"), what...), true))
	here := fmt.Sprintf(`["1",null,"room","presence_state",{"ada":{"metas":[{"at":"home","phx_ref":%q}]}}]`, ref)
	nobody := `["1",null,"room","presence_state",{}]`
	want := []string{`["1","1","room","phx_reply",{"status":"ok","response":{}}]`, nobody, here, nobody}
	eventually(t, "states", func() bool { return len(box.all()) >= len(want) })
	if got := box.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// frames is an outbox that keeps them.
type frames struct {
	mu   sync.Mutex
	sent []string
}

func (f *frames) Send(frame channels.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, string(frame.Data))
}

func (f *frames) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}
