package rollout_test

import (
	"context"
	"strings"
	"testing"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
)

// A version or config that cannot take over what is stored of a durable process is not deployed, and nothing has happened: whether the
// process runs or not, and whether the tree would have stayed or not. A rehearsal says the same.
func TestVersionsThatRefuseAStateAreNotDeployed(t *testing.T) {
	other := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	for name, c := range map[string]struct {
		start  []abi.Effect
		stored bool // in b, which does not run
		want   string
	}{
		"import refuses":             {[]abi.Effect{wantsExport, worker("a"), op(picky, "")}, false, "process a is durable, and its state does not go over"},
		"import crashes":             {[]abi.Effect{wantsExport, worker("a"), op(broken, "")}, false, "unreachable"},
		"no import":                  {[]abi.Effect{worker("a")}, false, "the version (or config) that wrote it has them, the new one has not"},
		"another tree":               {[]abi.Effect{wantsExport, worker("a"), worker("c"), op(picky, "")}, false, "import: answered"},
		"of one that does not run":   {[]abi.Effect{wantsExport, worker("a"), op(picky, "")}, true, "process b is durable"},
		"the same, and another tree": {[]abi.Effect{wantsExport, worker("c"), op(picky, "")}, true, "process b is durable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.swap(1, "p", durably, wantsExport, worker("a"))
			w.ask("p/a", op(count, ""))
			if c.stored {
				k.put(other, k.state(processA))
				k.put(processA, nil)
			}
			process := w.process("p/a")
			_, tried := w.set.Rehearse(context.Background(), "p", func() (rollout.Next, error) {
				return rollout.Next{WASM: puppetVersion(2), Settings: puppetSettings("p", durably, c.start...)}, nil
			})
			real := w.trySwap(2, "p", durably, c.start...)
			if tried == nil || real == nil || tried.Error() != real.Error() || !strings.Contains(real.Error(), c.want) || strings.Contains(real.Error(), "\n") {
				t.Errorf("tried: %v, and really: %v", tried, real)
			}
			if s := w.stats("p"); s.Version != puppetID(1) || s.Failed || w.process("p/a") != process || len(w.set.Crashes()) != 0 {
				t.Errorf("afterwards: %+v, crashes %+v", s, w.set.Crashes())
			}
			if c.stored {
				k.put(processA, nil)
				return
			}
			if got := w.ask("p/a", op(count, "")).code; got != 2 {
				t.Errorf("it counts %d", got)
			}
		})
	}
}

// put has something stored of an actor, as by hand; nil: nothing.
func (k *keeper) put(a durable.Actor, s *durable.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.states[a] = s; s == nil {
		delete(k.states, a)
	}
}

// If a process turns out to refuse a version that was deployed, the version before comes back, with all states, before its tree gives up.
func TestVersionsThatRefuseAStateLaterGoBack(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	settings := func(s *release.Settings) { durably(s); s.Rollout.Watch = patience }
	w.swap(1, "p", settings, wantsExport, worker("a"), op(picky, ""))
	w.ask("p/a", op(count, ""))
	k.set(nil, durable.ErrUnavailable) // so that it cannot be tried
	w.swap(2, "p", settings, wantsExport, worker("a"), op(picky, ""))
	k.set(nil, nil)
	eventually(t, "the version before", func() bool { return strings.Contains(w.log.String(), "plugin rolled back") })
	if s := w.stats("p"); s.Version != puppetID(1) || s.Failed {
		t.Errorf("%+v", s)
	}
	eventually(t, "the process", func() bool { return w.process("p/a") != nil })
	if got := w.ask("p/a", op(count, "")).code; got != 2 {
		t.Errorf("it counts %d", got)
	}
	if text := w.log.String(); !strings.Contains(text, "a durable process cannot move to it") || strings.Contains(text, "plugin failed") {
		t.Error("the log does not say so")
	}
}

