package folder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rtd/sandbox/sections"
)

// errMoved says that a file changed while it was read.
var errMoved = errors.New("the file is being written")

// file is the state of one NAME.wasm.
type file struct {
	initial bool

	seen  fs.FileInfo // by the last look; nil: nothing there
	since time.Time   // when it began to look like that
	taken bool        // what was seen has been dealt with
	half  bool        // what was seen is the beginning of a module
	again bool        // it was read so soon after it changed that a look may not tell it from a later change
	ours  bool        // written by a build of ours, and complete therefore

	loaded bool     // the receiver has a version
	sum    [32]byte // of that version
	told   string   // the error last reported, so that it is reported once
}

// lookAtFile moves a file on: changed → quiet → read and passed on, or gone. It returns when to look again.
func (f *Folder) lookAtFile(name string, file *file) time.Duration {
	path := filepath.Join(f.dir, name+".wasm")
	info, err := os.Stat(path) // follows symlinks
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.tell(name, path, &file.told, err)
		return f.poll
	}
	now := time.Now()
	if !same(file.seen, info) {
		// A file that was there before rtd and is older than Quiet need not wait.
		if file.since = now; file.seen == nil && file.initial && f.initial && info.ModTime().Before(now) {
			file.since = info.ModTime()
		}
		file.seen, file.taken, file.half = info, false, false
	}

	wait := f.quiet
	switch {
	case file.taken && file.again:
		wait = coarse
	case file.taken:
		file.ours = false
		return f.poll
	case info == nil:
		wait = 3 * f.quiet
	case info.Size() == 0 && info.Mode().IsRegular():
		return f.poll // somebody has just created it
	case !file.loaded && f.sources[name] != nil && !f.sources[name].compared:
		return f.poll // perhaps it is about to be built
	case file.ours:
		wait = 0
	case file.half:
		wait = 20 * f.quiet
	}
	if rest := wait - now.Sub(file.since); rest > 0 {
		return rest
	}
	if info == nil {
		delete(f.files, name)
		if f.forgetWritten(name) || file.loaded {
			f.deliver(Change{Name: name, File: path, Removed: true})
		}
		return f.poll
	}
	return f.take(name, path, file)
}

// take reads a file that is quiet and passes it on if its content is new.
func (f *Folder) take(name, path string, file *file) time.Duration {
	file.taken, file.ours = true, false // before deliver, during which a notification may undo it
	data, err := readSettled(path, file.seen)
	if errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) {
		file.seen, file.since, file.taken = nil, time.Now(), false
		return f.quiet
	}
	file.again = time.Since(file.since) < coarse
	if err != nil {
		f.tell(name, path, &file.told, err)
		return f.poll
	}
	if unfinished(data) && !file.half {
		file.half, file.taken = true, false
		return f.quiet
	}
	file.told = ""
	sum := sha256.Sum256(data)
	same := file.loaded && sum == file.sum
	known := f.wasWritten(name, sum, same) || same
	file.loaded, file.sum = true, sum
	if known {
		return f.poll
	}
	f.deliver(Change{Name: name, File: path, WASM: data})
	return f.poll
}

// coarse is the longest step of a clock of a file system. A file that is written twice within one looks the
// same to the next look, and only reading it again tells.
const coarse = 2 * time.Second

// unfinished tells whether data is the beginning of a WebAssembly module whose last section goes on: its writer
// has paused.
func unfinished(data []byte) bool {
	if len(data) <= len(sections.Header) { // no section has begun
		return strings.HasPrefix(sections.Header, string(data))
	}
	for _, err := range sections.Of(data) {
		if errors.Is(err, sections.ErrTruncated) {
			return true
		}
	}
	return false
}

// readSettled returns the content of the file at path if the file is the one that a look
// has seen, before and after reading.
func readSettled(path string, seen fs.FileInfo) ([]byte, error) {
	if !seen.Mode().IsRegular() {
		return nil, errors.New("is not a regular file; a plugin is one .wasm file, or a symlink to one")
	}
	if seen.Size() > MaxFileSize {
		return nil, fmt.Errorf("has %d bytes; a plugin may have %d", seen.Size(), MaxFileSize)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unmoved := func() bool {
		info, err := file.Stat()
		return err == nil && same(info, seen)
	}
	if !unmoved() {
		return nil, errMoved
	}
	var data bytes.Buffer
	data.Grow(int(seen.Size()) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(file, seen.Size()+1)); err != nil {
		return nil, err
	}
	if int64(data.Len()) != seen.Size() || !unmoved() {
		return nil, errMoved
	}
	return data.Bytes(), nil
}

// same tells whether two looks saw the same file, unchanged. The mode counts because a
// file that has become readable is a change, too.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode() && os.SameFile(a, b)
}

// tell reports an error unless it is the last one that was reported.
func (f *Folder) tell(name, path string, told *string, err error) {
	if text := err.Error(); *told != text {
		*told = text
		f.deliver(Change{Name: name, File: path, Err: err})
	}
}
