//go:build unix

package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rtd/host/hosttest"
)

// Whatever lies where a server keeps what is a help to it, it starts and serves, says what
// is wrong in a warning, and keeps versions if there is a way.
func TestBadFilesDoNotPreventTheStart(t *testing.T) {
	t.Parallel()
	damages := map[string]func(path string) error{
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte(`[{"hash":`), 0o600) },
		"folder":  func(path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) },
		"pipe":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"locked":  func(path string) error { return os.WriteFile(path, []byte("x"), 0) },
	}
	for _, path := range []string{
		"versions/room/versions.json", "versions/room", "versions", "crashes/0123456789.json", "crashes", "admin.sock", "room.json", "",
	} {
		for damage, do := range damages {
			t.Run(strings.ReplaceAll(path, "/", "_")+" "+damage, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				file := filepath.Join(dir, "plugins", ".rtd", path)
				must(t, os.MkdirAll(filepath.Dir(file), 0o755))
				must(t, do(file))
				s := start(t, hosttest.Setup{Dir: dir, Plugins: map[string][]byte{"room": roomGuest(t, 1)}})
				s.wantRunning(t, roomGuest(t, 1))
				if path == "" && damage != "folder" {
					return // there is no place for anything
				}
				if path != "versions" || damage == "folder" {
					s.wantHistory(t, "room", idOf(roomGuest(t, 1))+" by folder")
				}
				if _, err := s.Deploys().Deploy(t.Context(), "room", roomGuest(t, 2), "ada"); err != nil {
					t.Error(err)
				}
				s.wantRunning(t, roomGuest(t, 2))
			})
		}
	}
}
