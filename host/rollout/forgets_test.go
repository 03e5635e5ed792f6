package rollout_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/deploy"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/host/versions"
	"rtd/sandbox"
)

func noStates(string) (map[durable.Use]int, bool) { return nil, true }

// noShelf keeps no snapshots.
type noShelf struct{ err error }

func (s noShelf) Get(string) ([]byte, error)      { return nil, fs.ErrNotExist }
func (s noShelf) Put(string, []byte) error        { return s.err }
func (s noShelf) SetAside(string) (string, error) { return "", s.err }

// A plugin with durable actors does not run where its states could not be resumed later. One without runs.
func TestForgetfulIsRefused(t *testing.T) {
	full := errors.New("no space left on device")
	pinned, err := os.ReadFile("../../sandbox/testdata/pinned.wasm")
	must(t, err)
	for name, c := range map[string]struct {
		wasm []byte
		do   func(a *archive)
		want string // nothing: it runs
	}{
		"all is well": {do: func(*archive) {}},
		"no versions": {want: "it has durable actors, whose states need their version later, and no versions are kept; set versions in [plugins] of config.toml",
			do: func(a *archive) {
				a.set.Snapshots = nil
				a.deployer = deploy.New(deploy.Options{Plugins: a.set, Log: slog.New(slog.DiscardHandler)})
			}},
		"no folder": {want: "its snapshot is not kept: ",
			do: func(a *archive) { must(a.t, os.WriteFile(filepath.Join(a.dir, "p"), nil, 0o600)) }},
		"no snapshot": {want: "its snapshot is not kept: no space left on device; mend that, and deploy it again",
			do: func(a *archive) { a.set.Snapshots = func(_, _ string) sandbox.Snapshots { return noShelf{full} } }},
		"no module": {want: "its module is not kept: no space left on device; mend that, and deploy it again",
			do: func(a *archive) { a.set.Hold = func(string, []byte) error { return full } }},
		"it cannot be stored": {want: "their memory cannot be stored: guests of this plugin cannot be copied: ", wasm: pinned,
			do: func(*archive) {}},
		"nothing is stored here": {do: func(a *archive) { a.set.Snapshots, a.set.Hold = nil, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t, t.TempDir())
			c.do(a)
			wasm := puppetVersion(1)
			if c.wasm != nil {
				wasm = c.wasm
			}
			settings := puppetSettings("p", func(s *release.Settings) {
				s.Scope, s.Durable = "topic", []string{"p:*"}
			}, wantsExport, worker("a"))
			err := a.set.Deploy(context.Background(), "p", wasm, settings)
			switch {
			case c.want == "":
				must(t, err)
			case err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("%v, want %q", err, c.want)
			case a.set.Runs("p"):
				t.Error("it runs")
			}
			if c.want == "" {
				return
			}
			settings.Durable = nil
			must(t, a.set.Deploy(context.Background(), "p", wasm, settings))
			settings.Durable = []string{"p:*"}
			if err := a.set.Deploy(context.Background(), "p", wasm, settings); err == nil || !a.set.Runs("p") || a.set.App("p").Release().AnyDurable() {
				t.Errorf("in place of one that forgets: %v; it runs: %v", err, a.set.Runs("p"))
			}
		})
	}
}

// The versions with which states may be written now stay in the folder, though no state is stored yet.
func TestRunningIsKept(t *testing.T) {
	a := newArchive(t, t.TempDir())
	a.settings = func(s *release.Settings) { s.Durable = []string{"process:*"} }
	a.states = noStates
	a.deployer = a.newDeployer()
	first := a.run(1)
	for n := range 5 { // four other configs
		a.settings = func(s *release.Settings) {
			s.Durable, s.Config = []string{"process:*"}, orders(wantsExport, worker("a"), worker(strings.Repeat("b", n+1)))
		}
		must(t, a.set.Configure(context.Background(), func(name string) release.Settings {
			return puppetSettings(name, a.settings)
		}))
	}
	if files, err := filepath.Glob(filepath.Join(a.dir, "p", "snapshots", "*")); err != nil || len(files) != 4 {
		t.Errorf("%d snapshots, %v: want the three used last, and the one that was in use when the last came", len(files), err)
	}
	if _, err := a.store.Snapshots("p", first.Use.Version).Find(first.Use.Snapshot); !errors.Is(err, versions.ErrNoSnapshot) {
		t.Errorf("nobody needs it: %v", err)
	}
	current := a.set.App("p").Release()
	i, err := current.Module.Start("", nil) // whoever stays in it
	must(t, err)
	defer i.Close()
	for n := range 5 {
		a.run(2 + n)
	}
	if _, err := a.store.Get("p", current.Use.Version); err != nil {
		t.Errorf("somebody lives in it: %v", err)
	}
	if _, err := a.store.Snapshots("p", current.Use.Version).Find(current.Use.Snapshot); err != nil {
		t.Errorf("somebody lives in it: %v", err)
	}
}
