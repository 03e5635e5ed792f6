package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/host/rollout"
)

// renamed is a module of other bytes that does the same: a custom section tells
// versions apart.
func renamed(wasm []byte, n int) []byte {
	name := fmt.Sprintf("v%04d", n)
	return append(slices.Clone(wasm), append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...)...)
}

// history shows the kept versions, the latest first.
func (s *server) history(t testing.TB, name string) string {
	t.Helper()
	all, err := s.Deploys().Versions(name)
	must(t, err)
	var list []string
	for _, v := range all {
		line := v.ID() + " by " + v.By
		if v.Withdrawn != "" {
			line += ", " + v.Withdrawn
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

func (s *server) wantHistory(t testing.TB, name string, want ...string) {
	t.Helper()
	got := ""
	hosttest.Eventually(t, "history "+strings.Join(want, "; "), func() bool {
		got = s.history(t, name)
		return got == strings.Join(want, "; ") || t.Failed()
	})
}

func idOf(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:6])
}

// roomGuest is the RoomChannel in C: small, and able to crash.
func roomGuest(t testing.TB, n int) []byte {
	return renamed(fixture(t, "../sdk/suite/testdata/room-c.wasm"), n)
}

const room = `{"user":"ada"}`

// wantRunning waits for a version of the plugin room, and that it serves.
func (s *server) wantRunning(t testing.TB, wasm []byte) {
	t.Helper()
	hosttest.Eventually(t, "version "+idOf(wasm), func() bool {
		_, text := s.Get(t, "/metrics")
		return strings.Contains(text, `rtd_slots{plugin="room",version="`+idOf(wasm)+`"}`)
	})
	c := s.Connect(t)
	c.MustJoin(t, "room:check", room)
	c.WantReply(t, "room:check", "whoami", "{}", `ok {"user":"ada"}`)
	c.Close()
}

// TestKeptVersions: what is deployed is kept, with who did it, and can be brought back
// while clients are there.
func TestKeptVersions(t *testing.T) {
	t.Parallel()
	one, two, three := roomGuest(t, 1), roomGuest(t, 2), roomGuest(t, 3)
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"room": one}})
	s.wantHistory(t, "room", idOf(one)+" by folder")
	c := s.Connect(t)
	c.MustJoin(t, "room:1", room)
	s.Rename(t, "room", two)
	s.wantHistory(t, "room", idOf(two)+" by folder", idOf(one)+" by folder")
	s.wantRunning(t, two)

	out, err := s.Deploys().Deploy(t.Context(), "room", three, "ada")
	if err != nil || out.Version != idOf(three) {
		t.Fatalf("Deploy: %+v, %v", out, err)
	}
	s.Log.Wait(t, "plugin deployed", "version", idOf(three), "by", "ada")
	if file := fixture(t, s.Path("room")); idOf(file) != idOf(three) {
		t.Errorf("the folder has version %s", idOf(file))
	}
	if _, err := s.Deploys().Deploy(t.Context(), "room", three, "ada"); !errors.Is(err, rollout.ErrUnchanged) {
		t.Errorf("the same again: %v", err)
	}
	s.wantRunning(t, three)

	for _, back := range [][]byte{two, one} {
		out, err := s.Deploys().Rollback(t.Context(), "room", "", "ada")
		if err != nil || out.Version != idOf(back) {
			t.Fatalf("Rollback: %+v, %v; want %s", out, err, idOf(back))
		}
		s.wantRunning(t, back)
	}
	if _, err := s.Deploys().Rollback(t.Context(), "room", "", "ada"); err == nil {
		t.Error("went back from the first")
	}
	s.wantHistory(t, "room", idOf(one)+" by rollback by ada", idOf(two)+" by rollback by ada, rolled back by ada", idOf(three)+" by ada, rolled back by ada")
	if out, err := s.Deploys().Rollback(t.Context(), "room", idOf(three)[:8], "grace"); err != nil || out.Version != idOf(three) {
		t.Errorf("to a version by its hash: %+v, %v", out, err)
	}
	s.wantRunning(t, three)
	c.WantReply(t, "room:1", "whoami", "{}", `ok {"user":"ada"}`)
	if c.Has("phx_error") || c.Has("phx_close") {
		t.Error("the client was told of something")
	}
	if n := s.Metric(t, "rtd_rollbacks_total", `plugin="room"`, `cause="admin"`); n != 3 {
		t.Errorf("%v rollbacks were counted", n)
	}
}

func TestDeployIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	for name, wasm := range map[string][]byte{"../evil": echoGuest(t), "": echoGuest(t), "broken": []byte("no module"), "silent": fixture(t, "testdata/silent.wasm")} {
		if _, err := s.Deploys().Deploy(t.Context(), name, wasm, "ada"); err == nil {
			t.Errorf("%q was deployed", name)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(s.Dir), "*", "*.wasm"))
	must(t, err)
	if len(files) != 0 {
		t.Errorf("files were left: %v", files)
	}
	if _, err := s.Deploys().Rollback(t.Context(), "nobody", "", "ada"); err == nil || !strings.Contains(err.Error(), "no such plugin") {
		t.Errorf("rollback of nothing: %v", err)
	}
}

// crashOften crashes the plugin room more often than it may, once for each client.
func crashOften(t testing.TB, s *server) {
	t.Helper()
	for _, c := range s.ConnectAll(t, 4, "room:crash", room) {
		c.WantReply(t, "room:crash", "crash", "{}", `error {"reason":"crashed"}`)
	}
}

