package folder

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"rtd/host/disk"
	"rtd/host/names"
)

// writes are the contents of one file by [Folder.Write] that no look has seen yet.
type writes struct {
	sums [][32]byte // in order
	last time.Time
}

// Write puts a file into the folder, in one step, for a receiver that has its content
// already: no change reports it. Otherwise the change could come after the receiver has
// deployed something else. name must be the name of a plugin.
func (f *Folder) Write(name string, wasm []byte) error {
	if err := names.Check(name); err != nil {
		return fmt.Errorf("write plugin file: the name %w", err)
	}
	next, _, err := disk.Prepare(f.dir, 0o644, disk.Bytes(wasm)) // its name begins with a dot: no plugin
	if err != nil {
		return fmt.Errorf("write plugin file: %w; the plugin folder must be writable", err)
	}
	if err := f.place(next, name, sha256.Sum256(wasm)); err != nil {
		return fmt.Errorf("write plugin file: %w", err)
	}
	return nil
}

// place moves a file to its place. No look sees it there without knowing whose it is.
func (f *Folder) place(from, name string, sum [32]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := disk.Place(from, filepath.Join(f.dir, name+".wasm")); err != nil {
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

// wasWritten reports whether the content of a file was written by Write. All contents
// written before it have been replaced unseen; all of them, if it was not. But content that is
// the same as before may have been read just before a Write, which the next look sees.
func (f *Folder) wasWritten(name string, sum [32]byte, same bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written[name]
	if w == nil {
		return false
	}
	i := slices.Index(w.sums, sum)
	if i < 0 && same {
		return false
	}
	w.sums = w.sums[i+1:]
	if i < 0 || len(w.sums) == 0 {
		delete(f.written, name)
	}
	return i >= 0
}

// forgetWritten is called for a file that is gone. It reports whether the file was
// written by Write and never seen.
func (f *Folder) forgetWritten(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written[name]
	delete(f.written, name)
	return w != nil
}

// addWritten has files looked at that were written by Write, even if they are gone
// already: the receiver has them.
func (f *Folder) addWritten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, w := range f.written {
		if f.files[name] == nil {
			f.files[name] = &file{since: w.last}
		}
	}
}
