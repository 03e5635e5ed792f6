package plugin_test

import (
	"errors"
	"strings"
	"testing"

	"rtd/host/plugin"
	"rtd/sandbox/abi"
)

func TestConnect(t *testing.T) {
	w := newWorld(t)
	wants := abi.Effect{Kind: abi.EffectWants, Name: "connect"}
	w.deploy("p", nil, wants, worker("a"))
	w.deploy("q", nil, worker("a"))
	reply := func(status, response, id string) []byte {
		return orders(abi.Effect{Kind: abi.EffectReply, Name: status, Payload: []byte(response), Detail: id})
	}
	for name, test := range map[string]struct {
		info   []byte
		status int // of a refusal
		want   plugin.Connection
	}{
		"no reply":              {orders(), 0, plugin.Connection{}},
		"accepted":              {reply("ok", `{"user":7}`, "users:7"), 0, plugin.Connection{Assigns: []byte(`{"user":7}`), ID: "users:7"}},
		"refused":               {reply("error", "{}", ""), 403, plugin.Connection{}},
		"refused with a status": {reply("429", "", ""), 429, plugin.Connection{}},
		"no status of HTTP":     {reply("200", "", ""), 403, plugin.Connection{}},
		"crash":                 {orders(op(trap, "")), -1, plugin.Connection{}},
		"asks a process":        {orders(calling("a", "", op(count, ""))), 0, plugin.Connection{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.set.Connect(t.Context(), "p", "/socket", test.info)
			var refused *plugin.RefusedError
			switch {
			case test.status == 0 && err != nil:
				t.Error(err)
			case test.status > 0 && (!errors.As(err, &refused) || refused.Status != test.status):
				t.Errorf("got %v, want status %d", err, test.status)
			case test.status < 0 && (err == nil || errors.As(err, &refused)):
				t.Errorf("a crash gave %v", err)
			}
			if string(got.Assigns) != string(test.want.Assigns) || got.ID != test.want.ID {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	if !strings.Contains(w.log.String(), "process=connect") {
		t.Error("the crash was not logged")
	}
	if _, err := w.set.Connect(t.Context(), "nobody", "/socket", nil); !errors.Is(err, plugin.ErrNoPlugin) {
		t.Errorf("without a plugin: %v", err)
	}

	for _, test := range []struct {
		names []string
		want  string
	}{{nil, "p"}, {[]string{"p", "q"}, "p"}, {[]string{"q"}, ""}} {
		if got, err := w.set.Connector(test.names); got != test.want || err != nil {
			t.Errorf("Connector(%q) = %q, %v, want %q", test.names, got, err, test.want)
		}
	}
	w.deploy("r", nil, wants, worker("a"))
	if _, err := w.set.Connector(nil); err == nil || !strings.Contains(err.Error(), "p, r") {
		t.Errorf("with two that want it: %v", err)
	}
}

// A plugin may publish and subscribe to its own topics and those granted to it.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *plugin.Settings) { s.Grants = []string{"news:*", "exact"} }, worker("a"), worker("b"))
	for topic, code := range map[string]abi.Code{
		"p:1": 0, "news:today": 0, "exact": 0, "exactly": abi.CodeDenied, "other:1": abi.CodeDenied,
	} {
		publish := abi.Effect{Kind: abi.EffectPublish, Name: "e", Detail: topic}
		if r := w.ask("p/a", publish); r.code != code {
			t.Errorf("publish to %s = %v, want %v", topic, r, code)
		}
		if r := w.ask("p/a", op(abi.EffectSubscribe, topic)); r.code != code {
			t.Errorf("subscribe to %s = %v, want %v", topic, r, code)
		}
	}
	w.ask("p/b", abi.Effect{Kind: abi.EffectPublish, Name: "told", Payload: []byte(`{"n":1}`), Detail: "news:today"})
	if e := w.next(abi.EventBroadcast); e.Name != "told" || e.Detail != "news:today" || string(e.Payload) != `{"n":1}` {
		t.Errorf("broadcast = %+v", e)
	}

	// What no client could read is a crash of its sender, before any of it is sent.
	a := w.process("p/a")
	w.call("p/a", abi.Effect{Kind: abi.EffectPublish, Name: "e", Payload: []byte("no JSON"), Detail: "p:1"})
	<-a.Done()
	if reason := a.Reason(); !strings.Contains(reason.Error(), "JSON") {
		t.Errorf("ended with %v", reason)
	}
}
