package rewrite_test

import (
	"errors"
	"strings"
	"testing"

	"rtd/sandbox/rewrite"
	"rtd/sandbox/sections"
)

// lies returns modules of a few bytes that would have a decoder allocate gigabytes.
func lies() map[string][]byte {
	const million, billions = "\xc0\x84\x3d", "\xff\xff\xff\xff\x0f"
	modules := map[string][]byte{}
	for name, sections := range map[string]string{
		"types":              section(1, billions),
		"parameters":         section(1, "\x01\x60"+billions),
		"imports":            section(2, billions),
		"name of an import":  section(2, "\x01"+billions),
		"functions":          section(3, billions),
		"tables":             section(4, billions),
		"elements of tables": section(4, "\x01\x70\x00"+billions),
		"many large tables":  section(4, "\x02"+"\x70\x00"+million+"\x70\x00"+million),
		"globals":            section(6, billions),
		"exports":            section(7, billions),
		"segments":           section(9, billions),
		"elements":           section(9, "\x01\x00\x41\x00\x0b"+billions),
		"element expression": section(9, "\x01\x05\x70"+billions),
		"typed elements":     section(9, "\x01\x05\x63\x70"+billions),
		"bodies":             section(10, billions),
		"locals":             section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(10, "\x01\x08\x01"+billions+"\x7f\x0b"),
		"locals of all": section(1, "\x01\x60\x00\x00") + section(3, "\x80\x02"+strings.Repeat("\x00", 256)) +
			section(10, "\x80\x02"+strings.Repeat("\x06\x01\xd0\x86\x03\x7f\x0b", 256)),
		"data":           section(11, billions),
		"bytes of data":  section(11, "\x01\x00\x41\x00\x0b"+billions),
		"data count":     section(12, billions+"\x00"),
		"section size":   "\x01" + billions,
		"custom name":    section(0, billions),
		"function names": section(0, "\x04name\x01\x05"+billions),
		"local names":    section(0, "\x04name\x02\x07\x01\x00"+billions),
		"names beyond":   section(0, "\x04name\x01\x01\x00") + section(0, "\x04name"),
	} {
		modules[name] = assemble(sections)
	}
	return modules
}

// TestLies has every count, length and sum refused before the engine's decoder can believe it.
func TestLies(t *testing.T) {
	for name, wasm := range lies() {
		_, err := rewrite.Rewrite(wasm, rewrite.Options{})
		var refusal *sections.Error
		if !errors.As(err, &refusal) || errors.Is(err, sections.ErrUnsupported) != (name == "typed elements") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSegments has as many data segments as Go's linker makes at most, which large guests have, and one more.
func TestSegments(t *testing.T) {
	for n, want := range map[int]error{100_000: nil, 100_001: sections.ErrLimit} {
		wasm := assemble(section(5, "\x01\x00\x01"), section(11, leb(n)+strings.Repeat("\x00\x41\x00\x0b\x01x", n)))
		if m, err := rewrite.Rewrite(wasm, rewrite.Options{TakeData: true}); !errors.Is(err, want) || err == nil && len(m.Data) != n {
			t.Errorf("%d data segments: %v, want %v", n, err, want)
		}
	}
}
