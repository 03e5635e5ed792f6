package sdk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/sdk"
)

// What a project gets is what lies here, without tests, and nothing that a build leaves.
func TestCopy(t *testing.T) {
	for language, want := range map[string]string{
		"go": "entry_wasip1.go", "rust": "src/lib.rs", "as": "assembly/index.ts", "c": "rtd.h",
	} {
		dir := filepath.Join(t.TempDir(), "rtd")
		if err := sdk.Copy(language, dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, want)); err != nil {
			t.Error(err)
		}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			copied, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			original, err := os.ReadFile(filepath.Join(language, name))
			if err != nil {
				return err
			}
			if string(copied) != string(original) {
				t.Errorf("%s/%s is not what lies here", language, name)
			}
			for _, part := range []string{"_test.go", "node_modules", "target/", "suite/"} {
				if strings.Contains(name, part) {
					t.Errorf("%s got %s", language, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := sdk.Copy(language, dir); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second copy: %v, want fs.ErrExist", err)
		}
		if room, err := sdk.Room(language); err != nil || !strings.Contains(string(room), "room:*") {
			t.Errorf("Room(%s) = %q, %v", language, room, err)
		}
	}
	if err := sdk.Copy("cobol", t.TempDir()); err == nil || !strings.Contains(err.Error(), "go, rust, as, c") {
		t.Errorf("Copy of an unknown language: %v", err)
	}
}
