package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/sandbox/manifest"
)

// A plugin gets what it asks for in its manifest, or is not loaded, with the lines that are missing.
func TestCapabilities(t *testing.T) {
	all := manifest.Capabilities{Topics: []string{"audit:*", "p:1", "log"}, Depends: []string{"base"}, Connect: true, Disconnect: true}
	for name, c := range map[string]struct {
		asks   manifest.Capabilities
		grants func(*release.Settings)
		start  []abi.Effect
		bare   bool     // without a manifest
		want   []string // lines of config; none: it is deployed
		fails  string   // or what else is wrong
	}{
		"nothing":      {},
		"own topics":   {asks: manifest.Capabilities{Topics: []string{"p:*", "p:1"}}},
		"wide grant":   {asks: manifest.Capabilities{Topics: []string{"audit:*", "log"}}, grants: func(s *release.Settings) { s.Grants = []string{"*"} }},
		"narrow grant": {asks: manifest.Capabilities{Topics: []string{"audit:*"}}, grants: func(s *release.Settings) { s.Grants = []string{"audit:1*"} }, want: []string{"[plugin.p]", `grants = ["audit:1*", "audit:*"]`}},
		"all":          {asks: all, want: []string{"[plugin.p]", `grants = ["audit:*", "log"]`, `depends = ["base"]`, `allows = ["connect", "disconnect"]`}},
		"one is there": {asks: all, grants: func(s *release.Settings) {
			s.Grants, s.Depends, s.Allows = []string{"log"}, []string{"base"}, []string{"connect"}
		}, want: []string{"[plugin.p]", `grants = ["log", "audit:*"]`, `allows = ["connect", "disconnect"]`}},
		"silent wish":   {start: []abi.Effect{op(abi.EffectWants, "connect")}, fails: "it wants connect, and its manifest does not say so: set connect = true in [capabilities] of its rtd.toml, and build again"},
		"silent friend": {start: []abi.Effect{op(abi.EffectDepends, "base")}, fails: "it depends on base, and its manifest does not say so: add it to depends in [capabilities] of its rtd.toml, and build again"},

		"bare":                {bare: true},
		"bare wish":           {bare: true, start: []abi.Effect{op(abi.EffectWants, "connect")}, want: []string{"[plugin.p]", `allows = ["connect"]`}},
		"bare friend":         {bare: true, start: []abi.Effect{op(abi.EffectDepends, "base")}, want: []string{"[plugin.p]", `depends = ["base"]`}},
		"bare, both":          {bare: true, start: []abi.Effect{op(abi.EffectDepends, "base"), op(abi.EffectWants, "connect")}, grants: func(s *release.Settings) { s.Allows = []string{"disconnect"} }, want: []string{"[plugin.p]", `depends = ["base"]`, `allows = ["disconnect", "connect"]`}},
		"bare, all granted":   {bare: true, start: []abi.Effect{op(abi.EffectDepends, "base"), op(abi.EffectWants, "connect")}, grants: func(s *release.Settings) { s.Depends, s.Allows = []string{"base"}, []string{"connect"} }},
		"bare, a friend more": {bare: true, start: []abi.Effect{op(abi.EffectDepends, "base"), op(abi.EffectDepends, "p2")}, grants: func(s *release.Settings) { s.Depends = []string{"base"} }, want: []string{"[plugin.p]", `depends = ["base", "p2"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.deploy("base", func(s *release.Settings) { s.Topics = nil }, worker("x"))
			wasm, err := manifest.Write(puppetWASM, manifest.Manifest{Name: "p", Capabilities: c.asks})
			must(t, err)
			if c.bare {
				wasm = puppetWASM
			}
			s := release.Settings{Topics: []string{"p:*"}, Mailbox: 100, Processes: 10, References: 10, Pending: 1 << 20, Config: orders(append(c.start, worker("a"))...)}
			if c.grants != nil {
				c.grants(&s)
			}
			err = w.set.Deploy(context.Background(), "p", wasm, s)
			ungranted, _ := errors.AsType[*release.UngrantedError](err)
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

// A plugin that may not disconnect clients is told so, and the log says which lines would change that, once.
func TestDisconnectIsGranted(t *testing.T) {
	inManifest := "set disconnect = true in [capabilities] of its rtd.toml, and build again"
	inConfig := `set in [plugin.p] of config.toml: allows = [\"disconnect\"]`
	for name, c := range map[string]struct {
		manifest *manifest.Manifest
		allows   []string
		want     string // in the log; "": it may
	}{
		"bare":            {nil, nil, inConfig},
		"bare, connects":  {nil, []string{"connect"}, `set in [plugin.p] of config.toml: allows = [\"connect\", \"disconnect\"]`},
		"bare, granted":   {nil, []string{"disconnect"}, ""},
		"silent":          {&manifest.Manifest{}, nil, inManifest + "; " + inConfig},
		"silent, granted": {&manifest.Manifest{}, []string{"disconnect"}, inManifest + `"`},
		"asked, granted":  {&manifest.Manifest{Capabilities: manifest.Capabilities{Disconnect: true}}, []string{"disconnect"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			wasm := puppetWASM
			if c.manifest != nil {
				var err error
				wasm, err = manifest.Write(wasm, *c.manifest)
				must(t, err)
			}
			must(t, w.set.Deploy(t.Context(), "p", wasm, puppetSettings("p", func(s *release.Settings) { s.Allows = c.allows }, worker("a"))))
			var code abi.Code
			if c.want != "" {
				code = abi.CodeDenied
			}
			for range 2 {
				if r := w.ask("p/a", op(abi.EffectDisconnect, "users:1")); r.code != code {
					t.Errorf("disconnect = %v, want %v", r, code)
				}
			}
			log := w.log.String()
			if n := strings.Count(log, "disconnect denied"); c.want == "" && n > 0 || c.want != "" && (n != 1 || !strings.Contains(log, c.want)) {
				t.Errorf("the log says\n%s, want %s", log, c.want)
			}
		})
	}
}
