package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rtd/sandbox/sections"
)

const (
	// SectionName names the custom section.
	SectionName = "rtd"
	// MaxSize is how many bytes of JSON a manifest may have.
	MaxSize = 64 << 10
)

// Manifest describes a module in its author's words. The zero value says nothing.
type Manifest struct {
	Name    string   `json:"name"`              // the author's name for it; a server calls it like its file
	Version string   `json:"version"`           // for people; a server tells versions apart by their content
	Topics  []string `json:"topics"`            // patterns that the guest declares in its start event
	Durable []string `json:"durable,omitempty"` // patterns of what it declares as durable
	History []string `json:"history,omitempty"` // patterns of topics that it declares a history of
	ABI     string   `json:"abi"`               // the host module that it was built for, see abi.Module
	// Capabilities are requests. A server grants them in its config, or does not load the
	// plugin.
	Capabilities Capabilities `json:"capabilities,omitzero"`
}

// Capabilities reach beyond a plugin's own topics and processes.
type Capabilities struct {
	// Topics are patterns of foreign topics, in which the plugin publishes, to which it
	// subscribes, or where it is present.
	Topics []string `json:"topics,omitempty"`
	// Depends are other plugins, whose processes it calls.
	Depends []string `json:"depends,omitempty"`
	// Connect lets the plugin decide about clients that connect.
	Connect bool `json:"connect,omitempty"`
	// Disconnect lets the plugin end connections by their socket id.
	Disconnect bool `json:"disconnect,omitempty"`
}

// UnmarshalJSON refuses a capability that this version does not know.
func (c *Capabilities) UnmarshalJSON(text []byte) error {
	type plain Capabilities
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(c)); err != nil {
		return fmt.Errorf("read capabilities: %w; a newer rtd may know them", err)
	}
	return nil
}

// IsZero reports whether nothing is asked for.
func (c Capabilities) IsZero() bool {
	return len(c.Topics)+len(c.Depends) == 0 && !c.Connect && !c.Disconnect
}

// Read returns the manifest of a module, or nil if it has none. The module need not be
// valid; its sections are looked through, nothing else.
func Read(wasm []byte) (*Manifest, error) {
	var found []byte
	for section, err := range sections.Of(wasm) {
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		if section.Name != SectionName {
			continue
		}
		if found != nil {
			return nil, errors.New("read manifest: there are two sections " + SectionName + "; write it with rtd build, which replaces it")
		}
		found = section.Content.Rest()
	}
	if found == nil {
		return nil, nil
	}
	if len(found) > MaxSize {
		return nil, fmt.Errorf("read manifest: it has %d bytes, at most %d are allowed", len(found), MaxSize)
	}
	m := &Manifest{}
	if err := json.Unmarshal(found, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return m, nil
}

// Write returns a copy of a module with this manifest, in place of any that it had.
func Write(wasm []byte, m Manifest) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("write manifest: it has %d bytes, at most %d are allowed", len(text), MaxSize)
	}
	out, err := without(wasm, func(custom string) bool { return custom == SectionName })
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return sections.Append(out, sections.Custom, append(sections.AppendName(nil, SectionName), text...)), nil
}

// Strip returns a copy of a module without its custom sections, except those called keep: a
// server does not read the notes of compilers for linkers and debuggers.
func Strip(wasm []byte, keep ...string) ([]byte, error) {
	out, err := without(wasm, func(custom string) bool { return !slices.Contains(keep, custom) })
	if err != nil {
		return nil, fmt.Errorf("strip module: %w", err)
	}
	return out, nil
}

// without returns a copy of a module without some of its custom sections.
func without(wasm []byte, dropped func(custom string) bool) ([]byte, error) {
	out := make([]byte, 0, len(wasm)+512) // with room for a manifest
	out = append(out, sections.Header...)
	for section, err := range sections.Of(wasm) {
		if err != nil {
			return nil, err
		}
		if section.ID != sections.Custom || !dropped(section.Name) {
			out = append(out, section.Whole...)
		}
	}
	return out, nil
}
