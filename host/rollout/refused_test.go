package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// With migrate = "stay" a state that the version does not take over goes on in the one that wrote it: when that is replaced, and
// when its actor wakes.
func TestStoredStatesStay(t *testing.T) {
	dir, k := t.TempDir(), newKeeper()
	a := remembering(t, dir, k, nil)
	old := a.run(1)
	a.counts(t)
	a.set.Close()

	refuses := func(s *release.Settings) {
		s.Config, s.Rollout.Stay = orders(wantsExport, op(picky, ""), worker("a")), true
	}
	for n := 2; n < 4; n++ {
		a = remembering(t, dir, k, refuses)
		a.run(2)
		if process, handler := a.counts(t); process != n || handler != n {
			t.Errorf("%d: they count %d and %d", n, process, handler)
		}
		for _, actor := range []durable.Actor{topic1, processA} {
			if s := k.state(actor); s.Version != old.Use.Version {
				t.Errorf("%v is stored as of %.12s", actor, s.Version)
			}
		}
		a.set.Close()
	}

	a = remembering(t, dir, k, nil)
	a.run(1)
	a.counts(t)
	a.settings = func(s *release.Settings) {
		s.Scope, s.Durable = abi.ScopeTopic, []string{"p:*", "process:a"}
		refuses(s)
	}
	c := a.join("p:1")
	defer c.Close()
	out, err := a.deployer.Deploy(context.Background(), "p", puppetVersion(2), "ada")
	must(t, err)
	if m := out.Moving.Wait(t.Context()); m.Stayed != 2 || m.Refused != 0 {
		t.Errorf("when another version comes: %+v", m)
	}
	if process, handler := a.counts(t); process != 5 || handler != 5 {
		t.Errorf("they count %d and %d after another version came", process, handler)
	}
}

// A rehearsal says of durable actors what a deploy would do: they never begin anew, and a version to which a process cannot move is
// refused.
func TestRehearsalOfTheDurable(t *testing.T) {
	w := newWorld(t)
	w.remembers()
	w.swap(1, "p", durably, wantsExport, worker("a"))
	w.ask("p/a", op(count, ""))
	w.join("p:1", op(count, ""))
	c := w.join("p:2", op(count, ""))
	c.Close()
	eventually(t, "sleep", func() bool { return w.endpoint.Stats().Shared == 1 })

	if m := w.rehearse(2, durably, wantsExport, worker("a")); m.WithState != 2 || m.Lost != 0 || m.Stored != 3 {
		t.Errorf("to one that takes over: %+v", m)
	}
	m := w.rehearse(2, func(s *release.Settings) { durably(s); s.Rollout.Stay = true }, wantsExport, op(picky, ""), worker("a"))
	if m.Stayed != 2 || m.Refused != 0 {
		t.Errorf("to one that refuses, with stay: %+v", m)
	}
	_, tried := w.set.Rehearse(context.Background(), "p", func() (rollout.Next, error) {
		return rollout.Next{WASM: puppetVersion(2), Settings: puppetSettings("p", durably, worker("a"))}, nil
	})
	real := w.trySwap(2, "p", durably, worker("a"))
	if tried == nil || real == nil || tried.Error() != real.Error() || !strings.Contains(real.Error(), "process a is durable") {
		t.Errorf("to one without Import: %v, and really: %v", tried, real)
	}
	if s := w.stats("p"); s.Version != puppetID(1) {
		t.Errorf("%+v", s)
	}
}

// A rehearsal says which topics would be refused, which is no reason not to deploy.
func TestRehearsalOfDurableTopics(t *testing.T) {
	w := newWorld(t)
	w.remembers()
	topics := func(s *release.Settings) { durably(s); s.Durable = []string{"p:*"} }
	w.swap(1, "p", topics, wantsExport, worker("a"))
	w.join("p:1", op(count, ""))
	m := w.rehearse(2, topics, wantsExport, op(picky, ""), worker("a"))
	if m.Refused != 1 || m.Anew != 1 || m.Lost != 2 || len(m.Losses) != 2 || m.Losses[0].Refused == m.Losses[1].Refused || !strings.Contains(m.Losses[0].Cause, "import: answered") {
		t.Errorf("to one that refuses: %+v", m)
	}
}

// A version is not taken back for states that nobody can read.
func TestRefusalsDoNotBlame(t *testing.T) {
	dir, k := t.TempDir(), newKeeper()
	topics := func(s *release.Settings) {
		s.Config, s.Durable = orders(wantsExport, worker("b")), []string{"p:*"}
		s.Intensity.Max, s.Intensity.Within = 1, time.Minute
		s.Rollout.Watch = time.Minute
	}
	a := remembering(t, dir, k, topics)
	a.run(1)
	for _, topic := range []string{"p:1", "p:2", "p:3", "p:4"} {
		a.join(topic, op(count, "")).Close()
	}
	a.set.Close()
	back := loseFile("*.wasm")(t, dir+"/p")
	a = remembering(t, dir, k, topics)
	a.run(2)
	current := a.run(3)
	for _, topic := range []string{"p:1", "p:2", "p:3", "p:4"} {
		client := a.tryJoin(topic)
		eventually(t, "an answer", func() bool { return len(client.all()) > 0 })
	}
	eventually(t, "four lines", func() bool { return strings.Count(a.log.String(), "msg=refused") == 4 })
	if a.set.App("p").Release() != current {
		t.Error("the version was taken back")
	}
	back()
}

