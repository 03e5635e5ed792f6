package release

import (
	"fmt"
	"strings"

	"rtd/host/durable"
	"rtd/sandbox/abi"
)

// Durable says whether an actor is remembered: the handler of a topic that the release serves, or the process with a name.
func (r *Release) Durable(kind durable.Kind, name string) bool { return matches(r.durable[kind], name) }

// AnyDurable says whether any actor can be.
func (r *Release) AnyDurable() bool { return len(r.durable) > 0 }

// DurableNames returns the names of processes that are declared durable one by one. Whether there are such processes only time can tell: guests
// may spawn them.
func (r *Release) DurableNames() (names []string) {
	for _, pattern := range r.durable[durable.Process] {
		if !strings.HasSuffix(pattern, "*") {
			names = append(names, pattern)
		}
	}
	return names
}

// remember notes a durable pattern.
func (r *Release) remember(pattern string) {
	kind := durable.Topic
	if name, ok := strings.CutPrefix(pattern, abi.DurableProcesses); ok {
		kind, pattern = durable.Process, name
	}
	if r.durable == nil {
		r.durable = map[durable.Kind][]string{}
	}
	r.durable[kind] = append(r.durable[kind], pattern)
}

// checkDurable returns an error if a pattern promises what cannot be: there are no such topics, or some have a
// handler for each join, of which nothing is kept.
func (r *Release) checkDurable(plugin string) error {
	for _, pattern := range r.durable[durable.Topic] {
		serves := false
		for _, served := range r.Topics {
			both, ok := meet(pattern, served)
			serves = serves || ok
			if ok && !r.oneHandler(both) {
				return fmt.Errorf("topics %q are durable, and those of %q have a handler for each join, of which nothing can be kept: "+
					`set scope = "topic" in [plugin.%s] of config.toml, declare them with one handler for each topic, or do not declare them durable`, pattern, both, plugin)
			}
		}
		if !serves {
			return fmt.Errorf("topics %q are durable, and it serves none of them, but %q: change topics or durable in [plugin.%s] of config.toml, or the declarations of the module",
				pattern, r.Topics, plugin)
		}
	}
	return nil
}

// oneHandler says whether every topic of a pattern has one handler.
func (r *Release) oneHandler(pattern string) bool {
	switch r.Settings.Scope {
	case abi.ScopeTopic:
		return true
	case abi.ScopeJoin:
		return false
	}
	return covers(r.perTopic, pattern)
}

// meet returns the pattern of the topics that two patterns have in common.
func meet(p, q string) (both string, ok bool) {
	if covers([]string{p}, q) {
		return q, true
	}
	return p, covers([]string{q}, p)
}
