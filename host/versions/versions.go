package versions

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rtd/host/disk"
	"rtd/host/names"
)

// Version is one version of a plugin.
type Version struct {
	Hash      string    `json:"hash"`                // SHA-256 of the module, 64 hexadecimal digits
	Size      int64     `json:"size"`                // of the module, in bytes
	When      time.Time `json:"when"`                // it was deployed last
	By        string    `json:"by"`                  // who did that
	Withdrawn string    `json:"withdrawn,omitempty"` // why it was rolled back, if it was
}

// ID returns the short name of the version in logs and metrics: the first 12 digits of
// its hash.
func (v Version) ID() string { return v.Hash[:min(len(v.Hash), 12)] }

// Options say how much to keep. Zero means the default.
type Options struct {
	Keep    int   // versions of each plugin; default 10
	MaxSize int64 // of a module, in bytes; default 64 MiB
	// ReadOnly changes nothing in the folder, for programs that do not own it.
	ReadOnly bool
	Log      *slog.Logger // of what was damaged; default: none
}

// Store is a folder with versions. Its methods may be called from any goroutine.
type Store struct {
	dir string
	o   Options
	mu  sync.Mutex // held while files are read or written

	needed func(plugin string) (list []Need, known bool) // nil: nothing is
}

// Errors that callers can tell apart.
var (
	ErrUnknown    = errors.New("no such version is kept")
	ErrNoPrevious = errors.New("no version before it is kept")
	ErrDamaged    = errors.New("the kept module is damaged")
)

// maxIndex bounds a versions.json, in bytes: each entry takes some hundreds, and there are as many as are needed.
const maxIndex = 1 << 20

// maxBy bounds the texts of callers, in bytes.
const maxBy = 200

