package rollout_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rtd/host/app"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

func puppetHash(n int) string {
	sum := sha256.Sum256(puppetVersion(n))
	return hex.EncodeToString(sum[:])
}

func puppetID(n int) string { return puppetHash(n)[:12] }

// watched is a world that notes withdrawals.
func watched(t *testing.T) (*world, chan rollout.Withdrawal) {
	w := newWorld(t)
	told := make(chan rollout.Withdrawal, 10)
	w.set.Withdrawn = func(gone rollout.Withdrawal) { told <- gone }
	return w, told
}

func (w *world) wantVersion(name string, n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("version %d of %s", n, name), func() bool {
		s := w.stats(name)
		return s.Version == puppetID(n) && s.Canary == "" && !s.Failed
	})
}

func wantWithdrawal(t *testing.T, told chan rollout.Withdrawal, bad, back int, cause string) {
	t.Helper()
	want := rollout.Withdrawal{
		Plugin: "p", Version: puppetID(bad), Hash: puppetHash(bad), Back: puppetID(back), BackHash: puppetHash(back), Cause: cause,
	}
	select {
	case got := <-told:
		if got != want {
			t.Errorf("withdrawal %+v, want %+v", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("no withdrawal of version %d", bad)
	}
}

// wantAllMoved waits until so many guests live, all in the current version.
func (w *world) wantAllMoved(name string, n int64) {
	w.t.Helper()
	eventually(w.t, "all in the current version", func() bool {
		s := w.stats(name)
		return len(s.Others) == 0 && s.Sandbox.Live == n
	})
}

// twoCrashes is the intensity of these tests.
func twoCrashes(s *release.Settings) {
	s.Intensity = supervisor.Intensity{Max: 2, Within: 10 * time.Second}
	s.Rollout.Watch = time.Minute
}

// TestRollback takes a version back whose processes crash more often than they may, all
// together, and no other.
func TestRollback(t *testing.T) {
	w, told := watched(t)
	w.swap(1, "p", twoCrashes, wantsExport, worker("idle"))
	var clients []*puppetClient
	for n := range 4 {
		clients = append(clients, w.join(fmt.Sprint("p:", n), op(count, "")))
	}
	crash := func(n int) {
		clients[n].send(t, "crash", fmt.Sprint("p:", n), op(trap, ""))
	}
	crash(0) // of the first version: it has nothing to go back to
	crash(1)
	w.swap(2, "p", twoCrashes, wantsExport, worker("idle"))
	w.wantAllMoved("p", 5)
	crash(0)
	crash(1)
	eventually(t, "two crashes", func() bool { return strings.Count(w.log.String(), "channel crashed") == 4 })
	if v := w.stats("p").Version; v != puppetID(2) {
		t.Errorf("after two crashes the version is %s", v)
	}
	crash(2)
	wantWithdrawal(t, told, 2, 1, "crashes")
	w.wantVersion("p", 1)
	w.wantAllMoved("p", 5)
	if log := w.log.String(); strings.Count(log, `msg="plugin rolled back"`) != 1 {
		t.Errorf("one line should tell:\n%s", log)
	}
	// What it went back to is not watched.
	for n := range clients {
		crash(n)
	}
	eventually(t, "more crashes", func() bool { return strings.Count(w.log.String(), "channel crashed") == 9 })
	w.wantVersion("p", 1)
	if len(told) != 0 {
		t.Errorf("a second withdrawal: %+v", <-told)
	}
}

// A tree that gives up in the new version runs again in the old one. Clients may have
// to join again; if the old one is there soon enough they notice nothing.
func TestRollbackOfFailedTree(t *testing.T) {
	w, told := watched(t)
	w.swap(1, "p", twoCrashes, worker("a"))
	w.swap(2, "p", twoCrashes, worker("a"))
	for range 3 {
		eventually(t, "a", func() bool { return w.process("p/a") != nil })
		before := w.process("p/a")
		w.call("p/a", op(trap, ""))
		eventually(t, "the end of a", func() bool { return w.process("p/a") != before })
	}
	wantWithdrawal(t, told, 2, 1, "crashes")
	w.wantVersion("p", 1)
	eventually(t, "a is back", func() bool { return w.process("p/a") != nil })
	w.join("p:1")
}

// To go back to a version that crashed as often would help nobody; nor is a version
// watched for ever, nor one whose settings alone are new.
func TestNoRollback(t *testing.T) {
	for name, second := range map[string]struct {
		before  int // crashes of the first version
		version int
		change  func(*release.Settings)
	}{
		"first as bad":   {3, 2, twoCrashes},
		"not watched":    {0, 2, func(s *release.Settings) { twoCrashes(s); s.Rollout.Watch = 0 }},
		"watch is over":  {0, 2, func(s *release.Settings) { twoCrashes(s); s.Rollout.Watch = time.Nanosecond }},
		"other settings": {0, 1, func(s *release.Settings) { twoCrashes(s); s.Mailbox++ }},
	} {
		t.Run(name, func(t *testing.T) {
			w, told := watched(t)
			w.swap(1, "p", twoCrashes, wantsExport)
			var clients []*puppetClient
			for range 3 {
				clients = append(clients, w.join("p:1"))
			}
			for n := range second.before {
				clients[n].send(t, "crash", "p:1", op(trap, ""))
			}
			crashes := func(n int) {
				t.Helper()
				eventually(t, "crashes", func() bool { return strings.Count(w.log.String(), "channel crashed") == n })
			}
			crashes(second.before)
			w.swap(second.version, "p", second.change, wantsExport)
			for _, c := range clients {
				c.send(t, "crash", "p:1", op(trap, ""))
			}
			crashes(second.before + 3)
			time.Sleep(20 * time.Millisecond)
			if w.wantVersion("p", second.version); len(told) != 0 {
				t.Errorf("a withdrawal: %+v", <-told)
			}
		})
	}
}

// canary begins one with half of the new joins.
func canary(period time.Duration) func(*release.Settings) {
	return func(s *release.Settings) {
		s.Intensity = supervisor.Intensity{Max: 100, Within: time.Second}
		s.Rollout.Canary, s.Rollout.CanaryPeriod = 0.5, period
	}
}

func (w *world) others(name string) string {
	var list []string
	for _, o := range w.stats(name).Others {
		list = append(list, fmt.Sprint(o.Version, " ", o.Instances))
	}
	return strings.Join(list, ", ")
}

// TestCanary lets half of the new joins go to the new version, and then all, with
// their states.
func TestCanary(t *testing.T) {
	w, told := watched(t)
	w.swap(1, "p", canary(500*time.Millisecond), wantsExport, worker("a"))
	w.join("p:0", op(count, ""))
	w.swap(2, "p", canary(500*time.Millisecond), wantsExport, worker("a"))
	if s := w.stats("p"); s.Version != puppetID(1) || s.Canary != puppetID(2) {
		t.Errorf("current is %s, on trial %s", s.Version, s.Canary)
	}
	for n := range 8 {
		w.join(fmt.Sprint("p:", n+1), op(count, ""))
	}
	if got := w.others("p"); got != puppetID(2)+" 4" {
		t.Errorf("of 8 joins there are beside the current version: %s", got)
	}
	if err := w.trySwap(2, "p", canary(500*time.Millisecond), wantsExport, worker("a")); !errors.Is(err, rollout.ErrUnchanged) {
		t.Errorf("the same canary again: %v", err)
	}
	w.wantVersion("p", 2)
	w.wantMoves("p", app.Moves{WithState: 6}) // the other channels, and a
	if got := w.others("p"); got != "" {
		t.Errorf("left behind: %s", got)
	}
	if len(told) != 0 {
		t.Errorf("a withdrawal: %+v", <-told)
	}
}

// A canary that crashes more often than the old version is withdrawn at its end, one that
// crashes a lot at once; its channels move back.
func TestCanaryIsWithdrawn(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		w, told := watched(t)
		settings, crashes, cause, left := canary(500*time.Millisecond), 1, "canary", int64(2)
		if atOnce {
			crashes, cause, left = 3, "crashes", 1 // the channel has crashed too often, too
			settings = func(s *release.Settings) { canary(time.Hour)(s); twoCrashes(s) }
		}
		w.swap(1, "p", settings, wantsExport)
		w.swap(2, "p", settings, wantsExport)
		w.join("p:1")
		tried := w.join("p:2", op(count, ""))
		for range crashes {
			tried.send(t, "crash", "p:2", op(trap, ""))
		}
		wantWithdrawal(t, told, 2, 1, cause)
		w.wantVersion("p", 1)
		w.wantAllMoved("p", left)
		if !strings.Contains(w.log.String(), "canary withdrawn") {
			t.Error("the log does not tell")
		}
	}
}

// What is deployed during a canary takes its place, and it can be ended.
func TestCanaryIsReplaced(t *testing.T) {
	w, told := watched(t)
	w.swap(1, "p", canary(time.Hour), wantsExport)
	w.swap(2, "p", canary(time.Hour), wantsExport)
	w.join("p:1")
	w.join("p:2", op(count, ""))
	w.swap(3, "p", canary(time.Hour), wantsExport)
	if s := w.stats("p"); s.Version != puppetID(1) || s.Canary != puppetID(3) {
		t.Errorf("current is %s, on trial %s", s.Version, s.Canary)
	}
	eventually(t, "none in the first canary", func() bool { return w.others("p") == "" })
	if hash := w.set.EndCanary("p", nil); hash != puppetHash(3) {
		t.Errorf("ended %s, want %s", hash, puppetHash(3))
	}
	if hash := w.set.EndCanary("p", nil); hash != "" {
		t.Errorf("ended %s again", hash)
	}
	w.wantVersion("p", 1)

	w.swap(2, "p", canary(time.Hour), wantsExport)
	if err := w.trySwap(1, "p", canary(time.Hour), wantsExport); !errors.Is(err, rollout.ErrUnchanged) {
		t.Errorf("the current version in place of a canary: %v", err)
	}
	w.wantVersion("p", 1)
	w.swap(2, "p", nil, wantsExport) // at once
	w.wantVersion("p", 2)
	w.swap(3, "p", canary(time.Hour), wantsExport)
	w.set.Remove("p") // with its canary
	if len(told) != 0 {
		t.Errorf("a withdrawal: %+v", <-told)
	}
}

// Another scope in the new version: its topics wait until it is promoted.
func TestCanaryOfAnotherScope(t *testing.T) {
	w, _ := watched(t)
	w.swap(1, "p", canary(time.Hour), wantsExport)
	w.swap(2, "p", func(s *release.Settings) { canary(time.Hour)(s); s.Scope = abi.ScopeTopic }, wantsExport)
	w.join("p:1")
	w.join("p:1")
	if got := w.others("p"); got != "" {
		t.Errorf("in the canary: %s", got)
	}
}
