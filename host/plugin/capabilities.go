package plugin

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

// checkCapabilities compares what a release asks for in its manifest with what its settings grant,
// and with what it has declared. One without a manifest asks for nothing, and is as free as
// plugins were before there were manifests.
func (r *release) checkCapabilities(plugin string) error {
	m, err := manifest.Read(r.wasm)
	if err != nil || m == nil {
		return err
	}
	asks := m.Capabilities
	r.keepsConnections = !asks.Disconnect
	for _, name := range r.depends {
		if !slices.Contains(asks.Depends, name) && !slices.Contains(r.settings.Depends, name) {
			return fmt.Errorf("it depends on %s, and its manifest does not say so: add it to depends in [capabilities] of its rtd.toml, and build again", name)
		}
	}
	if r.wantsConnect && !asks.Connect {
		return errors.New("it wants connect, and its manifest does not say so: set connect = true in [capabilities] of its rtd.toml, and build again")
	}
	e := &UngrantedError{Plugin: plugin, Lines: []string{"[plugin." + plugin + "]"}}
	e.need("grants", "topics ", asks.Topics, r.settings.Grants, func(topic string) bool {
		return covers(r.topics, topic) || covers(r.settings.Grants, topic)
	})
	e.need("depends", "the plugin ", asks.Depends, r.settings.Depends, func(name string) bool {
		return slices.Contains(r.settings.Depends, name)
	})
	var words []string
	if asks.Connect {
		words = append(words, allowConnect)
	}
	if asks.Disconnect {
		words = append(words, allowDisconnect)
	}
	e.need("allows", "to ", words, r.settings.Allows, func(word string) bool { return slices.Contains(r.settings.Allows, word) })
	if len(e.Asks) == 0 {
		return nil
	}
	return e
}

// need notes what of asked is not granted, and the line of config that grants it beside what it has.
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

// covers says whether all topics of a pattern are among those of others.
func covers(patterns []string, pattern string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == pattern || open && strings.HasPrefix(strings.TrimSuffix(pattern, "*"), prefix)
	})
}
