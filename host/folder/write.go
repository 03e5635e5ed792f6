package folder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// writes are those of one file by [Folder.Write] that no look has seen yet.
type writes struct {
	sums [][32]byte // in order
	last time.Time
}

// Write puts a file into the folder, in one step, for a receiver that has its content already: no change tells
// of it. Otherwise the news could come when the receiver has other plans. name must be fit for a plugin.
func (f *Folder) Write(name string, wasm []byte) error {
	if !pluginName.MatchString(name) {
		return fmt.Errorf("write plugin file %.80q: %w", name, errName)
	}
	next, err := os.CreateTemp(f.dir, ".write-*") // names with a dot are no plugins
	if err != nil {
		return fmt.Errorf("write plugin file: %w; the plugin folder must be writable", err)
	}
	_, err = next.Write(wasm)
	if err = errors.Join(err, next.Chmod(0o644), next.Sync(), next.Close()); err == nil {
		err = f.place(next.Name(), name, sha256.Sum256(wasm))
	}
	if err != nil {
		return fmt.Errorf("write plugin file: %w", errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}

// place moves a file to its place. No look sees it there without knowing whose it is.
func (f *Folder) place(from, name string, sum [32]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.Rename(from, filepath.Join(f.dir, name+".wasm")); err != nil {
		return err
	}
	w := f.written[name]
	if w == nil {
		w = &writes{}
		f.written[name] = w
	}
	w.sums, w.last = append(w.sums, sum), time.Now()
	return nil
}

// wasWritten reports whether the content of a file is one that was written. Those written before it have been
// replaced unseen; if it is somebody else's, so have all.
func (f *Folder) wasWritten(name string, sum [32]byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written[name]
	if w == nil {
		return false
	}
	i := slices.Index(w.sums, sum)
	w.sums = w.sums[i+1:]
	if i < 0 || len(w.sums) == 0 {
		delete(f.written, name)
	}
	return i >= 0
}

// forgetWritten is for a file that is gone. It reports whether it was written and never seen.
func (f *Folder) forgetWritten(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written[name]
	delete(f.written, name)
	return w != nil
}

// addWritten makes a file that was written one that is looked at, even if it is gone already: the receiver
// has it.
func (f *Folder) addWritten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, w := range f.written {
		if f.files[name] == nil {
			f.files[name] = &file{since: w.last}
		}
	}
}
