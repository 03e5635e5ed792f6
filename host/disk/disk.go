package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// bad ends the names of files that were set aside.
const bad = ".bad"

// Read returns the content of a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, err
}

// Replace writes a file in one step: Prepare and Place. It returns its size.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) (size int64, err error) {
	prepared, size, err := Prepare(filepath.Dir(path), mode, write)
	if err != nil {
		return 0, err
	}
	return size, Place(prepared, path)
}

// ReplaceLater is Replace for a file of which others need not wait for the disk: it comes there when
// the system finds the time, some ten seconds later. If the power fails before, the file may be the old
// one, the new one, or cut. A process that ends leaves the new one.
func ReplaceLater(path string, mode fs.FileMode, write func(io.Writer) error) (size int64, err error) {
	prepared, size, err := prepare(filepath.Dir(path), mode, write, func(*os.File) error { return nil })
	if err != nil {
		return 0, err
	}
	if err := os.Rename(prepared, path); err != nil {
		return 0, errors.Join(err, os.Remove(prepared))
	}
	return size, nil
}

// Bytes returns a function for Replace that writes content which is in memory.
func Bytes(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// Prepare writes a file in a folder under another name, down to the disk. After an error
// there is no file.
func Prepare(dir string, mode fs.FileMode, write func(io.Writer) error) (prepared string, size int64, err error) {
	return prepare(dir, mode, write, (*os.File).Sync)
}

func prepare(dir string, mode fs.FileMode, write func(io.Writer) error, sync func(*os.File) error) (prepared string, size int64, err error) {
	f, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return "", 0, err
	}
	err = write(f)
	if info, failed := f.Stat(); failed == nil {
		size = info.Size()
	}
	if err = errors.Join(err, f.Chmod(mode), sync(f), f.Close()); err != nil {
		return "", 0, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), size, nil
}

// Sync brings a file down to the disk that another program has written.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Place gives a prepared file its name, in place of the file that has it. After an error
// the prepared file is gone.
func Place(prepared, path string) error {
	if err := os.Rename(prepared, path); err != nil {
		return errors.Join(err, os.Remove(prepared))
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// PlaceNew is Place where nothing may be replaced: the error is [fs.ErrExist] if something has that name, also if
// another process gave it just now.
func PlaceNew(prepared, path string) error {
	err := os.Link(prepared, path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // the file system may have no links
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return Place(prepared, path)
		}
	}
	if err = errors.Join(err, os.Remove(prepared)); err == nil {
		syncFolder(filepath.Dir(path))
	}
	return err
}

// syncFolder brings the names in a folder down to the disk, where the system can do that
// for folders. Where it cannot, the name comes there in its own time.
func syncFolder(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	_ = f.Sync()
}

// SetAside moves a file or folder out of the way, to PATH.bad, and returns that path. A
// former PATH.bad is removed.
func SetAside(path string) (to string, err error) {
	to = path + bad
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.Rename(path, to); err != nil {
		return "", err
	}
	syncFolder(filepath.Dir(path))
	return to, nil
}

// Sweep deletes the files that were being written in a folder when a process died. Files
// younger than age stay: they may still be being written.
func Sweep(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir) // who writes there will notice
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), unfinished) && time.Since(info.ModTime()) > age {
			_ = os.Remove(filepath.Join(dir, entry.Name())) // the next start tries again
		}
	}
}
