package rollout_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rtd/host/deploy"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/host/versions"
	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// archive is a world whose versions are kept in a folder.
type archive struct {
	*world
	dir      string
	store    *versions.Store
	deployer *deploy.Deployer
	settings func(*release.Settings)
	states   func(plugin string) (map[durable.Use]int, bool)
}

func newArchive(t *testing.T, dir string) *archive {
	a := &archive{world: newWorld(t), dir: dir}
	a.store = versions.Open(dir, versions.Options{Keep: 2})
	a.deployer = a.newDeployer()
	return a
}

func (a *archive) newDeployer() *deploy.Deployer {
	return deploy.New(deploy.Options{
		Plugins: a.set, Versions: a.store, States: a.states, Log: slog.New(slog.NewTextHandler(a.log, nil)),
		Settings: func(name string) release.Settings {
			return puppetSettings(name, a.settings, wantsExport, worker("a"))
		},
	})
}

// run deploys a version, and puts it into the record as the plugin folder would.
func (a *archive) run(n int) *release.Release {
	a.t.Helper()
	_, err := a.deployer.Deploy(context.Background(), "p", puppetVersion(n), "ada")
	must(a.t, err)
	return a.set.App("p").Release()
}

// stateAfter returns the state of a guest that was asked so often.
func stateAfter(t *testing.T, r *release.Release, times int) []byte {
	t.Helper()
	i, err := r.Module.Start("", nil)
	must(t, err)
	defer i.Close()
	for range times {
		_, err := i.Handle(&abi.Event{Kind: abi.EventCall, Name: "#1", Payload: orders(op(count, ""))})
		must(t, err)
	}
	state, err := i.State(nil)
	must(t, err)
	return state
}

// wantExport resumes a state in a release, whose guest hands on how often it was asked.
func wantExport(t *testing.T, r *release.Release, state []byte, times int) {
	t.Helper()
	i, err := r.Module.Resume("", nil, state)
	must(t, err)
	defer i.Close()
	effects, err := i.Handle(&abi.Event{Kind: abi.EventExport, Name: "a"})
	must(t, err)
	if len(effects) != 1 || binary.LittleEndian.Uint32(effects[0].Payload) != uint32(times) {
		t.Errorf("exports %+v, want %d", effects, times)
	}
}

func (a *archive) releaseOf(use durable.Use) (*release.Release, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.set.App("p").ReleaseOf(ctx, use)
}

// A state resumes in the version and the snapshot that wrote it, whatever has become of the plugin since, and its guests
// have a process's way to the current release.
func TestReleaseOfState(t *testing.T) {
	for name, change := range map[string]func(a *archive) int{
		"another version": func(*archive) int { return 2 },
		"another config": func(a *archive) int {
			a.settings = func(s *release.Settings) { s.Config = orders(wantsExport, worker("a"), worker("b")) }
			return 1
		},
		"another limit of memory": func(a *archive) int {
			a.settings = func(s *release.Settings) { s.Limits.Memory = 32 << 20 }
			return 1
		},
		"both at once": func(a *archive) int {
			a.settings = func(s *release.Settings) { s.Limits.Memory = 32 << 20 }
			return 2
		},
		"fewer rights": func(a *archive) int {
			a.settings = func(s *release.Settings) { s.Topics, s.Processes = []string{"q:*"}, 1 }
			return 2
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", in another server"}[restarted], func(t *testing.T) {
				t.Parallel()
				a := newArchive(t, t.TempDir())
				first := a.run(1)
				use, state := first.Use, stateAfter(t, first, 3)
				if r, err := a.releaseOf(use); r != first || err != nil {
					t.Fatalf("of the current one: %v, %v", r, err)
				}
				if restarted {
					a.set.Close()
					a = newArchive(t, a.dir)
				}
				version := change(a)
				current := a.run(version)
				if current.Use == use {
					t.Fatal("nothing has changed")
				}
				old, err := a.releaseOf(use)
				must(t, err)
				if old.Use != use || old.Settings.Mailbox != current.Settings.Mailbox {
					t.Errorf("release %+v for %+v", old.Use, use)
				}
				wantExport(t, old, state, 3)
				if next := a.set.App("p").After(old); next != current {
					t.Errorf("goes on with %v, want the current one", next.Use)
				}
				if r, err := a.releaseOf(use); r != old || err != nil {
					t.Errorf("asked again: %v, %v", r, err)
				}
			})
		}
	}
}

