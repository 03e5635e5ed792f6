package release_test

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

func TestDurable(t *testing.T) {
	pattern := func(text string) abi.Effect { return abi.Effect{Kind: abi.EffectDurable, Name: text} }
	handles := func(topics, scope string) abi.Effect {
		return abi.Effect{Kind: abi.EffectHandles, Name: topics, Detail: scope}
	}
	child := abi.Effect{Kind: abi.EffectChild, Name: "a"}
	docs := handles("doc:*", abi.ScopeTopic)
	for name, c := range map[string]struct {
		start    []abi.Effect
		settings release.Settings
		want     string // actors that are durable, of those asked for below
		fails    string // or how the deploy does
	}{
		"nothing":              {start: []abi.Effect{docs}},
		"topics":               {start: []abi.Effect{docs, pattern("doc:*")}, want: "doc:1 doc:2"},
		"a topic":              {start: []abi.Effect{docs, pattern("doc:1")}, want: "doc:1"},
		"all topics":           {start: []abi.Effect{docs, pattern("*")}, want: "doc:1 doc:2 chat:1 process:x"},
		"a process":            {start: []abi.Effect{child, pattern("process:a")}, want: "process:a"},
		"processes":            {start: []abi.Effect{child, pattern("process:*")}, want: "process:a process:ab"},
		"some processes":       {start: []abi.Effect{child, pattern("process:ab*")}, want: "process:ab"},
		"both":                 {start: []abi.Effect{docs, pattern("doc:2"), pattern("process:a")}, want: "doc:2 process:a"},
		"by config":            {start: []abi.Effect{docs, pattern("doc:1")}, settings: release.Settings{Durable: []string{"doc:2", "process:a"}}, want: "doc:1 doc:2 process:a"},
		"scope by config":      {start: []abi.Effect{handles("doc:*", ""), pattern("doc:*")}, settings: release.Settings{Scope: abi.ScopeTopic}, want: "doc:1 doc:2"},
		"others are per join":  {start: []abi.Effect{docs, handles("chat:*", ""), pattern("doc:*")}, want: "doc:1 doc:2"},
		"malformed":            {start: []abi.Effect{docs, pattern(""), pattern("process:"), pattern("d*c"), pattern("process:a**")}},
		"per join":             {start: []abi.Effect{handles("doc:*", ""), pattern("doc:*")}, fails: `topics "doc:*" are durable, and those of "doc:*" have a handler for each join`},
		"one is per join":      {start: []abi.Effect{docs, handles("doc1:*", ""), pattern("doc*")}, fails: `those of "doc1:*" have a handler for each join`},
		"a narrow one":         {start: []abi.Effect{handles("doc:*", abi.ScopeJoin), pattern("doc:1")}, fails: `those of "doc:1" have a handler for each join`},
		"per join by config":   {start: []abi.Effect{docs, pattern("doc:*")}, settings: release.Settings{Scope: abi.ScopeJoin}, fails: `set scope = "topic" in [plugin.p] of config.toml`},
		"config asks too much": {start: []abi.Effect{handles("doc:*", "")}, settings: release.Settings{Durable: []string{"doc:1"}}, fails: "for each join"},
		"not served":           {start: []abi.Effect{docs, pattern("dok:*")}, fails: `topics "dok:*" are durable, and it serves none of them, but ["doc:*"]`},
		"served by config":     {start: []abi.Effect{docs, pattern("doc:*")}, settings: release.Settings{Topics: []string{"chat:*"}}, fails: `serves none of them, but ["chat:*"]`},
		"nothing is served":    {start: []abi.Effect{child, pattern("*")}, fails: "serves none"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := load(t, c.settings, c.start...)
			if err != nil || c.fails != "" {
				if err == nil || c.fails == "" || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("New = %v, want %q", err, c.fails)
				}
				return
			}
			var got []string
			for _, topic := range []string{"doc:1", "doc:2", "chat:1", "process:x"} {
				if r.Durable(durable.Topic, topic) {
					got = append(got, topic)
				}
			}
			for _, process := range []string{"a", "ab"} {
				if r.Durable(durable.Process, process) {
					got = append(got, "process:"+process)
				}
			}
			if strings.Join(got, " ") != c.want || r.AnyDurable() != (c.want != "") {
				t.Errorf("durable are %q, any: %v; want %s", got, r.AnyDurable(), c.want)
			}
		})
	}
}

// A change of what is durable is a change of the release.
func TestDurableSettingsCount(t *testing.T) {
	for _, s := range []release.Settings{{Durable: []string{"a"}}, {DurableIdle: 1}, {DurableState: 1}} {
		if s.Equal(release.Settings{}) || !s.Equal(s) {
			t.Errorf("%+v equals none", s)
		}
	}
	for _, s := range []release.Settings{{DurableKeep: 1}, {DurableBytes: 1}} { // which is asked each time
		if !s.Equal(release.Settings{}) {
			t.Errorf("%+v is another release", s)
		}
	}
}

// load makes a release of a puppet, which declares what it is told to.
func load(t *testing.T, s release.Settings, start ...abi.Effect) (*release.Release, error) {
	t.Helper()
	wasm, err := os.ReadFile("../rollout/testdata/puppet/puppet.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var orders []byte
	for i := range start {
		orders = abi.AppendField(orders, string(abi.AppendEffect(nil, &start[i])))
	}
	module, err := sandboxtest.Engine(t).Load(t.Context(), wasm, sandbox.LoadOptions{Name: "p", Config: orders})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	s.Processes, s.Pending = 10, 1<<20
	return release.New("p", module, wasm, sha256.Sum256(wasm), s)
}
