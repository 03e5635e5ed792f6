package channels

import (
	"fmt"
	"strings"
	"sync"
)

// Router finds the plugin that serves a topic. A pattern is a topic, or a prefix
// followed by "*", compared bytewise. An exact pattern wins over a prefix and a
// longer prefix over a shorter one: Phoenix takes the first declared, but plugins
// in a folder have no order among each other. Its methods may be called from any
// goroutine.
type Router struct {
	mu       sync.RWMutex
	exact    map[string]Plugin
	prefixes map[string]Plugin
	longest  int // length in bytes of the longest prefix there ever was
}

// NewRouter returns a router without routes.
func NewRouter() *Router {
	return &Router{exact: map[string]Plugin{}, prefixes: map[string]Plugin{}}
}

// ConflictError says that two plugins claim one pattern.
type ConflictError struct{ Pattern, Owner, Claimant string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("plugins %s and %s both claim topic pattern %q; give one of them other topics in config.toml", e.Owner, e.Claimant, e.Pattern)
}

// Set makes patterns the ones that p serves, in place of those it served. If
// another plugin serves one of them, the error is a [*ConflictError] and nothing
// changes. Channels that are joined stay where they are.
func (r *Router) Set(p Plugin, patterns []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pattern := range patterns {
		routes, key := r.table(pattern)
		if owner := routes[key]; owner != nil && owner != p {
			return &ConflictError{pattern, owner.Name(), p.Name()}
		}
	}
	r.remove(p)
	for _, pattern := range patterns {
		routes, key := r.table(pattern)
		routes[key] = p
		r.longest = max(r.longest, len(key))
	}
	return nil
}

// Remove takes p's patterns away. Channels that p serves stay.
func (r *Router) Remove(p Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(p)
}

// Match returns the plugin that serves a topic, or nil.
func (r *Router) Match(topic string) Plugin {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.exact[topic]; p != nil {
		return p
	}
	for n := min(len(topic), r.longest); n >= 0; n-- {
		if p := r.prefixes[topic[:n]]; p != nil {
			return p
		}
	}
	return nil
}

func (r *Router) remove(p Plugin) {
	for _, routes := range []map[string]Plugin{r.exact, r.prefixes} {
		for key, owner := range routes {
			if owner == p {
				delete(routes, key)
			}
		}
	}
}

func (r *Router) table(pattern string) (routes map[string]Plugin, key string) {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return r.prefixes, prefix
	}
	return r.exact, pattern
}
