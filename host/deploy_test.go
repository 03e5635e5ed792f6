package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

const sandboxData = "../sandbox/testdata/"

// Whatever is written over a plugin that does not work: the old version runs on,
// and the log says why.
func TestBadFileLeavesTheOldVersion(t *testing.T) {
	t.Parallel()
	good := echoGuest(t)
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": good}})
	c := s.Connect(t)
	c.MustJoin(t, "echo:a", "{}")
	version := s.Log.Wait(t, "plugin deployed", "plugin", "echo").Text("version")

	for _, bad := range []struct {
		name, why string
		wasm      []byte
	}{
		{"truncated", "truncated", good[:len(good)/2]},
		{"not WebAssembly", "not a WebAssembly module", []byte("#!/bin/sh\necho hello\n")},
		{"a component", "component", []byte("\x00asm\x0d\x00\x01\x00")},
		{"missing exports", "exports no", fixture(t, sandboxData+"wrong_exports.wasm")},
		{"missing imports", "imports", fixture(t, sandboxData+"wrong_imports.wasm")},
		{"trap in its start section", "boom", fixture(t, sandboxData+"start_trap.wasm")},
		{"trap in _initialize", "unreachable", fixture(t, sandboxData+"init_trap.wasm")},
		{"loop in _initialize", "took longer than 1s", fixture(t, sandboxData+"init_loop.wasm")},
		{"no topics", "declares neither topics nor processes; set topics in [plugin.echo]", fixture(t, "testdata/silent.wasm")},
	} {
		s.Log.Forget()
		s.Write(t, "echo", bad.wasm)
		line := s.Log.Wait(t, "plugin not deployed", "plugin", "echo")
		if all := line.Text("cause"); bad.why != "boom" && !strings.Contains(all, bad.why) {
			t.Errorf("%s: the log says %q, want %q in it", bad.name, all, bad.why)
		}
		if line.Text("running") != version || !strings.HasSuffix(line.Text("file"), "echo.wasm") {
			t.Errorf("%s: log line %v, want running = %s", bad.name, line, version)
		}
		c.WantReply(t, "echo:a", "echo", `{"still":"here"}`, `ok {"still":"here"}`)
		s.Connect(t).MustJoin(t, "echo:b", "{}")
	}
	if n := s.Metric(t, "rtd_deploy_errors_total"); n != 9 {
		t.Errorf("deploy errors = %v, want 9", n)
	}
	if c.Has("phx_error") || c.Has("phx_close") {
		t.Error("the client was told of something")
	}
}

// A deploy that is given up because who has asked for it is gone says nothing about the plugin.
func TestDeployThatIsGivenUp(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	gone, cancel := context.WithCancelCause(t.Context())
	why := errors.New("told to stop")
	cancel(why)
	unheard := append(echoGuest(t), 0, 6, 5, 'n', 'e', 'v', 'e', 'r') // a section that tells it from modules that are compiled already
	if _, err := s.Deploys().Deploy(gone, "echo", unheard, "somebody"); !errors.Is(err, why) {
		t.Errorf("deploy: %v, want %v", err, why)
	}
	if n := s.Metric(t, "rtd_deploy_errors_total"); n != 0 {
		t.Errorf("%v errors are counted", n)
	}
}

// A new file is a new plugin, a removed one is gone, a restored one is back.
func TestFilesComeAndGo(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	c := s.Connect(t)
	c.WantReply(t, "echo:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)

	s.Write(t, "echo", echoGuest(t))
	s.Log.Wait(t, "plugin deployed", "plugin", "echo", "topics", "echo:*")
	c.MustJoin(t, "echo:a", "{}")
	c.WantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)

	s.Remove(t, "echo")
	wantChannelEnd(t, c, "echo:a", "phx_close")
	c.WantReply(t, "echo:a", "echo", "{}", `error {"reason":"unmatched topic"}`)
	c.WantReply(t, "echo:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	s.Log.Wait(t, "plugin unloaded, its file is gone", "plugin", "echo")

	s.Log.Forget()
	s.Rename(t, "echo", echoGuest(t))
	s.Log.Wait(t, "plugin deployed", "plugin", "echo")
	c.MustJoin(t, "echo:a", "{}")
	c.WantReply(t, "echo:a", "echo", `{"n":2}`, `ok {"n":2}`)
}

// Two plugins that claim the same topics: the second is refused, and both are named.
// It is served when the topics are free.
func TestConflictingTopics(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"first": echoGuest(t)}})
	c := s.Connect(t)
	c.MustJoin(t, "echo:a", "{}")
	s.Write(t, "second", echoGuest(t))
	cause := s.Log.Wait(t, "plugin not deployed", "plugin", "second").Text("cause")
	for _, want := range []string{"first", "second", `"echo:*"`, "config.toml"} {
		if !strings.Contains(cause, want) {
			t.Errorf("the log says %q, want %s in it", cause, want)
		}
	}
	c.WantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)

	s.Remove(t, "first")
	wantChannelEnd(t, c, "echo:a", "phx_close")
	s.Log.Wait(t, "plugin deployed", "plugin", "second")
	c.MustJoin(t, "echo:a", "{}")
}

// A plugin that could not be deployed for want of topics is, once config.toml
// has some. The file need not be touched.
func TestTopicsGivenLater(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"silent": fixture(t, "testdata/silent.wasm")}})
	s.Log.Wait(t, "plugin not deployed", "plugin", "silent")
	c := s.Connect(t)
	c.WantReply(t, "silent:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	s.Configure(t, "[plugin.silent]\ntopics = [\"silent:*\"]\n")
	s.Log.Wait(t, "config reloaded")
	c.MustJoin(t, "silent:a", "{}")

	s.Remove(t, "silent")
	wantChannelEnd(t, c, "silent:a", "phx_close")
	s.Configure(t, "[plugin.silent]\ntopics = [\"silent:*\", \"quiet:*\"]\n")
	hosttest.Eventually(t, "second reload", func() bool { return len(s.Log.All("config reloaded")) == 2 })
	c.WantReply(t, "silent:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
}

// A file with a bad name is not a plugin, and the log says so.
func TestBadName(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	must(t, os.WriteFile(filepath.Join(s.Dir, "Bad Name.wasm"), echoGuest(t), 0o644))
	s.Log.Wait(t, "plugin not built or not readable", "plugin", "Bad Name", "cause", "rename it")
}
