package check

import (
	"fmt"
	"slices"

	"rtd/sandbox/sections"
)

// maxListed bounds the imports and exports that are listed, of each.
const maxListed = 1000

// kinds of imports and exports, by their number, as they are written before a name. Most are functions.
var kinds = []string{"", "table ", "memory ", "global "}

// listEntries reads the imports and exports of a module, each with its kind if it is no function. It takes no module
// for granted: of a section that is damaged it lists what comes before the damage, and leaves the error to the sandbox.
func listEntries(wasm []byte) (imports, exports []string, err error) {
	for s, err := range sections.Of(wasm) {
		if err != nil {
			return nil, nil, err
		}
		r := s.Content
		switch s.ID {
		case sections.Import:
			for range min(r.Count(), maxListed) {
				module, name := r.Name(), r.Name()
				entry := kind(&r) + module + "." + name
				r.U32() // its type; other kinds than functions are refused by the sandbox
				if r.Err != nil {
					break
				}
				imports = append(imports, entry)
			}
		case sections.Export:
			for range min(r.Count(), maxListed) {
				name := r.Name()
				entry := kind(&r) + name
				r.U32()
				if r.Err != nil {
					break
				}
				exports = append(exports, entry)
			}
		}
	}
	slices.Sort(imports)
	slices.Sort(exports)
	return slices.Compact(imports), exports, nil
}

func kind(r *sections.Reader) string {
	kind := r.Byte()
	if int(kind) >= len(kinds) {
		return fmt.Sprintf("kind %d ", kind)
	}
	return kinds[kind]
}
