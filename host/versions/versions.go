package versions

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is one version of a plugin.
type Version struct {
	Hash      string    `json:"hash"`                // SHA-256 of the module, 64 hexadecimal digits
	Size      int64     `json:"size"`                // of the module, in bytes
	When      time.Time `json:"when"`                // it was deployed last
	By        string    `json:"by"`                  // who did that
	Withdrawn string    `json:"withdrawn,omitempty"` // why it was rolled back, if it was
}

// ID is the short name of the version, by which logs and metrics call it: the first 12
// digits of its hash.
func (v Version) ID() string { return v.Hash[:min(len(v.Hash), 12)] }

// Options say how much to keep. Zero means the default.
type Options struct {
	Keep    int   // versions of each plugin; default 10
	MaxSize int64 // of a module, in bytes; default 64 MiB
}

// Store is a folder with versions. Its methods may be called from any goroutine.
type Store struct {
	dir string
	o   Options
	mu  sync.Mutex // held while files are read or written
}

// Errors that callers can tell apart.
var (
	ErrUnknown    = errors.New("no such version is kept")
	ErrNoPrevious = errors.New("no version before it is kept")
	ErrDamaged    = errors.New("the kept module is damaged")
)

// maxIndex bounds a versions.json, in bytes: each entry takes some hundreds.
const maxIndex = 256 << 10

// maxBy bounds texts that others give, in bytes.
const maxBy = 200

// Open returns the store in a folder, which is made when something is put there.
func Open(dir string, o Options) *Store {
	o.Keep = cmp.Or(max(o.Keep, 0), 10)
	o.MaxSize = cmp.Or(max(o.MaxSize, 0), 64<<20)
	return &Store{dir: dir, o: o}
}

// Put keeps a module that was deployed, as the latest version of the plugin, and
// forgets the oldest if there are too many. A version that is there already gets
// another date, and is not withdrawn any more.
func (s *Store) Put(name string, wasm []byte, by string, when time.Time) (Version, error) {
	if int64(len(wasm)) > s.o.MaxSize {
		return Version{}, fmt.Errorf("keep version of %s: %d bytes, at most %d are kept", name, len(wasm), s.o.MaxSize)
	}
	hash := sha256.Sum256(wasm)
	v := Version{Hash: hex.EncodeToString(hash[:]), Size: int64(len(wasm)), When: when.UTC(), By: text(by)}
	err := s.change(name, func(all []Version) ([]Version, error) {
		if err := s.keep(name, v, wasm); err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(old Version) bool { return old.Hash == v.Hash })
		return slices.Insert(all, 0, v), nil
	})
	if err != nil {
		return Version{}, fmt.Errorf("keep version of %s: %w", name, err)
	}
	return v, nil
}

// Withdraw notes that a version was rolled back and why, so that Previous passes over
// it. A version that is not kept is ignored.
func (s *Store) Withdraw(name, hash, why string) error {
	err := s.change(name, func(all []Version) ([]Version, error) {
		for i := range all {
			if all[i].Hash == hash {
				all[i].Withdrawn = cmp.Or(text(why), "rolled back")
			}
		}
		return all, nil
	})
	if err != nil {
		return fmt.Errorf("withdraw version of %s: %w", name, err)
	}
	return nil
}

// List returns the versions of a plugin, the latest first. There may be none.
func (s *Store) List(name string) ([]Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(name)
}

// Find returns the version whose hash begins with some digits, at least six of
// them. The error is [ErrUnknown], or says that there are several.
func (s *Store) Find(name, prefix string) (Version, error) {
	if len(prefix) < 6 {
		return Version{}, fmt.Errorf("find version %.80q of %s: say at least 6 digits of its hash", prefix, name)
	}
	all, err := s.List(name)
	if err != nil {
		return Version{}, err
	}
	var found []Version
	for _, v := range all {
		if strings.HasPrefix(v.Hash, strings.ToLower(prefix)) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return Version{}, fmt.Errorf("find version %.80q of %s: %w; it has %s", prefix, name, ErrUnknown, ids(all))
	case 1:
		return found[0], nil
	}
	return Version{}, fmt.Errorf("find version %.80q of %s: it may be one of %s, say more digits", prefix, name, ids(found))
}

