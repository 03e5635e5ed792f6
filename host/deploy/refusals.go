package deploy

import (
	"context"
	"maps"
	"slices"
	"sync"

	"rtd/host/folder"
)

// Refusal is a change that could not be made. It may be possible later.
type Refusal struct {
	folder.Change
	Waits []string // for these plugins only; nil if for something else
	Cause error
}

// refusals are the latest changes that could not be made, by plugin. They change in the
// order of each plugin.
type refusals struct {
	mu     sync.Mutex
	byName map[string]*Refusal
}

func (r *refusals) refuse(c folder.Change, waits []string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]*Refusal{}
	}
	r.byName[c.Name] = &Refusal{c, waits, cause}
}

func (r *refusals) accept(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byName, name)
}

func (r *refusals) has(name string, which *Refusal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byName[name] == which
}

// waits says that a plugin will be deployed when others run.
func (r *refusals) waits(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused := r.byName[name]
	return refused != nil && refused.Waits != nil
}

// all returns them by the names of their plugins.
func (r *refusals) all() (list []*Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		list = append(list, r.byName[name])
	}
	return list
}

// Refusals returns what could not be deployed, by the names of the plugins.
func (d *Deployer) Refusals() []*Refusal { return d.refusals.all() }

// deployWaiting deploys plugins that waited for others which run now, until there are no
// more. A function that makes a plugin run, or wait, calls it afterwards: so none is overlooked.
func (d *Deployer) deployWaiting(ctx context.Context) {
	for deployed := true; deployed; {
		deployed = false
		for _, r := range d.refusals.all() {
			if r.Waits == nil || slices.ContainsFunc(r.Waits, func(name string) bool { return !d.plugins.Runs(name) }) {
				continue
			}
			if d.change(ctx, r.Change, r) {
				deployed = true
			}
		}
	}
}

// Retry deploys again what could not be deployed: the topics that it claims
// may be free by now, or its table is another.
func (d *Deployer) Retry(ctx context.Context) {
	for _, r := range d.refusals.all() {
		d.change(ctx, r.Change, r)
	}
}
