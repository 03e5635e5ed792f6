package folder_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"rtd/host/folder"
)

// What the user's environment, or a folder above, has for other programs, does not keep a plugin from being built, nor
// change it.
func TestForeignEnvironment(t *testing.T) {
	built := func(t *testing.T, prepare func(dir string)) []byte {
		t.Helper()
		dir := program(t)
		prepare(dir)
		w := open(t, folder.Options{Dir: dir, Build: true})
		got := w.initial()
		if len(got) != 1 || got[0].Name != "hello" || got[0].Err != nil {
			t.Fatalf("initial changes:\n%s", showAll(got))
		}
		return got[0].WASM
	}
	var plain []byte
	for _, foreign := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
	}{
		{"nothing", func(*testing.T, string) {}},
		{"go.work above", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..", ".."), "go.work", "go 1.26\n\nuse ./nowhere\n")
		}},
		{"GOWORK", func(t *testing.T, dir string) { t.Setenv("GOWORK", filepath.Join(dir, "other.work")) }},
		{"GOFLAGS=-mod=vendor", func(t *testing.T, _ string) { t.Setenv("GOFLAGS", "-mod=vendor") }},
		{"GOFLAGS=-race", func(t *testing.T, _ string) { t.Setenv("GOFLAGS", "-race") }},
		{"go env -w GOFLAGS=-race", func(t *testing.T, dir string) {
			write(t, dir, ".env", "GOFLAGS=-race\nGO111MODULE=off\n")
			t.Setenv("GOENV", filepath.Join(dir, ".env"))
		}},
		{"GO111MODULE=off", func(t *testing.T, _ string) { t.Setenv("GO111MODULE", "off") }},
		{"another platform", func(t *testing.T, _ string) {
			t.Setenv("GOOS", "plan9")
			t.Setenv("GOARCH", "386")
			t.Setenv("CGO_ENABLED", "1")
			t.Setenv("GOEXPERIMENT", "boringcrypto")
			t.Setenv("GOWASM", "nonsense")
		}},
	} {
		t.Run(foreign.name, func(t *testing.T) {
			wasm := built(t, func(dir string) { foreign.prepare(t, dir) })
			if plain == nil {
				plain = wasm
			}
			if !bytes.Equal(wasm, plain) {
				t.Errorf("%d bytes, and %d without", len(wasm), len(plain))
			}
		})
	}
}
