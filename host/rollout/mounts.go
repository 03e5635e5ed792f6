package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"rtd/host/release"
)

// Mount is a place where clients connect.
type Mount struct {
	Name    string
	Plugins []string // whose topics can be joined there; none: those of all
	// Connect is the plugin that is asked about clients; "": the plugin that wants to be
	// asked, if it is alone there. On a mount that several plugins share the config has
	// to name one.
	Connect string
}

// UndecidedError says that a plugin cannot be deployed, because the config does not say
// whose connect decides about the clients of a mount that it would share with others.
type UndecidedError struct {
	Mounts []UndecidedMount
	Lines  []string // of config.toml, that would decide: headers of tables, each with a key
}

// UndecidedMount is a mount that several plugins would share.
type UndecidedMount struct {
	Name   string
	Wants  []string // plugins that want connect
	Others []string // all that share it
}

// Error is one line that has all of Lines.
func (e *UndecidedError) Error() string {
	var parts []string
	for i, m := range e.Mounts {
		others := slices.DeleteFunc(slices.Clone(m.Others), func(name string) bool { return len(m.Wants) == 1 && name == m.Wants[0] })
		verb := "wants"
		if len(m.Wants) > 1 {
			verb = "want"
		}
		parts = append(parts, fmt.Sprintf("%s %s connect on the socket mount %s, which is also that of %s; to say whose decides there, set in %s of config.toml: %s",
			strings.Join(m.Wants, " and "), verb, m.Name, strings.Join(others, ", "), e.Lines[2*i], e.Lines[2*i+1]))
	}
	return strings.Join(parts, "; ")
}

// mounts knows the plugins of each mount, so that one plugin's connect does not decide
// about the clients of others unless the config says so.
type mounts struct {
	mu      sync.Mutex
	all     []Mount
	tenants map[string]tenant // by name
}

// tenant has the properties of a plugin that matter to others on the same mount. During a
// change it has both the old and the new ones.
type tenant struct {
	topics  bool // it has some
	connect bool // it wants to be asked
}

func tenantOf(r *release.Release) tenant { return tenant{len(r.Topics) > 0, r.WantsConnect} }

func (t tenant) or(u tenant) tenant { return tenant{t.topics || u.topics, t.connect || u.connect} }

// Mount says where clients connect, in place of one mount called socket, of all plugins.
// The error is an [*UndecidedError] if running plugins would share a mount and the config
// does not say who decides; then all is as before.
func (s *Set) Mount(all []Mount) error {
	m := &s.mounts
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.all
	m.all = slices.Clone(all)
	err := m.undecided("")
	if err != nil {
		m.all = before
	}
	return err
}

// enter makes room for a plugin's next release besides the one that runs, if there is
// one. The caller calls settle or leave after it.
func (m *mounts) enter(name string, t tenant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.tenants[name]
	m.tenants[name] = before.or(t)
	err := m.undecided(name)
	if err == nil {
		return nil
	}
	if known {
		m.tenants[name] = before
	} else {
		delete(m.tenants, name)
	}
	return err
}

// settle sets the plugin's present properties.
func (m *mounts) settle(name string, t tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tenants[name] = t
}

func (m *mounts) leave(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tenants, name)
}

// undecided checks the mounts of a plugin that is about to enter; with "", all mounts.
// Callers hold mu.
func (m *mounts) undecided(enters string) error {
	var e UndecidedError
	for _, mount := range m.all {
		if mount.Connect != "" || enters != "" && !mount.has(enters) {
			continue
		}
		wants, sharing := []string{}, map[string]bool{}
		for _, name := range mount.Plugins {
			sharing[name] = true // there or not yet
		}
		for name, t := range m.tenants {
			if !mount.has(name) {
				continue
			}
			if t.connect {
				wants = append(wants, name)
			}
			if t.connect || t.topics {
				sharing[name] = true
			}
		}
		if len(wants) == 0 || len(sharing) == 1 {
			continue
		}
		slices.Sort(wants)
		decides := wants[0]
		if i := slices.IndexFunc(wants, func(name string) bool { return name != enters }); i >= 0 {
			decides = wants[i] // as it does already
		}
		e.Mounts = append(e.Mounts, UndecidedMount{mount.Name, wants, slices.Sorted(maps.Keys(sharing))})
		e.Lines = append(e.Lines, "[socket."+mount.Name+"]", fmt.Sprintf("connect = %q", decides))
	}
	if e.Mounts == nil {
		return nil
	}
	return &e
}

func (m Mount) has(plugin string) bool {
	return len(m.Plugins) == 0 || slices.Contains(m.Plugins, plugin)
}

// Connector returns which plugin is to be asked about the clients of a mount, or "" if none.
func (s *Set) Connector(mount string) string {
	s.mounts.mu.Lock()
	i := slices.IndexFunc(s.mounts.all, func(m Mount) bool { return m.Name == mount })
	var m Mount
	if i >= 0 {
		m = s.mounts.all[i]
	}
	s.mounts.mu.Unlock()
	if i < 0 || m.Connect != "" {
		return m.Connect
	}
	for _, pl := range s.list() {
		if m.has(pl.Name()) && pl.Release().WantsConnect {
			return pl.Name() // the only one there
		}
	}
	return ""
}

// Connects returns the mounts where a plugin is asked about clients.
func (s *Set) Connects(plugin string) (names []string) {
	s.mounts.mu.Lock()
	all := s.mounts.all
	s.mounts.mu.Unlock()
	for _, m := range all {
		if plugin == s.Connector(m.Name) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}
