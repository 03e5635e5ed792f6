package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// The plugin of the README is what it says: it builds, is served at once, and
// survives its crash.
func TestReadmePlugin(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	must(t, err)
	source := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindSubmatch(readme)
	if source == nil {
		t.Fatal("the README has no plugin")
	}
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"talk": buildInside(t, source[1])}})
	c := s.Connect(t)
	c.MustJoin(t, "talk:readme", `{}`)
	c.WantReply(t, "talk:readme", "say", `{"text":"hello"}`, `ok 1`)
	c.Expect(t, "talk:readme", "said")
	c.WantReply(t, "talk:readme", "panic", `{}`, `error {"reason":"crashed"}`)
	c.WantReply(t, "talk:readme", "say", `{}`, `ok 1`)
	c.WantOpen(t)
}

// buildInside builds source as a guest in a folder of this module that exists
// for the compiler alone: it imports the SDK, which only packages of the
// module can.
func buildInside(t *testing.T, source []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	file, wasm := filepath.Join(dir, "main.go"), filepath.Join(dir, "talk.wasm")
	must(t, os.WriteFile(file, source, 0o600))
	root, err := filepath.Abs("..")
	must(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(overlay, []byte(`{"Replace":{"`+filepath.Join(root, "plugins", "talk", "main.go")+`":"`+file+`"}}`), 0o600))
	build := exec.Command("go", "build", "-overlay", overlay, "-buildmode=c-shared", "-trimpath", "-o", wasm, "rtd/plugins/talk")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return fixture(t, wasm)
}

// The table of packages has them all.
func TestReadmePackages(t *testing.T) {
	readme := source(t, "../README.md")
	for name := range arrows {
		if slices.Contains(testTools, name) || strings.Contains(name, "/testdata/") || strings.HasPrefix(name, "sdk/") || strings.HasPrefix(name, "plugins/") {
			continue
		}
		if command, is := strings.CutPrefix(name, "cmd/rtd/"); is {
			name = command
		}
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}