// Previous returns the latest version that is neither the one with this hash nor
// withdrawn. The error is [ErrNoPrevious] if there is none.
func (s *Store) Previous(name, hash string) (Version, error) {
	all, err := s.List(name)
	if err != nil {
		return Version{}, err
	}
	for _, v := range all {
		if v.Hash != hash && v.Withdrawn == "" {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("go back from version %.12s of %s: %w", hash, name, ErrNoPrevious)
}

// Get returns a module. It fails with [ErrUnknown] if it is not kept, and with
// [ErrDamaged] if it is not what was put there.
func (s *Store) Get(name, hash string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wasm, err := s.load(name, hash)
	if err != nil {
		return nil, fmt.Errorf("get version %.12s of %s: %w", hash, name, err)
	}
	return wasm, nil
}

func (s *Store) load(name, hash string) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	if !hashForm.MatchString(hash) {
		return nil, ErrUnknown
	}
	wasm, err := readFile(s.moduleFile(name, hash), s.o.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(wasm); hex.EncodeToString(sum[:]) != hash {
		return nil, ErrDamaged
	}
	return wasm, nil
}

// change reads the list, lets f make another, and writes that, without what is too
// much.
func (s *Store) change(name string, f func([]Version) ([]Version, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.read(name)
	if err != nil {
		return err
	}
	if all, err = f(all); err != nil {
		return err
	}
	if all == nil {
		return nil
	}
	list, err := json.MarshalIndent(all[:min(len(all), s.o.Keep)], "", "\t")
	if err != nil {
		return err
	}
	if err := write(s.indexFile(name), list); err != nil {
		return err
	}
	for _, v := range all[min(len(all), s.o.Keep):] {
		_ = os.Remove(s.moduleFile(name, v.Hash)) // or it takes room, and nobody finds it
	}
	return nil
}

// read returns the list. Entries that nobody can have written are left out.
func (s *Store) read(name string) ([]Version, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	data, err := readFile(s.indexFile(name), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Version
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read versions: %w; remove %s to begin anew", err, filepath.Dir(s.indexFile(name)))
	}
	known := map[string]bool{}
	return slices.DeleteFunc(all, func(v Version) bool {
		bad := !hashForm.MatchString(v.Hash) || known[v.Hash]
		known[v.Hash] = true
		return bad
	}), nil
}

// keep writes a module, unless it is there.
func (s *Store) keep(name string, v Version, wasm []byte) error {
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		return err
	}
	if _, err := s.load(name, v.Hash); err == nil {
		return nil
	}
	return write(s.moduleFile(name, v.Hash), wasm)
}

func (s *Store) indexFile(name string) string { return filepath.Join(s.dir, name, "versions.json") }

func (s *Store) moduleFile(name, hash string) string {
	return filepath.Join(s.dir, name, hash+".wasm")
}

var (
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	nameForm = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`) // as package folder has it
)

// ValidName reports whether a plugin can be called that.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// check keeps names from leading out of the folder.
func check(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%.80q is no name of a plugin", name)
	}
	return nil
}

// text bounds what others say, on one line.
func text(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > maxBy {
		s = strings.ToValidUTF8(s[:maxBy], "")
	}
	return s
}

func ids(all []Version) string {
	if len(all) == 0 {
		return "none"
	}
	list := make([]string, len(all))
	for i, v := range all {
		list[i] = v.ID()
	}
	return strings.Join(list, ", ")
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
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

// write replaces a file in one step, so that no reader sees half of it, and no crash
// leaves half of it.
func write(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // it is of no use
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
