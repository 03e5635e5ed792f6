package channels

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Router finds the plugin that serves a topic. A pattern is a topic, or a prefix followed
// by "*", compared bytewise. An exact pattern wins over a prefix, and a longer prefix over
// a shorter one. Its methods may be called from any goroutine.
//
// A topic has one owner, which also serves it except while the plugin starts or ends. While it starts,
// or waits to start, joins are answered "unavailable". A
// plugin owns its topics before the first join can come, so that its processes subscribe
// to them as they begin. It owns them until its last handler has gone, so that no other
// plugin hears the last words of that.
//
// Why does the longest prefix win, and not the first pattern declared, as in Phoenix?
// Plugins come as files in a folder. Which one was declared first would depend on their
// names, or on the order of copying. For the same reason two plugins cannot share a
// pattern.
//
// Why does the router know owners at all? A plugin may use its own topics everywhere, and
// those of others nowhere. If each plugin were asked for its patterns, one with "*" could
// read along in the topics of all others.
type Router struct {
	// Around, if given, is called for each change of owners, with the next ones, and
	// must call use, which puts them in force. So a host can take away from the
	// former owner its listeners and presences ([Hub.Suspend],
	// presence.Tracker.Suspend) before the new one can say anything there. It is
	// called with the router locked. Set it before the first change.
	Around func(next *Owners, use func())

	mu     sync.Mutex // for changes
	served atomic.Pointer[Owners]
	owned  atomic.Pointer[Owners]
	coming atomic.Pointer[Owners] // topics that were claimed, and are to be served
}

// NewRouter returns a router without routes.
func NewRouter() *Router {
	r := &Router{}
	r.served.Store(&Owners{})
	r.owned.Store(&Owners{})
	r.coming.Store(&Owners{})
	return r
}

// ConflictError says that two plugins claim one pattern.
type ConflictError struct{ Pattern, Owner, Claimant string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("plugins %s and %s both claim topic pattern %q; give one of them other topics in config.toml", e.Owner, e.Claimant, e.Pattern)
}

// Claim makes p the owner of the topics of patterns, in place of those it owned, before it
// serves them. The topics that it serves stay as they are. Errors are those of Set.
func (r *Router) Claim(p Plugin, patterns []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.claim(p, patterns); err != nil {
		return err
	}
	r.coming.Store(r.coming.Load().with(p, patterns))
	return nil
}

// Set has p own and serve the topics of patterns, in place of those it served. If
// another plugin owns one of them, the error is a [*ConflictError] and nothing
// changes. Channels that are joined stay where they are.
func (r *Router) Set(p Plugin, patterns []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.claim(p, patterns); err != nil {
		return err
	}
	r.serve(p, patterns)
	return nil
}

// Close takes p's patterns away from joins. It owns them still. Channels that p
// serves stay.
func (r *Router) Close(p Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve(p, nil)
}

// Remove takes p's patterns away. Channels that p serves stay.
func (r *Router) Remove(p Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve(p, nil)
	_ = r.claim(p, nil) // nothing that could be another's
}

// Match returns the plugin that serves a topic, or nil.
func (r *Router) Match(topic string) Plugin { return r.served.Load().Of(topic) }

// Coming returns the plugin that has claimed a topic and does not serve it yet, or nil.
func (r *Router) Coming(topic string) Plugin { return r.coming.Load().Of(topic) }

// Owner returns the plugin that owns a topic, or nil.
func (r *Router) Owner(topic string) Plugin { return r.owned.Load().Of(topic) }

// Owners returns the owners of all topics now.
func (r *Router) Owners() *Owners { return r.owned.Load() }

// serve has p serve the topics of patterns and no others, now and later. Callers hold mu.
func (r *Router) serve(p Plugin, patterns []string) {
	if now := r.coming.Load(); !now.has(p, nil) {
		r.coming.Store(now.with(p, nil))
	}
	if now := r.served.Load(); !now.has(p, patterns) {
		r.served.Store(now.with(p, patterns))
	}
}

// claim has p own the topics of patterns and no others. Callers hold mu.
func (r *Router) claim(p Plugin, patterns []string) error {
	now := r.owned.Load()
	if err := now.conflict(p, patterns); err != nil {
		return err
	}
	if now.has(p, patterns) {
		return nil
	}
	next := now.with(p, patterns)
	use := func() { r.owned.Store(next) }
	if r.Around == nil {
		use()
		return nil
	}
	r.Around(next, use)
	return nil
}

// Owners are the plugins of all topics. A value does not change.
type Owners struct {
	exact    map[string]Plugin
	prefixes map[string]Plugin
	lengths  []int // in bytes, of the prefixes, the longest first
}

// Of returns the plugin that has a topic, or nil.
func (o *Owners) Of(topic string) Plugin {
	if p := o.exact[topic]; p != nil {
		return p
	}
	for _, n := range o.lengths {
		if n > len(topic) {
			continue
		}
		if p := o.prefixes[topic[:n]]; p != nil {
			return p
		}
	}
	return nil
}

// any reports whether f is true of a plugin.
func (o *Owners) any(f func(p Plugin) bool) bool {
	for _, routes := range []map[string]Plugin{o.exact, o.prefixes} {
		for _, p := range routes {
			if f(p) {
				return true
			}
		}
	}
	return false
}

// conflict says whether another plugin has one of the patterns.
func (o *Owners) conflict(p Plugin, patterns []string) error {
	for _, pattern := range patterns {
		routes, key := o.table(pattern)
		if owner := routes[key]; owner != nil && owner != p {
			return &ConflictError{pattern, owner.Name(), p.Name()}
		}
	}
	return nil
}

// has says whether these are the patterns of p, no more and no less.
func (o *Owners) has(p Plugin, patterns []string) bool {
	different := map[string]bool{}
	for _, pattern := range patterns {
		if routes, key := o.table(pattern); routes[key] != p {
			return false
		}
		different[pattern] = true
	}
	n := 0
	for _, routes := range []map[string]Plugin{o.exact, o.prefixes} {
		for _, owner := range routes {
			if owner == p {
				n++
			}
		}
	}
	return n == len(different)
}

// with returns owners of whom p has these patterns and no others.
func (o *Owners) with(p Plugin, patterns []string) *Owners {
	others := func(_ string, owner Plugin) bool { return owner == p }
	next := &Owners{exact: map[string]Plugin{}, prefixes: map[string]Plugin{}}
	maps.Copy(next.exact, o.exact)
	maps.Copy(next.prefixes, o.prefixes)
	maps.DeleteFunc(next.exact, others)
	maps.DeleteFunc(next.prefixes, others)
	for _, pattern := range patterns {
		routes, key := next.table(pattern)
		routes[key] = p
	}
	for prefix := range next.prefixes {
		if !slices.Contains(next.lengths, len(prefix)) {
			next.lengths = append(next.lengths, len(prefix))
		}
	}
	slices.SortFunc(next.lengths, func(a, b int) int { return b - a })
	return next
}

func (o *Owners) table(pattern string) (routes map[string]Plugin, key string) {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return o.prefixes, prefix
	}
	return o.exact, pattern
}
