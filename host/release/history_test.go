package release_test

import (
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

func TestHistory(t *testing.T) {
	keeps := func(pattern, detail string) abi.Effect {
		return abi.Effect{Kind: abi.EffectHistory, Name: pattern, Detail: detail}
	}
	rooms := abi.Effect{Kind: abi.EffectHandles, Name: "room:*"}
	config := channels.Keep{
		Bounds: history.Bounds{Messages: 100, Bytes: 1 << 20, Age: time.Hour},
		Most:   history.Most{Messages: 50, Bytes: 1 << 10},
	}
	with := func(b history.Bounds) channels.Keep { return channels.Keep{Bounds: b, Most: config.Most} }
	durable := config
	durable.Durable = true
	for name, c := range map[string]struct {
		start    []abi.Effect
		settings release.Settings
		one, two channels.Keep // of room:1 and room:2
		fails    string
	}{
		"nothing":         {},
		"as config says":  {start: []abi.Effect{keeps("room:*", "")}, one: config, two: config},
		"a topic":         {start: []abi.Effect{keeps("room:2", "{}")}, two: config},
		"all":             {start: []abi.Effect{keeps("room:*", `{"messages":7,"bytes":2048,"age":60000}`)}, one: with(history.Bounds{Messages: 7, Bytes: 2048, Age: time.Minute}), two: with(history.Bounds{Messages: 7, Bytes: 2048, Age: time.Minute})},
		"some":            {start: []abi.Effect{keeps("room:1", `{"messages":7,"bytes":0}`)}, one: with(history.Bounds{Messages: 7, Bytes: 1 << 20, Age: time.Hour})},
		"the first":       {start: []abi.Effect{keeps("room:1", `{"messages":7}`), keeps("room:*", "")}, one: with(history.Bounds{Messages: 7, Bytes: 1 << 20, Age: time.Hour}), two: config},
		"config is first": {start: []abi.Effect{keeps("room:*", `{"messages":7}`)}, settings: release.Settings{History: []string{"room:1"}}, one: config, two: with(history.Bounds{Messages: 7, Bytes: 1 << 20, Age: time.Hour})},
		"durable":         {start: []abi.Effect{keeps("room:1", `{"durable":true}`), keeps("room:*", "")}, one: durable, two: config},
		"durable first":   {settings: release.Settings{History: []string{"room:*"}, HistoryDurable: []string{"room:2"}}, one: config, two: durable},
		"malformed":       {start: []abi.Effect{keeps("", ""), keeps("r*m", ""), keeps("room:**", "")}},
		"not served":      {start: []abi.Effect{keeps("rom:*", "")}, fails: `topics "rom:*" have history, and it serves none of them, but ["room:*"]`},
		"no JSON":         {start: []abi.Effect{keeps("room:*", "100")}, fails: `history of "room:*": its specification is not the JSON that it should be`},
		"too many":        {start: []abi.Effect{keeps("room:*", `{"messages":1000001}`)}, fails: "messages is 1000001; want 1 to 1000000"},
		"too few":         {start: []abi.Effect{keeps("room:*", `{"messages":-1}`)}, fails: "messages is -1"},
		"bytes":           {start: []abi.Effect{keeps("room:*", `{"bytes":1023}`)}, fails: "bytes is 1023; want 1024 to 1099511627776"},
		"age":             {start: []abi.Effect{keeps("room:*", `{"age":999}`)}, fails: "age in milliseconds is 999; want 1000 to 315360000000"},
	} {
		t.Run(name, func(t *testing.T) {
			c.settings.Keep = config
			r, err := load(t, c.settings, append([]abi.Effect{rooms}, c.start...)...)
			if err != nil || c.fails != "" {
				if err == nil || c.fails == "" || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("New = %v, want %q", err, c.fails)
				}
				return
			}
			for topic, want := range map[string]channels.Keep{"room:1": c.one, "room:2": c.two} {
				var got channels.Keep
				if r.Version.History != nil {
					got, _ = r.Version.History(topic)
				}
				if r.Version.Archives != (c.one.Durable || c.two.Durable) {
					t.Errorf("archives: %v", r.Version.Archives)
				}
				if got != want {
					t.Errorf("%s has %+v, want %+v", topic, got, want)
				}
			}
		})
	}
}
