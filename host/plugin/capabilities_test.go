package plugin_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"rtd/host/plugin"
	"rtd/sandbox/abi"
	"rtd/sandbox/manifest"
)

// A plugin gets what it asks for in its manifest, or is not loaded, with the lines that are missing.
func TestCapabilities(t *testing.T) {
	all := manifest.Capabilities{Topics: []string{"audit:*", "p:1", "log"}, Depends: []string{"base"}, Connect: true, Disconnect: true}
	for name, c := range map[string]struct {
		asks   manifest.Capabilities
		grants func(*plugin.Settings)
		start  []abi.Effect
		want   []string // lines of config; none: it is deployed
		fails  string   // or what else is wrong
	}{
		"nothing":      {},
		"own topics":   {asks: manifest.Capabilities{Topics: []string{"p:*", "p:1"}}},
		"wide grant":   {asks: manifest.Capabilities{Topics: []string{"audit:*", "log"}}, grants: func(s *plugin.Settings) { s.Grants = []string{"*"} }},
		"narrow grant": {asks: manifest.Capabilities{Topics: []string{"audit:*"}}, grants: func(s *plugin.Settings) { s.Grants = []string{"audit:1*"} }, want: []string{"[plugin.p]", `grants = ["audit:1*", "audit:*"]`}},
		"all":          {asks: all, want: []string{"[plugin.p]", `grants = ["audit:*", "log"]`, `depends = ["base"]`, `allows = ["connect", "disconnect"]`}},
		"one is there": {asks: all, grants: func(s *plugin.Settings) {
			s.Grants, s.Depends, s.Allows = []string{"log"}, []string{"base"}, []string{"connect"}
		}, want: []string{"[plugin.p]", `grants = ["log", "audit:*"]`, `allows = ["connect", "disconnect"]`}},
		"silent wish":   {start: []abi.Effect{op(abi.EffectWants, "connect")}, fails: "it wants connect, and its manifest does not say so: set connect = true in [capabilities] of its rtd.toml, and build again"},
		"silent friend": {start: []abi.Effect{op(abi.EffectDepends, "base")}, fails: "it depends on base, and its manifest does not say so: add it to depends in [capabilities] of its rtd.toml, and build again"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.deploy("base", nil, worker("x"))
			wasm, err := manifest.Write(puppetWASM, manifest.Manifest{Name: "p", Capabilities: c.asks})
			must(t, err)
			s := plugin.Settings{Topics: []string{"p:*"}, Mailbox: 100, Processes: 10, References: 10, Pending: 1 << 20, Config: orders(append(c.start, worker("a"))...)}
			if c.grants != nil {
				c.grants(&s)
			}
			err = w.set.Deploy(context.Background(), "p", wasm, s)
			ungranted, _ := errors.AsType[*plugin.UngrantedError](err)
			switch {
			case c.fails != "":
				if err == nil || err.Error() != c.fails {
					t.Errorf("Deploy = %v, want %s", err, c.fails)
				}
			case c.want == nil:
				if err != nil {
					t.Errorf("Deploy = %v", err)
				}
			case ungranted == nil || !slices.Equal(ungranted.Lines, c.want):
				t.Errorf("Deploy = %v, want lines %q", err, c.want)
			}
			if running := w.set.Version("p") != ""; running != (err == nil) {
				t.Errorf("runs: %v, after %v", running, err)
			}
		})
	}
}
