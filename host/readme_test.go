package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The plugin of the README is what it says: it builds, is served at once, and
// survives its crash.
func TestReadmePlugin(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	must(t, err)
	source := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindSubmatch(readme)
	if source == nil {
		t.Fatal("the README has no plugin")
	}
	s := start(t, setup{plugins: map[string][]byte{"talk": buildInside(t, source[1])}})
	c := s.connect(t)
	c.mustJoin(t, "talk:readme", `{}`)
	c.wantReply(t, "talk:readme", "say", `{"text":"hello"}`, `ok 1`)
	c.expect(t, "talk:readme", "said")
	c.wantReply(t, "talk:readme", "panic", `{}`, `error {"reason":"crashed"}`)
	c.wantReply(t, "talk:readme", "say", `{}`, `ok 1`)
	c.wantOpen(t)
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
