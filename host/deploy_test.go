package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sandboxData = "../sandbox/testdata/"

// Whatever is written over a plugin that does not work: the old version runs on,
// and the log says why.
func TestBadFileLeavesTheOldVersion(t *testing.T) {
	good := echoGuest(t)
	s := start(t, setup{plugins: map[string][]byte{"echo": good}})
	c := s.connect(t)
	c.mustJoin(t, "echo:a", "{}")
	version := s.log.wait(t, "plugin deployed", "plugin", "echo").text("version")

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
		s.log.forget()
		s.write(t, "echo", bad.wasm)
		line := s.log.wait(t, "plugin not deployed", "plugin", "echo")
		if all := line.text("cause"); bad.why != "boom" && !strings.Contains(all, bad.why) {
			t.Errorf("%s: the log says %q, want %q in it", bad.name, all, bad.why)
		}
		if line.text("running") != version || !strings.HasSuffix(line.text("file"), "echo.wasm") {
			t.Errorf("%s: log line %v, want running = %s", bad.name, line, version)
		}
		c.wantReply(t, "echo:a", "echo", `{"still":"here"}`, `ok {"still":"here"}`)
		s.connect(t).mustJoin(t, "echo:b", "{}")
	}
	if n := s.metric(t, "rtd_deploy_errors_total"); n != 9 {
		t.Errorf("deploy errors = %v, want 9", n)
	}
	if c.has("phx_error") || c.has("phx_close") {
		t.Error("the client was told of something")
	}
}

// A new file is a new plugin, a removed one is gone, a restored one is back.
func TestFilesComeAndGo(t *testing.T) {
	s := start(t, setup{})
	c := s.connect(t)
	c.wantReply(t, "echo:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)

	s.write(t, "echo", echoGuest(t))
	s.log.wait(t, "plugin deployed", "plugin", "echo", "topics", "echo:*")
	c.mustJoin(t, "echo:a", "{}")
	c.wantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)

	s.remove(t, "echo")
	wantChannelEnd(t, c, "echo:a", "phx_close")
	c.wantReply(t, "echo:a", "echo", "{}", `error {"reason":"unmatched topic"}`)
	c.wantReply(t, "echo:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	s.log.wait(t, "plugin unloaded, its file is gone", "plugin", "echo")

	s.log.forget()
	s.rename(t, "echo", echoGuest(t))
	s.log.wait(t, "plugin deployed", "plugin", "echo")
	c.mustJoin(t, "echo:a", "{}")
	c.wantReply(t, "echo:a", "echo", `{"n":2}`, `ok {"n":2}`)
}

// Two plugins that claim the same topics: the second is refused, and both are named.
// It is served when the topics are free.
func TestConflictingTopics(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"first": echoGuest(t)}})
	c := s.connect(t)
	c.mustJoin(t, "echo:a", "{}")
	s.write(t, "second", echoGuest(t))
	cause := s.log.wait(t, "plugin not deployed", "plugin", "second").text("cause")
	for _, want := range []string{"first", "second", `"echo:*"`, "config.toml"} {
		if !strings.Contains(cause, want) {
			t.Errorf("the log says %q, want %s in it", cause, want)
		}
	}
	c.wantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)

	s.remove(t, "first")
	wantChannelEnd(t, c, "echo:a", "phx_close")
	s.log.wait(t, "plugin deployed", "plugin", "second")
	c.mustJoin(t, "echo:a", "{}")
}

// A plugin that could not be deployed for want of topics is, once config.toml
// has some. The file need not be touched.
func TestTopicsGivenLater(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"silent": fixture(t, "testdata/silent.wasm")}})
	s.log.wait(t, "plugin not deployed", "plugin", "silent")
	c := s.connect(t)
	c.wantReply(t, "silent:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	s.configure(t, "[plugin.silent]\ntopics = [\"silent:*\"]\n")
	s.log.wait(t, "config reloaded")
	c.mustJoin(t, "silent:a", "{}")

	s.remove(t, "silent")
	wantChannelEnd(t, c, "silent:a", "phx_close")
	s.configure(t, "[plugin.silent]\ntopics = [\"silent:*\", \"quiet:*\"]\n")
	eventually(t, "second reload", func() bool { return len(s.log.all("config reloaded")) == 2 })
	c.wantReply(t, "silent:a", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
}

// A file with a bad name is not a plugin, and the log says so.
func TestBadName(t *testing.T) {
	s := start(t, setup{})
	must(t, os.WriteFile(filepath.Join(s.dir, "Bad Name.wasm"), echoGuest(t), 0o644))
	s.log.wait(t, "plugin not built or not readable", "plugin", "Bad Name", "cause", "rename it")
}