// All who wait for a version have it loaded once, and two versions may be wanted at the same time.
func TestOldReleaseIsLoadedOnce(t *testing.T) {
	a := newArchive(t, t.TempDir())
	uses := []durable.Use{a.run(1).Use, a.run(2).Use}
	a.store.Needed(func(string) ([]versions.Need, bool) {
		return []versions.Need{versions.Need(uses[0]), versions.Need(uses[1])}, true
	})
	a.run(3)
	var all sync.WaitGroup
	found := make([]*release.Release, 40)
	for n := range found {
		all.Go(func() {
			r, err := a.releaseOf(uses[n%2])
			if err != nil {
				t.Error(err)
			}
			found[n] = r
		})
	}
	all.Wait()
	for n, r := range found {
		if r != found[n%2] {
			t.Fatal("loaded twice")
		}
	}
	if n := strings.Count(a.log.String(), "version loaded again"); n != 2 {
		t.Errorf("loaded %d times", n)
	}
}

// A version that is still loaded is used as it is: a canary, and one that may be taken back to.
func TestReleaseOfStateIsLoaded(t *testing.T) {
	a := newArchive(t, t.TempDir())
	first := a.run(1)
	a.settings = func(s *release.Settings) { s.Rollout = release.Rollout{Watch: patience} }
	second := a.run(2)
	a.settings = func(s *release.Settings) { s.Rollout = release.Rollout{Canary: 0.5, CanaryPeriod: patience} }
	a.run(3)
	third := a.set.App("p").Canary().Release
	for _, r := range []*release.Release{first, second, third} {
		if got, err := a.releaseOf(r.Use); got != r || err != nil {
			t.Errorf("%v, %v, want the one that is there", got, err)
		}
	}
}

// A state whose version or snapshot is not there is refused, with the reason and a way out. Nothing is made anew in its
// place, and when the reason has gone it resumes.
func TestReleaseOfStateIsMissing(t *testing.T) {
	const giveUp = "or give the state up with rtd state reset"
	for name, c := range map[string]struct {
		damage func(t *testing.T, module, snapshot string)
		want   []string
	}{
		"no module":        {func(t *testing.T, module, _ string) { must(t, os.Remove(module)) }, []string{"no such version is kept", "put ", "back from a backup", giveUp}},
		"damaged module":   {func(t *testing.T, module, _ string) { must(t, os.Truncate(module, 100)) }, []string{"the kept module is damaged", giveUp}},
		"no snapshot":      {func(t *testing.T, _, snapshot string) { must(t, os.Remove(snapshot)) }, []string{"no such snapshot is kept", giveUp}},
		"set aside":        {func(t *testing.T, _, snapshot string) { must(t, os.Rename(snapshot, snapshot+".bad")) }, []string{"no such snapshot is kept: it was damaged, and is now ", giveUp}},
		"damaged snapshot": {func(t *testing.T, _, snapshot string) { must(t, os.Truncate(snapshot, 1000)) }, []string{"its module does not load any more", "state is damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t, t.TempDir())
			use := a.run(1).Use
			snapshots, err := filepath.Glob(filepath.Join(a.dir, "p", "snapshots", use.Version+".*"))
			if err != nil || len(snapshots) != 1 {
				t.Fatalf("%q, %v", snapshots, err)
			}
			a.run(2)
			c.damage(t, filepath.Join(a.dir, "p", use.Version+".wasm"), snapshots[0])
			r, err := a.releaseOf(use)
			if err == nil {
				t.Fatalf("found %v", r.Use)
			}
			for _, text := range append(c.want, "resume a state of version "+use.Version[:12]) {
				if !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
					t.Errorf("the error is %q, want %q", err, text)
				}
			}
		})
	}
}

// Whoever waits for a version waits no longer than they want to, and than the plugin is there.
func TestReleaseOfStateIsGivenUp(t *testing.T) {
	a := newArchive(t, t.TempDir())
	use := a.run(1).Use
	a.run(2)
	p := a.set.App("p")
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := p.ReleaseOf(ctx, use); err != nil && !errors.Is(err, gone) {
		t.Errorf("given up: %v", err)
	}
	r, err := a.releaseOf(use)
	must(t, err)
	a.set.Remove("p")
	if _, err := p.ReleaseOf(context.Background(), use); err == nil || !strings.Contains(err.Error(), "the plugin ends") {
		t.Errorf("of a plugin that is gone: %v", err)
	}
	if _, err := r.Module.Start("", nil); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("it is still loaded: %v", err)
	}
}