// A process whose state was given up begins anew in the next version, whatever that can take over, and is stored as of that.
func TestAStateThatWasGivenUpIsNoHindrance(t *testing.T) {
	for name, second := range map[string][]abi.Effect{
		"the same tree": {worker("a"), op(count, "")},
		"another tree":  {worker("a"), worker("c")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.swap(1, "p", durably, worker("a"))
			w.ask("p/a", op(count, ""))
			if err := w.trySwap(2, "p", durably, second...); err == nil || !strings.Contains(err.Error(), "rtd state reset p/process:a") {
				t.Fatalf("deployed: %v", err)
			}
			k.put(processA, nil)
			w.swap(2, "p", durably, second...)
			eventually(t, "its begin", func() bool {
				s := k.state(processA)
				return s != nil && s.Version == w.set.App("p").Release().Use.Version
			})
			if s := w.stats("p"); s.Version != puppetID(2) || s.Failed {
				t.Errorf("%+v", s)
			}
			if got := w.ask("p/a", op(count, "")).code; got > 2 {
				t.Errorf("it counts %d", got)
			}
		})
	}
}

// Nor is one that has no more in it than what init has made: so a process that has begun anew by itself since its state was given up.
func TestAStateOfNothingButInitIsNoHindrance(t *testing.T) {
	for name, second := range map[string][]abi.Effect{
		"the same tree": {worker("a"), op(count, "")},
		"another tree":  {worker("a"), worker("c")},
		"it refuses":    {wantsExport, worker("a"), op(picky, "")},
	} {
		t.Run(name, func(t *testing.T) {
			k, config := newKeeper(), orders(wantsExport, worker("a"))
			a := remembering(t, t.TempDir(), k, func(s *release.Settings) { s.Config = config })
			a.run(1)
			if k.state(processA) == nil {
				t.Fatal("nothing is stored")
			}
			config = orders(second...)
			current := a.run(2)
			eventually(t, "its begin", func() bool { return k.state(processA).Version == current.Use.Version })
			if got := a.ask("p/a", op(count, "")).code; got > 2 {
				t.Errorf("it counts %d", got)
			}
			config = orders(worker("b"))
			if _, err := a.deployer.Deploy(context.Background(), "p", puppetVersion(3), "ada"); err == nil {
				t.Error("it is no hindrance after another event")
			}
			if text := a.log.String(); strings.Contains(text, "msg=refused") || len(a.set.Crashes()) != 0 {
				t.Error("it was refused")
			}
		})
	}
}

// A state is no hindrance for the version that wrote it, whatever runs: its process goes on with it.
func TestAStateIsNoHindranceForItsVersion(t *testing.T) {
	k := newKeeper()
	a := remembering(t, t.TempDir(), k, func(s *release.Settings) { s.Config, s.Rollout.Watch = orders(worker("a")), patience })
	a.run(1)
	a.ask("p/a", op(count, ""))
	first := k.state(processA)
	k.put(processA, nil)
	second := a.run(2)
	eventually(t, "its begin", func() bool { s := k.state(processA); return s != nil && s.Version == second.Use.Version })
	k.put(processA, first)
	a.run(1)
	eventually(t, "its end there", func() bool { return second.Module.Stats().Live == 0 })
	if got := a.ask("p/a", op(count, "")).code; got != 2 {
		t.Errorf("it counts %d", got)
	}
	if text := a.log.String(); strings.Contains(text, "refused") {
		t.Error("it was refused")
	}
}

// After a restart of the server on a version that cannot go on with what is stored, the one that wrote it can be deployed.
func TestBackAfterARestart(t *testing.T) {
	plain := func(s *release.Settings) { s.Config = orders(worker("a")) }
	dir, k := t.TempDir(), newKeeper()
	a := remembering(t, dir, k, plain)
	a.run(1)
	a.counts(t)
	a.set.Close()
	a = remembering(t, dir, k, plain)
	if _, err := a.deployer.Deploy(context.Background(), "p", puppetVersion(2), "ada"); err == nil {
		t.Error("a version was started that cannot go on with what is stored")
	}
	a.run(1)
	if process, _ := a.counts(t); process != 2 {
		t.Errorf("it counts %d", process)
	}
}