// A version that crashes too often goes; its file is left alone and not deployed again
// before it changes, by a server that starts anew neither.
func TestAutomaticRollback(t *testing.T) {
	t.Parallel()
	good, bad, better := roomGuest(t, 1), roomGuest(t, 2), roomGuest(t, 3)
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"room": good}})
	c := s.Connect(t)
	c.MustJoin(t, "room:1", room)
	s.Rename(t, "room", bad)
	s.wantRunning(t, bad)
	crashOften(t, s)
	line := s.Log.Wait(t, "plugin rolled back", "plugin", "room", "version", idOf(bad), "to", idOf(good))
	if n := len(s.Log.All("plugin rolled back")); n != 1 || line.Text("level") != "ERROR" {
		t.Errorf("%d lines: %v", n, line)
	}
	s.wantRunning(t, good)
	s.wantHistory(t, "room", idOf(good)+" by rollback", idOf(bad)+" by folder, rolled back: crashes")
	if n := s.Metric(t, "rtd_rollbacks_total", `plugin="room"`, `cause="crashes"`); n != 1 {
		t.Errorf("%v rollbacks were counted", n)
	}
	c.WantReply(t, "room:1", "whoami", "{}", `ok {"user":"ada"}`)

	s.Write(t, "room", bad) // the same bytes
	now := time.Now()
	must(t, os.Chtimes(s.Path("room"), now, now))
	s.Configure(t, "[plugin.room]\nmailbox = 99\n")
	s.Log.Wait(t, "plugin reconfigured", "plugin", "room", "version", idOf(good))
	s.wantRunning(t, good)
	s.Stop(t)

	s = start(t, hosttest.Setup{Dir: filepath.Dir(s.Dir)})
	s.Log.Wait(t, "the file holds a version that was rolled back; the one before it is deployed until the file changes",
		"plugin", "room", "version", idOf(bad), "to", idOf(good))
	s.wantRunning(t, good)
	s.wantHistory(t, "room", idOf(good)+" by rollback", idOf(bad)+" by folder, rolled back: crashes")
	s.Rename(t, "room", better)
	s.wantRunning(t, better)
	s.Rename(t, "room", bad) // somebody wants it
	s.wantRunning(t, bad)
	s.wantHistory(t, "room", idOf(bad)+" by folder", idOf(better)+" by folder", idOf(good)+" by rollback")
}

// A file that cannot be deployed leaves the version before running: in a server that starts
// anew, too, and then it is what goes on when the file is good again.
func TestBadFileAtTheStart(t *testing.T) {
	t.Parallel()
	good, better := roomGuest(t, 1), roomGuest(t, 2)
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"room": good}})
	s.wantRunning(t, good)
	s.Rename(t, "room", []byte("\x00asm\x01\x00\x00\x00garbage"))
	s.Log.Wait(t, "plugin not deployed", "plugin", "room", "running", idOf(good))
	s.Stop(t)

	s = start(t, hosttest.Setup{Dir: filepath.Dir(s.Dir)})
	s.Log.Wait(t, "the file cannot be deployed; the last version that ran is, until the file changes", "plugin", "room", "version", idOf(good))
	s.wantRunning(t, good)
	if status, text := s.Get(t, "/readyz"); status != 200 {
		t.Errorf("readyz: %d %q", status, text)
	}
	s.wantHistory(t, "room", idOf(good)+" by folder")
	s.Rename(t, "room", better)
	s.wantRunning(t, better)
	s.wantHistory(t, "room", idOf(better)+" by folder", idOf(good)+" by folder")
}

// Some of the new joins try the next version first, as config.toml says.
func TestCanary(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"room": roomGuest(t, 1)},
		Config:  "[plugin.room]\ncanary = 0.25\ncanary_period = \"1h\"\n",
	})
	next := roomGuest(t, 2)
	s.Rename(t, "room", next)
	s.Log.Wait(t, "canary begins", "plugin", "room", "version", idOf(next))
	s.ConnectAll(t, 8, "room:1", room)
	if n := s.Metric(t, "rtd_instances", `version="`+idOf(next)+`"`); n != 2 {
		t.Errorf("%v of 8 joins went to the next version, want 2", n)
	}
	if len(s.Log.All("plugin deployed")) != 1 {
		t.Error("the log says that it was deployed")
	}
	s.wantHistory(t, "room", idOf(next)+" by folder", idOf(roomGuest(t, 1))+" by folder")
	if out, err := s.Deploys().Rollback(t.Context(), "room", "", "ada"); err != nil || out.Version != idOf(roomGuest(t, 1)) {
		t.Errorf("Rollback: %+v, %v", out, err)
	}
	hosttest.Eventually(t, "no instance of it", func() bool { return s.Metric(t, "rtd_instances", `version="`+idOf(next)+`"`) == 0 })
	s.wantHistory(t, "room", idOf(next)+" by folder, rolled back by ada", idOf(roomGuest(t, 1))+" by folder")
}

// Without a place for versions there is no way back, but all else works.
func TestNoVersionsKept(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"room": roomGuest(t, 1)}, Config: "[plugins]\nversions = \"\"\n"})
	s.Rename(t, "room", roomGuest(t, 2))
	s.wantRunning(t, roomGuest(t, 2))
	if _, err := s.Deploys().Rollback(t.Context(), "room", "", "ada"); err == nil || !strings.Contains(err.Error(), "versions in [plugins]") {
		t.Errorf("Rollback: %v", err)
	}
	crashOften(t, s)
	s.wantRunning(t, roomGuest(t, 1))
	if _, err := os.Stat(filepath.Join(s.Dir, ".rtd", "versions")); err == nil {
		t.Error("versions are kept")
	}
}
