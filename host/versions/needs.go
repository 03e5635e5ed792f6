package versions

import (
	"os"
	"path/filepath"
	"slices"
)

// Need is a version, by its hash, and the name of a snapshot of it, which a state was written with: without them the state
// is of no use.
type Need struct{ Version, Snapshot string }

// Needed has the store ask what is needed of a plugin, before it removes anything: that stays, whatever comes and
// however much there is. While that is not known (known is false) nothing is removed of a plugin of which a module was ever held, see
// [Store.Hold]. The function may be called from any goroutine, with the store locked: it must not call the store. Needed is
// called before the store is used.
func (s *Store) Needed(f func(plugin string) (list []Need, known bool)) { s.needed = f }

// needs are those of a plugin; nil if nothing is known of them.
type needs []Need

func (s *Store) needs(name string) needs {
	if s.needed == nil {
		return needs{}
	}
	list, known := s.needed(name)
	if _, err := os.Lstat(s.heldFile(name)); !known && err == nil {
		return nil
	}
	return append(needs{}, list...)
}

// heldFile is there if states of the plugin may name versions and snapshots.
func (s *Store) heldFile(name string) string { return filepath.Join(s.dir, name, "states") }

// version says whether a version must stay.
func (n needs) version(hash string) bool {
	return n == nil || slices.ContainsFunc(n, func(need Need) bool { return need.Version == hash })
}

// snapshot says whether one must stay. One that was set aside is needed by nobody.
func (n needs) snapshot(f snapshotFile) bool {
	return n == nil || !f.aside && n.version(f.version) && slices.Contains(n, Need{f.version, nameIn(f.path)})
}
