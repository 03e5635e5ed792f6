package check

import (
	"encoding/binary"
	"fmt"
	"slices"

	"rtd/sandbox/manifest"
)

// Sections of a module.
const (
	importSection = 2
	exportSection = 7
)

// maxListed bounds the imports and exports that are listed, of each.
const maxListed = 1000

// kinds of imports and exports, by their number, as they are written before a name. Most are functions.
var kinds = []string{"", "table ", "memory ", "global "}

// listEntries reads the imports and exports of a module, each with its kind if it is no function. It takes no module for granted.
func listEntries(wasm []byte) (imports, exports []string, err error) {
	for s, err := range manifest.Sections(wasm) {
		if err != nil {
			return nil, nil, err
		}
		r := reader{s.Content}
		switch s.ID {
		case importSection:
			for range min(r.number(), maxListed) {
				module, name := r.text(), r.text()
				imports = append(imports, r.kind()+module+"."+name)
				if r.rest == nil {
					break
				}
				r.number() // its type; other kinds than functions are refused by the sandbox
			}
		case exportSection:
			for range min(r.number(), maxListed) {
				name := r.text()
				exports = append(exports, r.kind()+name)
				r.number()
				if r.rest == nil {
					break
				}
			}
		}
	}
	slices.Sort(imports)
	slices.Sort(exports)
	return slices.Compact(imports), exports, nil
}

// reader reads a section. At its end it has nothing but zeros, and rest is nil.
type reader struct{ rest []byte }

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest[:min(len(r.rest), 5)])
	if size <= 0 {
		r.rest = nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest = nil
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) kind() string {
	kind := r.number()
	if kind >= uint64(len(kinds)) {
		return fmt.Sprintf("kind %d ", kind)
	}
	return kinds[kind]
}
