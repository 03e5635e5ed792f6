package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"rtd/host/folder"
	"rtd/host/plugin"
	"rtd/host/versions"
)

// byFolder is who deploys what lies in the plugin folder.
const byFolder = "folder"

// auto as a folder in the config is a place in the plugin folder.
const auto = "auto"

// openVersions returns where versions are kept; nil if they are not.
func (s *Server) openVersions() *versions.Store {
	switch dir := s.config.Plugins.Versions; dir {
	case "":
		return nil
	case auto:
		return versions.Open(filepath.Join(s.config.Plugins.Dir, ".rtd", "versions"), versions.Options{})
	default:
		return versions.Open(dir, versions.Options{})
	}
}

var errNoVersions = errors.New("no versions are kept; set versions in [plugins] of config.toml, and start rtd again")

// Versions returns the kept versions of a plugin, the latest deploy first. It may be
// called from any goroutine.
func (s *Server) Versions(name string) ([]versions.Version, error) {
	if s.versions == nil {
		return nil, errNoVersions
	}
	return s.versions.List(name)
}

// Deploy deploys a module as the plugin folder would, in the name of by, and then
// writes it there, so that the next start finds it. The error is [plugin.ErrUnchanged]
// if it runs already; after any other all is as before. It returns the version's ID. It
// may be called from any goroutine, and waits for other deploys.
func (s *Server) Deploy(ctx context.Context, name string, wasm []byte, by string) (version string, err error) {
	if !versions.ValidName(name) {
		return "", fmt.Errorf("deploy plugin %.80q: expected a name of 1 to 64 of a-z, 0-9, _ and -", name)
	}
	if len(wasm) > folder.MaxFileSize {
		return "", fmt.Errorf("deploy plugin %s: it has %d bytes, at most %d are allowed", name, len(wasm), folder.MaxFileSize)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	version = idOf(wasm)
	start := time.Now()
	err = s.plugins.Deploy(ctx, name, wasm, s.settings(name))
	if err != nil && !errors.Is(err, plugin.ErrUnchanged) {
		s.counts.deployErrors.Add(1)
		return "", fmt.Errorf("deploy plugin %s: %w", name, err)
	}
	delete(s.refused, name)
	if writing := s.writePlugin(name, wasm); writing != nil {
		s.log.Warn("plugin runs, but the next start will not find it", "plugin", name, "version", version, "cause", writing)
	}
	if err != nil {
		return version, err
	}
	s.deployed(name, wasm, by, false, start)
	for s.deployWaiting(ctx) {
	}
	return version, nil
}

// writePlugin puts a module into the plugin folder, which then does not tell of it: what
// has become of the plugin until then would be undone. It expects s.changing to be held.
func (s *Server) writePlugin(name string, wasm []byte) error {
	if s.folder == nil {
		return errors.New("the plugin folder is not open yet")
	}
	return s.folder.Write(name, wasm)
}

// deployed counts and logs what was deployed, and keeps it, unless it is known as the
// latest version already.
func (s *Server) deployed(name string, wasm []byte, by string, known bool, since time.Time) {
	s.counts.deploys.Add(1)
	if id := idOf(wasm); s.plugins.Version(name) == id { // else it is a canary, and was logged
		s.log.Info("plugin deployed", "plugin", name, "version", id, "by", by, "topics", s.plugins.Topics(name),
			"took", time.Since(since).Round(time.Millisecond))
	}
	if !known {
		s.keep(name, wasm, by)
	}
}

// keep notes that a version was deployed.
func (s *Server) keep(name string, wasm []byte, by string) {
	if s.versions == nil {
		return
	}
	if _, err := s.versions.Put(name, wasm, by, time.Now()); err != nil {
		s.log.Warn("version not kept, there will be no way back to it", "plugin", name, "version", idOf(wasm), "cause", err)
	}
}

// Rollback makes a kept version of a plugin current again: the latest one before the
// current that was not rolled back itself, or the one whose hash begins with to. The
// version that ran is marked, so that later rollbacks pass over it; so is a canary, which
// alone ends if there is one and to is empty. The plugin folder is left alone. It returns
// the ID of the version that runs now. It may be called from any goroutine.
func (s *Server) Rollback(ctx context.Context, name, to, by string) (version string, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	from := s.plugins.Hash(name)
	if from == "" {
		return "", fmt.Errorf("roll back plugin %s: there is no such plugin", name)
	}
	if canary := s.plugins.EndCanary(name); canary != "" {
		s.rolledBack(name, canary, from, "admin", by)
		if to == "" {
			return s.plugins.Version(name), nil
		}
	}
	v, wasm, err := s.wayBack(name, from, to)
	if err != nil {
		return "", fmt.Errorf("roll back plugin %s: %w", name, err)
	}
	settings := s.settings(name)
	settings.Rollout = plugin.Rollout{} // at once, for all
	if err := s.plugins.Deploy(ctx, name, wasm, settings); err != nil {
		return "", fmt.Errorf("roll back plugin %s to version %s: %w", name, v.ID(), err)
	}
	s.rolledBack(name, from, v.Hash, "admin", by)
	s.keep(name, wasm, "rollback by "+by)
	return v.ID(), nil
}

// wayBack finds what to go back to.
func (s *Server) wayBack(name, from, to string) (v versions.Version, wasm []byte, err error) {
	if s.versions == nil {
		return v, nil, errNoVersions
	}
	if to == "" {
		v, err = s.versions.Previous(name, from)
	} else {
		v, err = s.versions.Find(name, to)
	}
	if err != nil {
		return v, nil, err
	}
	wasm, err = s.versions.Get(name, v.Hash)
	return v, wasm, err
}

// rolledBack counts, logs and notes that a version was rolled back by somebody.
func (s *Server) rolledBack(name, from, to, cause, by string) {
	s.counts.rollbacks.add(rollback{name, cause})
	s.log.Warn("plugin rolled back", "plugin", name, "version", from[:12], "to", to[:12], "by", by)
	s.withdraw(name, from, "rolled back by "+by)
}

func (s *Server) withdraw(name, hash, why string) {
	if s.versions == nil {
		return
	}
	if err := s.versions.Withdraw(name, hash, why); err != nil {
		s.log.Warn("version not marked as rolled back, the next start may deploy it", "plugin", name, "version", hash[:12], "cause", err)
	}
}

// withdrawn notes that a version was rolled back because it crashed.
func (s *Server) withdrawn(w plugin.Withdrawal) {
	if w.Err != nil {
		return // it runs on
	}
	s.counts.rollbacks.add(rollback{w.Plugin, w.Cause})
	s.withdraw(w.Plugin, w.Hash, "rolled back: "+w.Cause)
	if s.versions == nil {
		return
	}
	if wasm, err := s.versions.Get(w.Plugin, w.BackHash); err == nil { // else it was not kept, which has been logged
		s.keep(w.Plugin, wasm, "rollback")
	}
}

// rollback is what is counted of one.
type rollback struct{ plugin, cause string }

// remembered returns what is to be deployed in place of a file that lay in the folder at
// the start: the version before, if the file's was rolled back. known says that the
// latest version kept is this one.
func (s *Server) remembered(name string, wasm []byte) (deploy []byte, known bool) {
	if s.versions == nil {
		return wasm, false
	}
	all, err := s.versions.List(name)
	if err != nil {
		s.log.Warn("versions cannot be read", "plugin", name, "cause", err)
		return wasm, false
	}
	hash := hashOf(wasm)
	for i, v := range all {
		if v.Hash != hash {
			continue
		}
		if v.Withdrawn == "" {
			return wasm, i == 0
		}
		back, module, err := s.wayBack(name, hash, "")
		if err != nil {
			return wasm, false // there is nothing better
		}
		s.log.Warn("the file holds a version that was rolled back; the one before it is deployed until the file changes",
			"plugin", name, "version", v.ID(), "withdrawn", v.Withdrawn, "to", back.ID())
		return module, back.Hash == all[0].Hash
	}
	return wasm, false
}

func hashOf(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}

func idOf(wasm []byte) string { return hashOf(wasm)[:12] }
