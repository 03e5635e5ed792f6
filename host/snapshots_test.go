package host_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// snapshots are the files that a server keeps of the chat plugin, but for what was set aside.
func (s *server) snapshots(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, ".rtd", "versions", "chat", "snapshots", "*"))
	must(t, err)
	all := map[string][]byte{}
	for _, file := range files {
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("mode of %s is %v", file, info.Mode())
		}
		if !strings.HasSuffix(file, ".bad") {
			if all[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// A version begins with the same snapshot at each start of the server, until that is damaged; and with a new one under
// another config.
func TestSnapshotOutlivesTheServer(t *testing.T) {
	t.Parallel()
	const warning = "the kept snapshot is damaged and is made again; if the guest starts otherwise this time, states that were saved with it are of no use"
	o := hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken}
	serve := func() (s *server, kept map[string][]byte) {
		t.Helper()
		s = start(t, o)
		s.Connect(t).MustJoin(t, "room:a", `{"token":"demo"}`)
		kept = s.snapshots(t)
		return s, kept
	}
	again := func(s *server) {
		s.Stop(t)
		o.Dir, o.Plugins = filepath.Dir(s.Dir), nil
	}

	s, first := serve()
	if len(first) != 1 {
		t.Fatalf("%d snapshots", len(first))
	}
	again(s)
	s, kept := serve()
	for file, content := range first {
		if len(kept) != 1 || !bytes.Equal(kept[file], content) {
			t.Error("another snapshot")
		}
		must(t, os.Truncate(file, int64(len(content)/2)))
	}
	if lines := s.Log.All(warning); len(lines) > 0 {
		t.Errorf("log: %v", lines)
	}
	again(s)
	s, kept = serve()
	if lines := s.Log.All(warning, "plugin", "chat"); len(lines) != 1 {
		t.Errorf("log: %v", lines)
	}
	for file, content := range first {
		if len(kept) != 1 || len(kept[file]) == 0 || bytes.Equal(kept[file], content) {
			t.Error("the damaged snapshot was not replaced")
		}
		if _, err := os.Stat(file + ".bad"); err != nil {
			t.Error(err)
		}
	}

	s.reconfigure(t, strings.Replace(chatToken, "demo", "secret", 1))
	s.Connect(t).MustJoin(t, "room:a", `{"token":"secret"}`)
	if n := len(s.snapshots(t)); n != 2 {
		t.Errorf("%d snapshots of two configs", n)
	}
	again(s)
	o.Config = "[plugins]\nversions = \"\"\n" + chatToken
	must(t, os.RemoveAll(filepath.Join(s.Dir, ".rtd", "versions")))
	_, kept = serve()
	if len(kept) != 0 {
		t.Errorf("%d snapshots where no versions are kept", len(kept))
	}
}
