package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rtd/sandbox/manifest"
)

// Words of [Settings].Allows.
const (
	allowConnect    = "connect"
	allowDisconnect = "disconnect"
)

// UngrantedError says that a plugin asks for more than its settings grant it.
type UngrantedError struct {
	Plugin string
	Asks   []string // what is not granted, such as "topics audit:*"
	Lines  []string // of config.toml, that would grant it: the header of the table, and its keys
}

// Error is one line that has all of Lines.
func (e *UngrantedError) Error() string {
	return fmt.Sprintf("it asks for more than it is granted: %s; to grant that, set in %s of config.toml: %s",
		strings.Join(e.Asks, ", "), e.Lines[0], strings.Join(e.Lines[1:], "; "))
}

// checkCapabilities compares the capabilities that a release asks for with its settings,
// and with its declarations. A module without a manifest asks for the capabilities that
// it declares: its own topics and processes are granted, all others only if the settings
// have them.
func (r *Release) checkCapabilities(plugin string) error {
	m, err := manifest.Read(r.WASM)
	if err != nil {
		return err
	}
	asks := r.declaredCapabilities()
	if m != nil {
		if asks = m.Capabilities; !asks.Connect && r.WantsConnect {
			return errors.New("it wants connect, and its manifest does not say so: set connect = true in [capabilities] of its rtd.toml, and build again")
		}
		for _, name := range r.Depends {
			if !slices.Contains(asks.Depends, name) && !slices.Contains(r.Settings.Depends, name) {
				return fmt.Errorf("it depends on %s, and its manifest does not say so: add it to depends in [capabilities] of its rtd.toml, and build again", name)
			}
		}
	}
	r.hasManifest, r.disconnects = m != nil, asks.Disconnect
	e := &UngrantedError{Plugin: plugin, Lines: []string{"[plugin." + plugin + "]"}}
	e.need("grants", "topics ", asks.Topics, r.Settings.Grants, func(topic string) bool {
		return covers(r.Topics, topic) || covers(r.Settings.Grants, topic)
	})
	e.need("depends", "the plugin ", asks.Depends, r.Settings.Depends, func(name string) bool {
		return slices.Contains(r.Settings.Depends, name)
	})
	var words []string
	if asks.Connect {
		words = append(words, allowConnect)
	}
	if asks.Disconnect {
		words = append(words, allowDisconnect)
	}
	e.need("allows", "to ", words, r.Settings.Allows, func(word string) bool { return slices.Contains(r.Settings.Allows, word) })
	if len(e.Asks) == 0 {
		return nil
	}
	return e
}

// declaredCapabilities returns the capabilities of a module without a manifest. No module
// can declare that it disconnects clients: it may if its settings say so.
func (r *Release) declaredCapabilities() manifest.Capabilities {
	return manifest.Capabilities{
		Depends:    r.Depends,
		Connect:    r.WantsConnect,
		Disconnect: slices.Contains(r.Settings.Allows, allowDisconnect),
	}
}

// MayDisconnect says whether a guest may end connections. The first denial is a line in
// the log, as the guest gets no reason.
func (r *Release) MayDisconnect(plugin, process string) bool {
	if r.disconnects {
		return true
	}
	if !r.denied.Swap(true) {
		var then []string
		if r.hasManifest {
			then = append(then, "set disconnect = true in [capabilities] of its rtd.toml, and build again")
		}
		var e UngrantedError
		e.need("allows", "to ", []string{allowDisconnect}, r.Settings.Allows, func(word string) bool { return slices.Contains(r.Settings.Allows, word) })
		for _, line := range e.Lines {
			then = append(then, "set in [plugin."+plugin+"] of config.toml: "+line)
		}
		r.Module.Log().Warn("disconnect denied", "process", process,
			"cause", "the plugin is not granted to disconnect clients", "then", strings.Join(then, "; "))
	}
	return false
}

// need notes the entries of asked that are not granted, and the line of config that
// grants them besides those it has.
func (e *UngrantedError) need(key, kind string, asked, has []string, granted func(string) bool) {
	list := slices.Clone(has)
	for _, want := range asked {
		if !granted(want) {
			e.Asks = append(e.Asks, kind+want)
			list = append(list, want)
		}
	}
	if len(list) == len(has) {
		return
	}
	quoted := make([]string, len(list))
	for i, entry := range list {
		quoted[i] = fmt.Sprintf("%q", entry)
	}
	e.Lines = append(e.Lines, key+" = ["+strings.Join(quoted, ", ")+"]")
}

// covers says whether all topics of a pattern match others.
func covers(patterns []string, pattern string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == pattern || open && strings.HasPrefix(strings.TrimSuffix(pattern, "*"), prefix)
	})
}
