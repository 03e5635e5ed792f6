package folder_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtd/host/folder"
)

const (
	goMod   = "module example.com/plugins\n\ngo 1.26\n"
	mainGo  = "package main\n\nimport \"example.com/plugins/words\"\n\n//go:wasmexport handle\nfunc handle() int32 { return int32(len(words.Greeting)) }\n\nfunc main() {}\n"
	wordsGo = "package words\n\nvar Greeting = \"hello\"\n"
)

// program writes a module with the source plugin hello, which uses a package beside it, and returns the folder.
func program(t *testing.T) (dir string) {
	t.Helper()
	module := t.TempDir()
	dir = filepath.Join(module, "plugins")
	mkdir(t, dir, "hello")
	mkdir(t, module, "words")
	write(t, module, "go.mod", goMod)
	write(t, module, "words/words.go", wordsGo)
	write(t, dir, "hello/main.go", mainGo)
	return dir
}

// TestBuild is one story, because each build costs a second.
func TestBuild(t *testing.T) {
	t.Parallel()
	dir := program(t)
	words := filepath.Join(dir, "..", "words")
	main, wasm := filepath.Join(dir, "hello/main.go"), filepath.Join(dir, "hello.wasm")
	mkdir(t, dir, "library")
	write(t, dir, "library/library.go", "package library\n")
	mkdir(t, dir, "Bad")
	write(t, dir, "Bad/main.go", "package main\n")

	write(t, dir, "hello.wasm", "outdated: never passed on")
	if err := os.Chtimes(wasm, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}

	w := open(t, folder.Options{Dir: dir, Build: true})
	got := w.initial()
	if len(got) != 2 || got[0].Name != "Bad" || got[0].Err == nil || got[1].Name != "hello" {
		t.Fatalf("initial changes:\n%s", showAll(got))
	}
	first := got[1].WASM
	if !bytes.HasPrefix(first, []byte("\x00asm")) || !bytes.Contains(first, []byte("main.handle")) {
		t.Error("no WebAssembly with function names")
	}
	if n := w.log.count("building plugin"); n != 1 {
		t.Errorf("%d builds at the start", n)
	}

	t.Log("an edit in a package that the source uses")
	write(t, words, "words.go", strings.Replace(wordsGo, "hello", "hello, world", 1))
	if c := w.next(); c.Name != "hello" || bytes.Equal(c.WASM, first) || c.WASM == nil {
		t.Fatalf("after an edit: %s", show(c))
	}

	t.Log("an error keeps the .wasm")
	before := stat(t, wasm)
	write(t, dir, "hello/main.go", mainGo+"func broken() { undefined() }\n")
	if c := w.next(); c.Err == nil || !strings.Contains(c.Err.Error(), "main.go:9:17: undefined: undefined") {
		t.Fatalf("after a mistake: %s", show(c))
	}
	if !stat(t, wasm).ModTime().Equal(before.ModTime()) {
		t.Error("the failed build touched the .wasm")
	}

	t.Log("the mistake taken back: no build")
	write(t, dir, "hello/main.go", mainGo)
	w.nothingElse()
	if n := w.log.count("building plugin"); n != 3 {
		t.Errorf("%d builds, want 3", n)
	}

	t.Log("a dropped .wasm wins, after a restart too")
	write(t, dir, "hello.wasm", "dropped")
	w.expect("hello = dropped")
	w.Close()
	w = open(t, folder.Options{Dir: dir, Build: true, Poll: 100 * time.Millisecond})
	if got := showAll(w.initial()); !strings.Contains(got, "hello = dropped\n") {
		t.Fatalf("after a restart:\n%s", got)
	}
	if err := os.Chtimes(main, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.nothingElse()
	if w.log.count("building plugin") != 0 || w.log.count("dropped in") == 0 {
		t.Error("built though the source is unchanged, or did not say so")
	}

	t.Log("deleted: unloaded until the source changes")
	remove(t, wasm)
	w.expect("hello removed")
	w.nothingElse()
	write(t, words, "words.go", wordsGo+"\n// changed\n")
	if c := w.next(); c.Name != "hello" || len(c.WASM) < 1000 {
		t.Fatalf("after a change: %s", show(c))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".rtd/*.build")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNewerFileWithoutStampIsKept(t *testing.T) {
	t.Parallel()
	dir := program(t)
	write(t, dir, "hello.wasm", "newer")
	if err := os.Chtimes(filepath.Join(dir, "hello.wasm"), time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	w := open(t, folder.Options{Dir: dir, Build: true})
	if got := showAll(w.initial()); got != "hello = newer\n" {
		t.Fatalf("initial changes:\n%s", got)
	}
	if data, err := os.ReadFile(filepath.Join(dir, ".rtd/hello.json")); err != nil || !bytes.Contains(data, []byte(`"source"`)) {
		t.Errorf("stamp: %s, %v", data, err)
	}
	if w.log.count("building plugin") != 0 {
		t.Error("built")
	}
}

func TestWithoutBuild(t *testing.T) {
	t.Parallel()
	dir := program(t)
	w := open(t, folder.Options{Dir: dir})
	if got := showAll(w.initial()); got != "" {
		t.Errorf("initial changes:\n%s", got)
	}
}

func TestWithoutToolchain(t *testing.T) {
	empty := t.TempDir()
	broken := t.TempDir()
	script(t, broken, "go", "echo cannot run here >&2; exit 1")
	for name, path := range map[string]string{"no go": empty, "a go that cannot run": broken} {
		t.Run(name, func(t *testing.T) {
			dir := program(t)
			t.Setenv("PATH", path)
			w := open(t, folder.Options{Dir: dir, Build: true})
			got := w.initial()
			if len(got) != 1 || got[0].Err == nil || !strings.Contains(got[0].Err.Error(), "install Go") ||
				!strings.Contains(got[0].Err.Error(), "put a built hello.wasm into") {
				t.Fatalf("without a .wasm:\n%s", showAll(got))
			}
			write(t, dir, "hello.wasm", "mine")
			w.expect("hello = mine")
			w.Close()

			w = open(t, folder.Options{Dir: dir, Build: true})
			if got := showAll(w.initial()); got != "hello = mine\n" {
				t.Fatalf("with a .wasm:\n%s", got)
			}
			if w.log.count("no Go toolchain") != 1 {
				t.Error("the log does not say that the source was not built")
			}
		})
	}
}

// TestCloseDuringBuild uses a go command whose build never ends, and has a child like the real one.
func TestCloseDuringBuild(t *testing.T) {
	goroutines := runtime.NumGoroutine() // parallel tests are paused while this one runs
	dir, bin := program(t), t.TempDir()
	pids := filepath.Join(bin, "pids")
	script(t, bin, "go", `case $1 in
env) echo '{"GOVERSION": "go1.26", "GOMOD": ""}';;
build) sleep 300 & echo $$ $! >`+pids+`; wait;;
esac`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	w := open(t, folder.Options{Dir: dir, Build: true})
	var children []string
	for deadline := time.Now().Add(time.Minute); len(children) < 2; time.Sleep(5 * time.Millisecond) {
		data, _ := os.ReadFile(pids)
		if children = strings.Fields(string(data)); time.Now().After(deadline) {
			t.Fatal("no build began")
		}
	}

	t.Log("other plugins are served meanwhile")
	write(t, dir, "other.wasm", "o")
	if c := <-w.Changes(); show(c) != "other = o" {
		t.Errorf("during a build: %s", show(c))
	}

	closed := make(chan struct{})
	go func() { defer close(closed); w.Close() }()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("Close waits for the build, which takes five minutes")
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before Open, %d after Close", goroutines, runtime.NumGoroutine())
		}
	}
	for _, child := range children {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d outlived Close", pid)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "hello.wasm")); err == nil {
		t.Error("the build that was killed left a .wasm")
	}
}

// alive tells whether a process runs; one that is dead but not yet waited for does not.
func alive(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(status, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}

func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
