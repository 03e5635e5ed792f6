package rollout_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

var processA = durable.Actor{Plugin: "p", Kind: durable.Process, Name: "a"}

// remembering is an archive whose plugin p has durable actors, in a keeper that outlives it.
func remembering(t *testing.T, dir string, k *keeper, change func(*release.Settings)) *archive {
	a := newArchive(t, dir)
	a.states = k.uses
	a.deployer = a.newDeployer()
	k.posted = a.set.Posted
	a.set.Remember(func() (durable.Keeper, error) { return k, nil })
	a.settings = func(s *release.Settings) {
		s.Scope, s.Durable, s.DurableIdle = abi.ScopeTopic, []string{"p:*", "process:a"}, time.Minute
		if change != nil {
			change(s)
		}
	}
	return a
}

// uses is what the states need that are stored.
func (k *keeper) uses(plugin string) (map[durable.Use]int, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	uses := map[durable.Use]int{}
	for a, s := range k.states {
		if a.Plugin == plugin {
			uses[durable.Use{Version: s.Version, Snapshot: s.Snapshot}]++
		}
	}
	return uses, true
}

// counts asks the durable process and the handler of a durable topic how often they were asked, this one included.
func (a *archive) counts(t *testing.T) (process, handler int) {
	t.Helper()
	if a.process("p/handler") == nil {
		c := a.join("p:1", op(abi.OpRegister, "handler"))
		eventually(t, "the handler", func() bool { return a.process("p/handler") != nil })
		defer c.Close()
	}
	return int(a.ask("p/a", op(count, "")).code), int(a.ask("p/handler", op(count, "")).code)
}

// What is stored moves to whatever the server runs when it wakes, by export and import, and is then stored as of that.
func TestStoredStatesMove(t *testing.T) {
	anotherConfig := func(s *release.Settings) { s.Config = orders(wantsExport, worker("a"), op(abi.EffectWants, "stop")) }
	lessMemory := func(s *release.Settings) { s.Limits.Memory = 32 << 20 }
	for name, second := range map[string]struct {
		version  int
		settings func(*release.Settings)
	}{
		"nothing changes": {1, nil},
		"another version": {2, nil},
		"another config":  {1, anotherConfig},
		"another limit":   {1, lessMemory},
		"all of that":     {2, func(s *release.Settings) { anotherConfig(s); lessMemory(s) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, k := t.TempDir(), newKeeper()
			a := remembering(t, dir, k, nil)
			a.run(1)
			for range 3 {
				a.counts(t)
			}
			a.set.Close()

			for n := 4; n < 8; n++ { // and back, and forth
				version, settings := second.version, second.settings
				if n%2 == 1 {
					version, settings = 1, nil
				}
				a = remembering(t, dir, k, settings)
				current := a.run(version)
				if process, handler := a.counts(t); process != n || handler != n {
					t.Errorf("%d: they count %d and %d", n, process, handler)
				}
				for _, actor := range []durable.Actor{processA, topic1} {
					if s := k.state(actor); s.Version != current.Use.Version || s.Snapshot != current.Use.Snapshot {
						t.Errorf("%d: %v is stored as of %.12s and %.12s, want %+v", n, actor, s.Version, s.Snapshot, current.Use)
					}
				}
				a.set.Close()
			}
		})
	}
}

// States of a version that was taken back, and of two versions at once, move like any others.
func TestStatesOfWithdrawnVersionsMove(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeeper()
	a := remembering(t, dir, k, nil)
	a.run(1)
	a.counts(t)
	a.run(2)
	a.counts(t) // both have moved to the second
	a.set.Close()

	must(t, a.store.Withdraw("p", k.state(topic1).Version, "crashes"))
	a = remembering(t, dir, k, nil)
	a.run(3)
	a.ask("p/a", op(count, "")) // moves; the topic sleeps, and its state is of the version that was taken back
	if k.state(topic1).Version == k.state(processA).Version {
		t.Fatal("states of one version")
	}
	a.set.Close()

	a = remembering(t, dir, k, nil)
	a.run(4)
	if process, handler := a.counts(t); process != 4 || handler != 3 {
		t.Errorf("they count %d and %d", process, handler)
	}
}

