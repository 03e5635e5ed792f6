package backup_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rtd/host/backup"
)

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// list is all that is in a folder, in order.
func list(t testing.TB, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if below, _ := filepath.Rel(dir, path); below != "." {
			all = append(all, filepath.ToSlash(below))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// save is a backup of some versions, and of so many bytes of states.
func save(t testing.TB, states int) string {
	t.Helper()
	versions := t.TempDir()
	write(t, filepath.Join(versions, "chat", "versions.json"), "[]")
	write(t, filepath.Join(versions, "chat", "snapshots", "90ab.key"), "a snapshot")
	write(t, filepath.Join(versions, "other", "2f1c.wasm"), "not asked for")
	name := filepath.Join(t.TempDir(), "saved")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = backup.Write(t.Context(), file, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("s"), states))
		return err
	}, versions, []string{"chat"})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// What was written is what is read, whatever its size.
func TestBackupComesBack(t *testing.T) {
	for _, size := range []int{0, 1, 4 << 20, 9<<20 + 1} {
		b, err := backup.Open(save(t, size))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var states bytes.Buffer
		if err := b.States(&states); err != nil || states.Len() != size {
			t.Errorf("%d bytes of %d: %v", states.Len(), size, err)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "chat", "versions.json"), "[1]")
		undo, err := b.Versions(dir)
		if err != nil {
			t.Fatal(err)
		}
		undo()
		if all := list(t, dir); !slices.Equal(all, []string{"chat", "chat/versions.json"}) {
			t.Errorf("after undo there are %q", all)
		}
		for range 2 { // files that are there already do no harm, and stay
			if undo, err = b.Versions(dir); err != nil {
				t.Fatal(err)
			}
		}
		undo()
		if got, err := os.ReadFile(filepath.Join(dir, "chat", "snapshots", "90ab.key")); string(got) != "a snapshot" {
			t.Errorf("%q, %v", got, err)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "chat", "versions.json")); string(got) != "[1]" {
			t.Errorf("the list of versions is %s", got)
		}
		if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
			t.Error("a plugin came that was not asked for")
		}
		write(t, filepath.Join(dir, "chat", "snapshots", "90ab.key"), "another")
		before := list(t, dir)
		if _, err := b.Versions(dir); err == nil {
			t.Error("another snapshot was written over")
		}
		if after := list(t, dir); !slices.Equal(after, before) {
			t.Errorf("what failed has left %q, and there was %q", after, before)
		}
	}
}

// A file that is cut, or that leads elsewhere, is refused before anything is written.
func TestNoBackup(t *testing.T) {
	whole, err := os.ReadFile(save(t, 5<<20))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "saved")
	for _, n := range []int{0, 100, 600, 4 << 20, len(whole) - 2048} {
		write(t, name, string(whole[:n]))
		if _, err := backup.Open(name); !errors.Is(err, backup.ErrNoBackup) {
			t.Errorf("of %d bytes %d: %v", len(whole), n, err)
		}
	}
	for _, entry := range []string{"versions/../x", "versions/chat/../../x", "/etc/passwd", "versions/chat/a/b/c", "versions/chat/", "versions/Ch at/x", "more/x"} {
		var b bytes.Buffer
		out := tar.NewWriter(&b)
		for _, e := range [][2]string{{"rtd-backup.json", `{"format":1}`}, {entry, "x"}, {"end.json", `{"files":1}`}} {
			if err := out.WriteHeader(&tar.Header{Name: e[0], Mode: 0o600, Size: int64(len(e[1]))}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(out, e[1])
		}
		out.Close()
		write(t, name, b.String())
		if _, err := backup.Open(name); !errors.Is(err, backup.ErrNoBackup) {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// Whatever a file has, opening it does no harm.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(save(f, 10))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "saved")
		write(t, name, string(b))
		if saved, err := backup.Open(name); err == nil {
			dir := t.TempDir()
			_, _ = saved.Versions(filepath.Join(dir, "in"))
			saved.Close()
			if all, _ := os.ReadDir(dir); len(all) > 1 {
				t.Errorf("written beside the folder: %v", all)
			}
		}
	})
}