// A deploy by hand that is refused is one line in the log, with who wanted it.
func TestRefusedDeploysAreLogged(t *testing.T) {
	a := newArchive(t, t.TempDir())
	a.deployer = a.newDeployer()
	a.run(1)
	if _, err := a.deployer.Deploy(context.Background(), "p", []byte("x"), "ada"); err == nil {
		t.Fatal("no module was deployed")
	}
	if text := a.log.String(); strings.Count(text, `msg="plugin not deployed" plugin=p`) != 1 || !strings.Contains(text, "by=ada") {
		t.Errorf("log:\n%s", text)
	}
}

// It is known why an actor does not go on, for as long as it does not.
func TestWhyActorsAreRefused(t *testing.T) {
	topics := func(start ...abi.Effect) func(*release.Settings) {
		return func(s *release.Settings) {
			s.Config, s.Durable = orders(start...), []string{"p:*"}
			s.Intensity = supervisor.Intensity{Max: 1, Within: time.Minute}
		}
	}
	dir, k := t.TempDir(), newKeeper()
	again := func(n int, start ...abi.Effect) (a *archive, refused func() string) {
		t.Helper()
		a = remembering(t, dir, k, topics(start...))
		a.run(n)
		return a, func() string {
			s := k.state(topic1)
			return a.set.Refused(topic1, durable.Use{Version: s.Version, Snapshot: s.Snapshot})
		}
	}
	tries := func(a *archive) {
		t.Helper()
		client := a.tryJoin("p:1")
		eventually(t, "an answer", func() bool { return len(client.all()) > 0 })
	}

	a, refused := again(1, wantsExport, worker("b"))
	a.join("p:1", op(count, ""))
	if why := refused(); why != "" {
		t.Errorf("one that is awake is refused: %s", why)
	}
	a.set.Close()

	a, refused = again(2, worker("b"))
	if why := refused(); !strings.Contains(why, "has no Export") {
		t.Errorf("before it is tried: %q", why)
	}
	tries(a)
	if why := refused(); !strings.Contains(why, "cannot go on") || strings.Contains(why, "has no Export") {
		t.Errorf("when it was tried: %q", why)
	}
	a.settings = func(s *release.Settings) { s.Scope = abi.ScopeTopic; topics(wantsExport, worker("b"))(s) }
	a.run(2)
	if why := refused(); why != "" {
		t.Errorf("under the config that wrote it: %s", why)
	}
	a.join("p:1", op(count, ""))
	a.set.Close()

	a, refused = again(2, wantsExport, op(picky, ""), worker("b"))
	if why := refused(); why != "" {
		t.Errorf("nobody can know before it is tried: %s", why)
	}
	tries(a)
	if why := refused(); !strings.Contains(why, "import: answered") {
		t.Errorf("when the version has refused it: %q", why)
	}
	a.set.Readmit(topic1)
	if why := refused(); why != "" {
		t.Errorf("when it was given up: %s", why)
	}
	a.set.Close()

	a, refused = again(2, wantsExport, worker("b"))
	client := a.join("p:1", op(abi.OpRegister, "handler"))
	for range 2 {
		client.send(t, "crash", "p:1", op(trap, ""))
	}
	eventually(t, "its end", func() bool { return strings.Contains(refused(), "max_restarts") })
}

// It is known of processes, too.
func TestWhyProcessesAreRefused(t *testing.T) {
	dir, k := t.TempDir(), newKeeper()
	settings := func(s *release.Settings) {
		s.Config, s.Durable = orders(wantsExport, worker("a")), []string{"process:b"}
	}
	b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	a := remembering(t, dir, k, settings)
	use := a.run(1).Use
	a.tell("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Extra: "b"})
	eventually(t, "a process that is stored", func() bool { return k.state(b) != nil })
	a.ask("p/b", op(count, ""))
	a.set.Close()
	back := loseFile("*.wasm")(t, dir+"/p")
	a = remembering(t, dir, k, settings)
	a.run(2)
	if why := a.set.Refused(b, use); !strings.Contains(why, "cannot go on") {
		t.Errorf("its version is not kept: %q", why)
	}
	a.set.Close()
	back()
	a = remembering(t, dir, k, settings)
	a.run(2)
	if why := a.set.Refused(b, use); why != "" || a.ask("p/b", op(count, "")).code != 2 {
		t.Errorf("its version is kept: %q", why)
	}
}
