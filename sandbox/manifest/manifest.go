package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

const (
	// SectionName names the custom section.
	SectionName = "rtd"
	// MaxSize is how many bytes of JSON a manifest may have.
	MaxSize = 64 << 10
)

// Manifest is what a module says of itself. The zero value says nothing.
type Manifest struct {
	Name    string   `json:"name"`    // what its author calls it; a server calls it like its file
	Version string   `json:"version"` // for people; a server tells versions apart by their content
	Topics  []string `json:"topics"`  // patterns that the guest declares in its start event
	ABI     string   `json:"abi"`     // the host module that it was built for, see abi.Module
	// Capabilities are what it asks for. A server grants them in its config, or does not
	// load the plugin.
	Capabilities Capabilities `json:"capabilities,omitzero"`
}

// Capabilities are what a plugin may do beyond its own topics and processes.
type Capabilities struct {
	// Topics are patterns of topics that are not its own, in which it publishes, to which it
	// subscribes, or where it is present.
	Topics []string `json:"topics,omitempty"`
	// Depends are other plugins, whose processes it calls.
	Depends []string `json:"depends,omitempty"`
	// Connect is to be asked about clients that connect.
	Connect bool `json:"connect,omitempty"`
	// Disconnect is to end connections by their socket id.
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
	for section, err := range Sections(wasm) {
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		if section.Custom != SectionName {
			continue
		}
		if found != nil {
			return nil, errors.New("read manifest: there are two sections " + SectionName + "; write it with rtd build, which replaces it")
		}
		found = section.Content
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
	content := append(binary.AppendUvarint(nil, uint64(len(SectionName))), SectionName...)
	content = append(content, text...)
	out = append(out, customSection)
	out = binary.AppendUvarint(out, uint64(len(content)))
	return append(out, content...), nil
}

// Strip returns a copy of a module without its custom sections but those called keep: what
// compilers write down for linkers and debuggers no server reads.
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
	out = append(out, header...)
	for section, err := range Sections(wasm) {
		if err != nil {
			return nil, err
		}
		if section.ID != customSection || !dropped(section.Custom) {
			out = append(out, section.all...)
		}
	}
	return out, nil
}

// Section is one section of a module. It aliases the module.
type Section struct {
	ID      byte
	Custom  string // the name of a custom section, whose ID is 0
	Content []byte // of a custom section, what follows its name
	all     []byte // with ID and length
}

const (
	customSection = 0
	headerSize    = 8
)

var (
	header       = []byte("\x00asm\x01\x00\x00\x00")
	errTruncated = errors.New("the module is truncated")
)

// Sections goes through a module's sections in their order. An error comes last. It
// allocates nothing that a length in the module asks for.
func Sections(wasm []byte) iter.Seq2[Section, error] {
	return func(yield func(Section, error) bool) {
		if !bytes.HasPrefix(wasm, header) {
			yield(Section{}, errors.New("it is no core WebAssembly module: it does not begin with \\0asm and version 1"))
			return
		}
		for rest := wasm[headerSize:]; len(rest) > 0; {
			content, after, ok := cut(rest[1:])
			if !ok {
				yield(Section{}, errTruncated)
				return
			}
			s := Section{ID: rest[0], Content: content, all: rest[:len(rest)-len(after)]}
			if s.ID == customSection {
				name, inside, ok := cut(content)
				if !ok {
					yield(Section{}, errTruncated)
					return
				}
				s.Custom, s.Content = string(name), inside
			}
			if !yield(s, nil) {
				return
			}
			rest = after
		}
	}
}

// cut takes bytes with their length before them, a LEB128 of 32 bits, off b.
func cut(b []byte) (content, rest []byte, ok bool) {
	n, size := binary.Uvarint(b[:min(len(b), 5)])
	if size <= 0 || n > math.MaxUint32 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n:n], b[n:], true
}
