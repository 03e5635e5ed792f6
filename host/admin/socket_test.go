package admin_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rtd/host/admin"
)

// leaveSocket leaves a socket behind as a server does that was killed.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".rtd", "admin.sock")
	first, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if _, err := admin.Listen(path); !errors.Is(err, admin.ErrTaken) || !strings.Contains(err.Error(), "set socket in [admin]") {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}

	t.Log("one that a killed server has left")
	path = filepath.Join(dir, "s")
	leaveSocket(t, path)
	second, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}

	t.Log("it is not ours to remove any more")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	third, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	second.Close()
	if _, err := admin.Connect(admin.Target{Paths: []string{path}}); err != nil {
		t.Errorf("after the end of another: %v", err)
	}

	t.Log("what is no socket stays")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(file); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "text" {
		t.Error("the file is gone")
	}
	if _, err := admin.Listen(filepath.Join(dir, strings.Repeat("x", 100))); err == nil || !strings.Contains(err.Error(), "bytes, more than") {
		t.Errorf("a long path: %v", err)
	}
}

// Of servers that start at once and find what a killed one has left, one gets it.
func TestListenAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		leaveSocket(t, path)
		var starting sync.WaitGroup
		got := make(chan net.Listener, 8)
		for range cap(got) {
			starting.Go(func() {
				if l, err := admin.Listen(path); err == nil {
					got <- l
				} else if !errors.Is(err, admin.ErrTaken) {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		if len(got) != 1 {
			t.Fatalf("%d servers have the socket", len(got))
		}
		(<-got).Close()
	}
}

func TestSocketPaths(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if got := admin.SocketPaths("", "plugins"); got != nil {
		t.Errorf("off: %v", got)
	}
	if got := admin.SocketPaths("/run/rtd.sock", "plugins"); len(got) != 1 || got[0] != "/run/rtd.sock" {
		t.Errorf("a path: %v", got)
	}
	auto, other := admin.SocketPaths(admin.Auto, "plugins"), admin.SocketPaths(admin.Auto, "others")
	if len(auto) != 2 || auto[0] != filepath.Join("plugins", ".rtd", "admin.sock") || auto[1] == other[1] {
		t.Errorf("auto: %v and %v", auto, other)
	}
	l, err := admin.Listen(auto[1])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := admin.Connect(admin.Target{Paths: auto}); err != nil {
		t.Error(err)
	}
	// A folder that others may have made or can write to is not trusted, by either side.
	if err := os.Chmod(filepath.Dir(auto[1]), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Connect(admin.Target{Paths: auto}); err == nil {
		t.Error("connected to a socket where everybody can put one")
	}
	if _, err := admin.Listen(other[1]); err == nil || !strings.Contains(err.Error(), "not a folder of this user alone") {
		t.Errorf("listen in it: %v", err)
	}
}
