package versions

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"rtd/host/disk"
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
		s.store.pruneSnapshots(s.name, all)
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
	snapshotForm = regexp.MustCompile(`^([0-9a-f]{64})\.[0-9a-f]{32}(\.bad)?$`)
)

// snapshotDir is a folder that nobody else can list: a key is a hash of what may be a secret of few letters.
func (s *Store) snapshotDir(name string) string { return filepath.Join(s.dir, name, "snapshots") }

// pruneSnapshots removes those of versions that are not in the list, but for the latest, which may be of one that is
// about to be deployed; and of each version those that have not been used for longest.
func (s *Store) pruneSnapshots(name string, all []Version) {
	type file struct {
		path string
		when time.Time
	}
	groups := map[string][]file{} // by version, and whether they were set aside; "" are strays
	dir := s.snapshotDir(name)
	disk.Sweep(dir, time.Hour)
	entries, _ := os.ReadDir(dir) // there may be none
	for _, entry := range entries {
		form := snapshotForm.FindStringSubmatch(entry.Name())
		info, err := entry.Info()
		if form == nil || err != nil {
			continue
		}
		group := form[1] + form[2]
		if !slices.ContainsFunc(all, func(v Version) bool { return v.Hash == form[1] }) {
			group = ""
		}
		groups[group] = append(groups[group], file{filepath.Join(dir, entry.Name()), info.ModTime()})
	}
	for group, files := range groups {
		slices.SortFunc(files, func(a, b file) int { return cmp.Or(b.when.Compare(a.when), cmp.Compare(a.path, b.path)) })
		keep := keepSnapshots
		switch {
		case group == "":
			keep = keepStrays
		case len(group) > 64:
			keep = 1
		}
		for n, f := range files {
			if n >= keep || group == "" && time.Since(f.when) > strayAge {
				_ = os.RemoveAll(f.path) // or it takes room
			}
		}
	}
}

// removeSnapshots removes those of a version that is not kept any more.
func (s *Store) removeSnapshots(name, hash string) {
	files, _ := filepath.Glob(filepath.Join(s.snapshotDir(name), hash+".*"))
	for _, file := range files {
		_ = os.RemoveAll(file) // or it takes room
	}
}
