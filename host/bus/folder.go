package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	"rtd/host/disk"
)

// Names in the folder of the embedded server.
const (
	formatName = "format.json"
	lockName   = "lock"
	probeName  = "probe"
	alone      = "alone"   // what a server without others stores; one in a cluster would delete it
	marks      = "damaged" // a file for each stream that must not be used
	cleanName  = "clean"   // is there from a proper end to the next start
)

// folderFormat is the version of all that is in the folder. Another one has another number.
const folderFormat = 1

type format struct {
	Format int    `json:"format"`
	Server string `json:"server"` // that wrote it last
}

// folder is the place of the embedded server, which no other process has.
type folder struct {
	dir    string
	lock   *os.File
	stores os.FileInfo // of what the server stores in; nil before it has begun
}

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	f := &folder{dir: dir, lock: lock}
	if err := f.checkFormat(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *folder) close() error { return f.lock.Close() }

// errRemoved says that what is written would go to files that nobody will find again.
var errRemoved = errors.New("the folder was removed while the server used it, or is another one; put it back, or start rtd again")

// there returns an error if the folder, or what the server stores in, is not the one that was opened.
func (f *folder) there() error {
	lock, err := f.lock.Stat()
	if err != nil {
		return fmt.Errorf("look at folder: %w", err)
	}
	if !still(filepath.Join(f.dir, lockName), lock) || f.stores != nil && !still(filepath.Join(f.dir, alone), f.stores) {
		return errRemoved
	}
	return nil
}

// still reports whether there is the same file or folder as before at a path.
func still(path string, before os.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(before, now)
}

// checkFormat refuses a folder that this program does not know, and marks a new one.
func (f *folder) checkFormat() error {
	path := filepath.Join(f.dir, formatName)
	data, err := disk.Read(path, 4<<10)
	found := format{Format: folderFormat}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(f.dir, alone)); err == nil {
			return fmt.Errorf("%w: %s is missing; put it back, or use another folder", ErrUnfit, path)
		}
	case err != nil:
		return fmt.Errorf("read format: %w", err)
	default:
		if json.Unmarshal(data, &found) != nil || found.Format < 1 {
			return fmt.Errorf("%w: %s is no format file; put the right one back, or use another folder", ErrUnfit, path)
		}
	}
	if found.Format > folderFormat {
		return fmt.Errorf("%w: %s has format %d, and this rtd knows up to %d; use the rtd that wrote it, or a later one", ErrUnfit, f.dir, found.Format, folderFormat)
	}
	now := format{folderFormat, server.VERSION}
	if err == nil && found == now {
		return nil
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if _, err := disk.Replace(path, 0o600, disk.Bytes(append(text, '\n'))); err != nil {
		return fmt.Errorf("write format: %w", err)
	}
	return nil
}

// probeSize is how many bytes must find room for the server to be started: a record, and what goes with it.
const probeSize = 256 << 10

// probe tells whether the folder can be written.
func (f *folder) probe() error {
	path := filepath.Join(f.dir, probeName)
	_, err := disk.Replace(path, 0o600, disk.Bytes(make([]byte, probeSize)))
	if err != nil {
		return fmt.Errorf("write to folder: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("write to folder: %w", err)
	}
	return nil
}

func (f *folder) mark(name, text string) error {
	dir := filepath.Join(f.dir, marks)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("note damage: %w", err)
	}
	path := filepath.Join(dir, name)
	if _, err := disk.Replace(path, 0o600, disk.Bytes([]byte(text))); err != nil {
		return fmt.Errorf("note damage: %w", err)
	}
	return nil
}