// Open returns the store in a folder, which the first Put makes.
func Open(dir string, o Options) *Store {
	o.Keep = cmp.Or(max(o.Keep, 0), 10)
	o.MaxSize = cmp.Or(max(o.MaxSize, 0), 64<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{dir: dir, o: o}
}

// Put keeps a module that was deployed, as the latest version of the plugin, and
// forgets the oldest if there are too many, except those that are [Store.Needed]. A version that is there already gets
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
// it. One whose module is not kept is noted too.
func (s *Store) Withdraw(name, hash, why string) error {
	mark := func(all []Version) ([]Version, error) {
		if !hashForm.MatchString(hash) {
			return nil, ErrUnknown
		}
		i := slices.IndexFunc(all, func(v Version) bool { return v.Hash == hash })
		if i < 0 {
			all, i = slices.Insert(all, 0, Version{Hash: hash, When: time.Now().UTC()}), 0
		}
		all[i].Withdrawn = cmp.Or(text(why), "rolled back")
		return all, nil
	}
	err := s.change(name, mark)
	if err != nil && hashForm.MatchString(hash) {
		for _, module := range s.spare(name, hash) { // the disk may be full: that it is bad matters more
			if os.Remove(module) != nil {
				continue
			}
			if err = s.change(name, mark); err == nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("withdraw version of %s: %w", name, err)
	}
	return nil
}

// spare returns the files of modules that are not needed, the least needed first: of the
// bad version, of others that are withdrawn, and of the oldest, except for the latest
// two and those that states need.
func (s *Store) spare(name, hash string) (files []string) {
	all, err := s.List(name)
	if err != nil {
		return nil
	}
	files = append(files, s.moduleFile(name, hash))
	needs := s.needs(name)
	files = slices.DeleteFunc(files, func(string) bool { return needs.version(hash) })
	var good []string
	for _, v := range all {
		switch {
		case v.Hash == hash || needs.version(v.Hash):
		case v.Withdrawn != "":
			files = append(files, s.moduleFile(name, v.Hash))
		default:
			good = append(good, s.moduleFile(name, v.Hash))
		}
	}
	good = good[min(len(good), 2):]
	slices.Reverse(good)
	return append(files, good...)
}

// Hold keeps a module that is about to be deployed, so that it is there before a state names it. Put has to follow: else
// the next change removes the module, unless it is needed by then. From now on the plugin is one that has states.
func (s *Store) Hold(name string, wasm []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := check(name)
	if err == nil && int64(len(wasm)) > s.o.MaxSize {
		err = fmt.Errorf("%d bytes, at most %d are kept", len(wasm), s.o.MaxSize)
	}
	if err == nil {
		hash := sha256.Sum256(wasm)
		err = s.keep(name, Version{Hash: hex.EncodeToString(hash[:])}, wasm)
	}
	if _, none := os.Lstat(s.heldFile(name)); err == nil && none != nil {
		_, err = disk.Replace(s.heldFile(name), 0o644, disk.Bytes(nil))
	}
	if err != nil {
		return fmt.Errorf("keep module of %s: %w", name, err)
	}
	return nil
}

// File returns where the module of a version is, if it is kept.
func (s *Store) File(name, hash string) string { return s.moduleFile(name, hash) }

// Restore takes back a Withdraw. A version that is not kept is ignored.
func (s *Store) Restore(name, hash string) error {
	err := s.change(name, func(all []Version) ([]Version, error) {
		for i := range all {
			if all[i].Hash == hash {
				all[i].Withdrawn = ""
			}
		}
		return all, nil
	})
	if err != nil {
		return fmt.Errorf("restore version of %s: %w", name, err)
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

// Previous returns the latest version, with its module, that is neither the one with this
// hash nor withdrawn. One whose module is gone or damaged is passed over. The error is
// [ErrNoPrevious] if there is none.
func (s *Store) Previous(name, hash string) (v Version, wasm []byte, err error) {
	all, err := s.List(name)
	if err != nil {
		return v, nil, err
	}
	var damaged error
	for _, v := range all {
		if v.Hash == hash || v.Withdrawn != "" {
			continue
		}
		wasm, err := s.Get(name, v.Hash)
		if err == nil {
			return v, wasm, nil
		}
		damaged = errors.Join(damaged, err)
	}
	return v, nil, errors.Join(fmt.Errorf("go back from version %.12s of %s: %w", hash, name, ErrNoPrevious), damaged)
}

// Get returns a module. It fails with [ErrUnknown] if the module is not kept, and with
// [ErrDamaged] if its content has changed.
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
	wasm, err := disk.Read(s.moduleFile(name, hash), s.o.MaxSize)
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

// change reads the list, lets f make another, and writes that, without the entries that
// are too many.
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
	needs := s.needs(name)
	kept := 0
	all = slices.DeleteFunc(all, func(v Version) bool {
		kept++
		return kept > s.o.Keep && !needs.version(v.Hash)
	})
	list, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		return err
	}
	if _, err := disk.Replace(s.indexFile(name), 0o644, disk.Bytes(list)); err != nil {
		return err
	}
	s.prune(name, all, needs)
	return nil
}

// prune removes the modules that are not in the list: those that it has become too long
// for, and those whose Put ended before the list was written; none that is needed.
func (s *Store) prune(name string, all []Version, needs needs) {
	disk.Sweep(filepath.Join(s.dir, name), time.Hour)
	for _, hash := range s.modules(name) {
		if !needs.version(hash) && !slices.ContainsFunc(all, func(v Version) bool { return v.Hash == hash }) {
			_ = os.Remove(s.moduleFile(name, hash)) // or it takes room, and nobody finds it
			s.removeSnapshots(name, hash)
		}
	}
	s.pruneSnapshots(name, all, needs)
}

// modules returns the hashes of the modules that are there, the latest written first.
func (s *Store) modules(name string) (hashes []string) {
	entries, _ := os.ReadDir(filepath.Join(s.dir, name)) // there may be none
	when := map[string]time.Time{}
	for _, entry := range entries {
		hash, isModule := strings.CutSuffix(entry.Name(), ".wasm")
		if info, err := entry.Info(); isModule && hashForm.MatchString(hash) && err == nil && info.Mode().IsRegular() {
			hashes = append(hashes, hash)
			when[hash] = info.ModTime()
		}
	}
	slices.SortFunc(hashes, func(a, b string) int { return cmp.Or(when[b].Compare(when[a]), cmp.Compare(a, b)) })
	return hashes
}

// read returns the list. Invalid entries are left out. A damaged list is set aside: the
// new one has its readable entries, and the modules that it does not name any more.
func (s *Store) read(name string) ([]Version, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	data, err := disk.Read(s.indexFile(name), maxIndex)
	if errors.Is(err, fs.ErrNotExist) && !isElse(filepath.Join(s.dir, name)) {
		return nil, nil
	}
	all, damaged := parse(data)
	if err == nil && damaged == nil {
		return all, nil
	}
	for _, hash := range s.modules(name) {
		if !slices.ContainsFunc(all, func(v Version) bool { return v.Hash == hash }) {
			info, err := os.Stat(s.moduleFile(name, hash))
			if err == nil {
				all = append(all, Version{Hash: hash, Size: info.Size(), When: info.ModTime().UTC(), By: "found"})
			}
		}
	}
	return all, s.setAside(name, all, cmp.Or(err, damaged))
}

// isElse reports whether something is at a path that is no folder.
func isElse(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && !info.IsDir()
}

// parse reads a list, as far as it goes.
func parse(data []byte) (all []Version, err error) {
	known := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.New("it is no list")
	}
	for d.More() {
		var v Version
		if err := d.Decode(&v); err != nil {
			return all, fmt.Errorf("after %d versions: %w", len(all), err)
		}
		if hashForm.MatchString(v.Hash) && !known[v.Hash] {
			all = append(all, v)
		}
		known[v.Hash] = true
	}
	_, err = d.Token()
	return all, err
}

// setAside moves a damaged list out of the way, and writes the readable entries anew.
func (s *Store) setAside(name string, left []Version, cause error) error {
	if s.o.ReadOnly {
		return nil
	}
	file := s.indexFile(name)
	if dir := filepath.Dir(file); isElse(dir) {
		file = dir
	}
	to, err := disk.SetAside(file)
	if err != nil {
		return fmt.Errorf("read versions: %w; it cannot be set aside either: %w; remove %s to begin anew", cause, err, inTheWay(file))
	}
	list, err := json.MarshalIndent(append([]Version{}, left...), "", "\t")
	if err == nil {
		err = os.MkdirAll(filepath.Join(s.dir, name), 0o755)
	}
	if err == nil {
		_, err = disk.Replace(s.indexFile(name), 0o644, disk.Bytes(list))
	}
	if err != nil {
		return fmt.Errorf("write versions anew: %w", err)
	}
	s.o.Log.Warn("the list of versions is damaged and was set aside; whether others were rolled back is not known",
		"plugin", name, "cause", cause, "file", to, "left", len(left))
	return nil
}

// inTheWay returns the file, or the file that stands where one of the folders above it
// should be.
func inTheWay(file string) string {
	for path := filepath.Dir(file); path != filepath.Dir(path); path = filepath.Dir(path) {
		if info, err := os.Stat(path); err == nil {
			if !info.IsDir() {
				return path
			}
			break
		}
	}
	return file
}

// keep writes a module, unless it is there.
func (s *Store) keep(name string, v Version, wasm []byte) error {
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		return err
	}
	if _, err := s.load(name, v.Hash); err == nil {
		return nil
	}
	file := s.moduleFile(name, v.Hash)
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		if _, err := disk.SetAside(file); err != nil {
			return err
		}
	}
	_, err := disk.Replace(file, 0o644, disk.Bytes(wasm))
	return err
}

func (s *Store) indexFile(name string) string { return filepath.Join(s.dir, name, "versions.json") }

func (s *Store) moduleFile(name, hash string) string {
	return filepath.Join(s.dir, name, hash+".wasm")
}

var hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check keeps names from leading out of the folder.
func check(name string) error {
	if err := names.Check(name); err != nil {
		return fmt.Errorf("the plugin's name %w", err)
	}
	return nil
}

// text makes one line of a caller's text, and bounds it.
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
