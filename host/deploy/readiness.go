package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"rtd/host/folder"
	"rtd/host/names"
)

// readiness is what /readyz tells besides what runs: which plugins have not come that
// are to come, and which could not be made.
type readiness struct {
	mu      sync.Mutex
	awaited map[string]bool          // that are not decided yet
	decided chan struct{}            // closed when none are
	unmade  map[string]folder.Change // with Err: not built, or not readable, by plugin name
}

func newReadiness(awaited []string) *readiness {
	r := &readiness{awaited: map[string]bool{}, decided: make(chan struct{}), unmade: map[string]folder.Change{}}
	for _, name := range awaited {
		r.awaited[name] = true
	}
	if len(r.awaited) == 0 {
		close(r.decided)
	}
	return r
}

// decide notes what a change of the folder has come to: it was deployed or refused, or has Err.
func (r *readiness) decide(c folder.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Err == nil {
		delete(r.unmade, c.Name)
	} else if names.Check(c.Name) == nil { // else it is the file of no plugin
		r.unmade[c.Name] = c
	}
	if r.awaited[c.Name] {
		if delete(r.awaited, c.Name); len(r.awaited) == 0 {
			close(r.decided)
		}
	}
}

// notMade returns the plugins of the folder that could not be made.
func (r *readiness) notMade() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, c := range r.unmade {
		if _, err := os.Lstat(c.File); errors.Is(err, fs.ErrNotExist) {
			delete(r.unmade, name) // nobody wants it any more
			continue
		}
		names = append(names, name)
	}
	return names
}

// NotBuilt says that a plugin of [Options].Awaits will not come for now, and why. The file is
// what it could not be built from. It may be called at any time, also about others.
func (d *Deployer) NotBuilt(name, file string, err error) {
	d.readiness.decide(folder.Change{Name: name, File: file, Err: err})
}

// NotReady returns why clients should not come, a line for each reason; none if they
// should: every plugin of the folder runs, be it in an earlier version.
func (d *Deployer) NotReady() (reasons []string) {
	why := map[string]string{}
	for _, name := range d.readiness.notMade() {
		why[name] = "not built, or not readable"
	}
	for _, r := range d.refusals.all() {
		if why[r.Name] = "refused"; r.Waits != nil {
			why[r.Name] = "waits for " + strings.Join(r.Waits, ", ")
		}
	}
	for _, name := range d.plugins.Names() {
		why[name] = "failed" // unless it runs
	}
	for name, state := range why {
		if !d.plugins.Runs(name) {
			reasons = append(reasons, fmt.Sprintf("plugin %s does not run: %s", name, state))
		}
	}
	slices.Sort(reasons)
	return reasons
}