// A state that cannot move stays as it is, with the reason in the log, and goes on as soon as it can. Nothing begins anew.
func TestStatesThatCannotMoveStay(t *testing.T) {
	withoutExport := func(s *release.Settings) { s.Config = orders(worker("b")) }
	for name, c := range map[string]struct {
		version  int
		settings func(*release.Settings)
		lose     func(t *testing.T, dir string) (back func())
		want     string
	}{
		"it does not take over": {2, withoutExport, nil, "the new version does not declare that it takes over states"},
		"it is refused":         {2, func(s *release.Settings) { s.Config = orders(wantsExport, op(picky, "")) }, nil, "import: answered"},
		"the module is lost":    {2, nil, loseFile("*.wasm"), "no such version is kept"},
		"the snapshot is lost":  {2, nil, loseFile("snapshots/*"), "no such snapshot is kept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, k := t.TempDir(), newKeeper()
			tree := func(s *release.Settings) { s.Config = orders(wantsExport, worker("b")); s.Durable = []string{"p:*"} }
			a := remembering(t, dir, k, tree)
			a.run(1)
			c1 := a.join("p:1", op(count, ""), op(abi.OpRegister, "handler"))
			eventually(t, "the handler", func() bool { return a.process("p/handler") != nil })
			a.ask("p/handler", op(count, ""))
			c1.Close()
			a.set.Close()
			before := *k.state(topic1)
			back := func() {}
			if c.lose != nil {
				back = c.lose(t, filepath.Join(dir, "p"))
			}

			a = remembering(t, dir, k, func(s *release.Settings) {
				tree(s)
				if c.settings != nil {
					c.settings(s)
				}
			})
			a.run(c.version)
			client := a.tryJoin("p:1")
			eventually(t, "an answer", func() bool { return len(client.all()) > 0 })
			if got := client.all()[0]; !strings.Contains(got, `"status":"error"`) || !strings.Contains(got, "unavailable") {
				t.Errorf("joined: %s", got)
			}
			eventually(t, "the reason in the log", func() bool { return strings.Contains(a.log.String(), c.want) })
			if text := a.log.String(); !strings.Contains(text, "msg=refused") || strings.Contains(text, "crashed") || len(a.set.Crashes()) != 0 {
				t.Errorf("it is told as a crash: %+v", a.set.Crashes())
			}
			if s := k.state(topic1); s == nil || s.Version != before.Version || s.Snapshot != before.Snapshot {
				t.Errorf("the state is %+v now", s) // it may have been told who is there, in its version
			}
			a.set.Close()

			back()
			a = remembering(t, dir, k, tree)
			a.run(3)
			a.join("p:1", op(abi.OpRegister, "handler"))
			eventually(t, "the handler", func() bool { return a.process("p/handler") != nil })
			if got := a.ask("p/handler", op(count, "")).code; got != 3 {
				t.Errorf("it counts %d when it can move again", got)
			}
		})
	}
}

// loseFile moves the only file away that matches, and back.
func loseFile(pattern string) func(t *testing.T, dir string) (back func()) {
	return func(t *testing.T, dir string) func() {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%q: %v", files, err)
		}
		away := filepath.Join(t.TempDir(), "lost")
		must(t, os.Rename(files[0], away))
		return func() { must(t, os.Rename(away, files[0])) }
	}
}

// tryJoin is join, whatever becomes of it.
func (w *world) tryJoin(topic string) *puppetClient {
	c := &puppetClient{}
	c.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &c.frames})
	w.t.Cleanup(c.Close)
	c.send(w.t, "phx_join", topic)
	return c
}
