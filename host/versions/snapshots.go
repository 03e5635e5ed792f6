package versions

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"rtd/host/disk"
	"rtd/sandbox"
)

const (
	// maxSnapshot bounds a snapshot, in bytes: package sandbox keeps none that are larger.
	maxSnapshot = 64 << 20
	// keepSnapshots is how many of a version are kept: one for each config or limit of memory that it
	// ran under lately. Of those that were set aside, one is.
	keepSnapshots = 3
	// keepStrays is how many are kept of versions that are not in the list, or not yet, and strayAge for how long.
	keepStrays = 2
	strayAge   = time.Hour
)

// ErrNoSnapshot says that no snapshot of a version has a name.
var ErrNoSnapshot = errors.New("no such snapshot is kept")

// Snapshots is where the snapshots of one version of a plugin are, beside its module: what
// [rtd/sandbox.Snapshots] asks for. Its methods may be called from any goroutine.
type Snapshots struct {
	store      *Store
	name, hash string
}

// Snapshots returns the place for those of a version, which may not be in the list yet: a module is loaded before
// it is deployed.
func (s *Store) Snapshots(name, hash string) *Snapshots { return &Snapshots{s, name, hash} }

// Get returns a snapshot, and notes that it was used. The error is [fs.ErrNotExist] if there is none.
// Something else in its place, or a file that is too large, is read as nothing, which is no snapshot either.
func (s *Snapshots) Get(key string) ([]byte, error) {
	file, err := s.file(key)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSnapshot {
		return nil, nil
	}
	snapshot, err := disk.Read(file, maxSnapshot)
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(file, now, now) // or it is taken for one that nobody uses any more
	}
	return snapshot, err
}

// Find returns the snapshot with a name, see [rtd/sandbox.Module.Snapshot], whatever it is of, and notes that it was used. The
// error is [ErrNoSnapshot] if there is none. One that is damaged has its name, as long as that part of it is whole.
func (s *Snapshots) Find(name string) ([]byte, error) {
	if err := check(s.name); err != nil {
		return nil, err
	}
	if !hashForm.MatchString(s.hash) || !hashForm.MatchString(name) {
		return nil, errors.New("expected a version's hash and a snapshot's name")
	}
	var aside string
	for _, f := range s.store.snapshotFiles(s.name) {
		switch {
		case f.version != s.hash || nameIn(f.path) != name:
		case f.aside:
			aside = f.path
		default:
			return s.Get(f.key)
		}
	}
	if aside != "" {
		return nil, fmt.Errorf("%w: it was damaged, and is now %s", ErrNoSnapshot, aside)
	}
	return nil, ErrNoSnapshot
}

// Dir returns the folder in which they are.
func (s *Snapshots) Dir() string { return s.store.snapshotDir(s.name) }

// nameIn returns the name of the snapshot in a file, or "".
func nameIn(path string) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	var head [sandbox.SnapshotHead]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return ""
	}
	name, _ := sandbox.SnapshotName(head[:])
	return name
}

// Put keeps a snapshot, for nobody but the owner of the process to read, and removes those that are too many. The error
// is [fs.ErrExist] if there is one.
func (s *Snapshots) Put(key string, snapshot []byte) error {
	file, err := s.file(key)
	if err != nil {
		return err
	}
	if len(snapshot) > maxSnapshot {
		return fmt.Errorf("%d bytes, at most %d are kept", len(snapshot), maxSnapshot)
	}
	if err := os.MkdirAll(filepath.Join(s.store.dir, s.name), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	prepared, _, err := disk.Prepare(filepath.Dir(file), 0o600, disk.Bytes(snapshot))
	if err != nil {
		return err
	}
	// Whatever the disk took until here, nobody else waited for.
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := disk.PlaceNew(prepared, file); err != nil {
		return err
	}
	if all, err := s.store.read(s.name); err == nil { // else the next change does it
		s.store.pruneSnapshots(s.name, all, s.store.needs(s.name))
	}
	return nil
}

// SetAside moves what is in the place of a snapshot away, and returns where it is now.
func (s *Snapshots) SetAside(key string) (to string, err error) {
	file, err := s.file(key)
	if err != nil {
		return "", err
	}
	return disk.SetAside(file)
}

func (s *Snapshots) file(key string) (string, error) {
	if err := check(s.name); err != nil {
		return "", err
	}
	if !hashForm.MatchString(s.hash) || !keyForm.MatchString(key) {
		return "", errors.New("expected a version's hash and a snapshot's key")
	}
	return filepath.Join(s.store.snapshotDir(s.name), s.hash+"."+key), nil
}

var (
	keyForm      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	snapshotForm = regexp.MustCompile(`^([0-9a-f]{64})\.([0-9a-f]{32})(\.bad)?$`)
)

// snapshotDir is a folder that nobody else can list: a key is a hash of what may be a secret of few letters.
func (s *Store) snapshotDir(name string) string { return filepath.Join(s.dir, name, "snapshots") }

// snapshotFile is one in the folder of a plugin's snapshots.
type snapshotFile struct {
	path, version, key string
	aside              bool // it was set aside
	used               time.Time
}

// snapshotFiles lists them; there may be none.
func (s *Store) snapshotFiles(name string) (files []snapshotFile) {
	dir := s.snapshotDir(name)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		form := snapshotForm.FindStringSubmatch(entry.Name())
		if info, err := entry.Info(); form != nil && err == nil {
			files = append(files, snapshotFile{filepath.Join(dir, entry.Name()), form[1], form[2], form[3] != "", info.ModTime()})
		}
	}
	return files
}

// pruneSnapshots removes those of versions that are not in the list, but for the latest, which may be of one that is
// about to be deployed; and of each version those that have not been used for longest. Those that are needed stay, and do
// not count.
func (s *Store) pruneSnapshots(name string, all []Version, needs needs) {
	disk.Sweep(s.snapshotDir(name), time.Hour)
	groups := map[string][]snapshotFile{} // by version, and whether they were set aside; "" are strays
	for _, f := range s.snapshotFiles(name) {
		group := f.version
		switch {
		case needs.snapshot(f):
			continue
		case !slices.ContainsFunc(all, func(v Version) bool { return v.Hash == f.version }):
			group = ""
		case f.aside:
			group += ".bad"
		}
		groups[group] = append(groups[group], f)
	}
	for group, files := range groups {
		slices.SortFunc(files, func(a, b snapshotFile) int { return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.path, b.path)) })
		keep := keepSnapshots
		switch {
		case group == "":
			keep = keepStrays
		case files[0].aside:
			keep = 1
		}
		for n, f := range files {
			if n >= keep || group == "" && time.Since(f.used) > strayAge {
				_ = os.RemoveAll(f.path) // or it takes room
			}
		}
	}
}

// removeSnapshots removes those of a version that is not kept any more.
func (s *Store) removeSnapshots(name, hash string) {
	for _, f := range s.snapshotFiles(name) {
		if f.version == hash {
			_ = os.RemoveAll(f.path) // or it takes room
		}
	}
}
