package author_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/cmd/rtd/author"
)

// fakeRust is a toolchain that has the target, or not, and fails to build.
func fakeRust(t *testing.T, version string, target, rustup bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	libraries := filepath.Join(dir, "libraries")
	if target {
		if err := os.Mkdir(libraries, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("cargo", fmt.Sprintf("case $1 in --version) echo cargo %s;; *) echo syntax is too new for %s >&2; exit 101;; esac", version, version))
	script("rustc", "echo "+libraries)
	if rustup {
		script("rustup", "")
	}
	return dir
}

// The messages of a build say which Rust was taken, why not the one on the PATH, and what would mend that.
func TestWhichRust(t *testing.T) {
	const target = "wasm32-unknown-unknown"
	for _, c := range []struct {
		name         string
		path, debian string // the toolchains' folders
		want, never  []string
	}{
		{"the one on the PATH", fakeRust(t, "1.90.0", true, false), fakeRust(t, "1.63.0", true, false), []string{"too new for 1.90.0"}, []string{"has no target", "1.63.0"}},
		{"Debian's", fakeRust(t, "1.90.0", false, false), fakeRust(t, "1.63.0", true, false),
			[]string{"building with", "(cargo 1.63.0)", "(cargo 1.90.0) has no target " + target, "libstd-rust-dev-wasm32", "too new for 1.63.0"}, []string{"rustup"}},
		{"Debian's, before rustup's", fakeRust(t, "1.90.0", false, true), fakeRust(t, "1.63.0", true, false),
			[]string{"building with", "(cargo 1.63.0)", "rustup target add " + target + "` mends that"}, nil},
		{"none that has it", fakeRust(t, "1.90.0", false, true), t.TempDir(), []string{"is missing; install", "(cargo 1.90.0) has no target"}, []string{"building with"}},
		{"none", t.TempDir(), t.TempDir(), []string{"is missing; install"}, []string{"has no target"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			defer author.DebianIs(c.debian)()
			p, err := author.New(filepath.Join(t.TempDir(), "talk"), "rust")
			if err != nil {
				t.Fatal(err)
			}
			var messages bytes.Buffer
			_, err = p.Build(t.Context(), author.BuildOptions{Messages: &messages})
			if err == nil {
				t.Fatal("no error")
			}
			said := messages.String() + err.Error()
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in:\n%s", want, said)
				}
			}
			for _, never := range c.never {
				if strings.Contains(said, never) {
					t.Errorf("%q is in:\n%s", never, said)
				}
			}
			if strings.Contains(said, "building with") && !strings.Contains(err.Error(), "building with") {
				t.Errorf("the error does not say what was taken: %v", err)
			}
		})
	}
}
