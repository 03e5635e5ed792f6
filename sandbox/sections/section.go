package sections

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// Header begins each core module: the magic number and version 1.
const Header = "\x00asm\x01\x00\x00\x00"

// MaxModule is how many bytes a module may have, in a file, in an upload and in memory.
const MaxModule = 64 << 20

// Numbers of sections. But for DataCount, which is in front of Code, and custom sections, which may be
// anywhere, they come in this order.
const (
	Custom byte = iota
	Type
	Import
	Function
	Table
	Memory
	Global
	Export
	Start
	Element
	Code
	Data
	DataCount
)

// Section is one section of a module. It aliases the module.
type Section struct {
	ID      byte
	Name    string // of a custom section; "" of any other
	Offset  int    // where it begins in the module
	Content Reader // of a custom section, behind its name
	Whole   []byte // with its number and length
}

// Of goes through the sections of a module in their order. An error, an [*Error], comes last. The module need not be
// valid: only its header and the sections' lengths are looked at, and the names of custom sections.
func Of(module []byte) iter.Seq2[Section, error] {
	return func(yield func(Section, error) bool) {
		if err := checkHeader(module); err != nil {
			yield(Section{}, err)
			return
		}
		r := Reader{Module: module, Pos: len(Header), End: len(module)}
		for !r.Done() {
			s := Section{Offset: r.Pos}
			s.ID = r.Byte()
			size := r.U32()
			switch {
			case r.Err != nil:
				if r.Err.Offset == len(module) { // its number ends there, and not because it is too long
					r.Err.Kind, r.Err.Reason = ErrTruncated, "the file is truncated"
				}
			case size > MaxModule:
				r.Fail(ErrLimit, s.Offset, fmt.Sprintf("section %d has %d bytes, at most %d MiB are allowed", s.ID, size, MaxModule>>20))
			case uint64(size) > uint64(r.Left()):
				r.Fail(ErrTruncated, s.Offset, fmt.Sprintf("the file is truncated: section %d has %d bytes, %d are there", s.ID, size, r.Left()))
			default:
				s.Content = r.Sub(size)
				s.Whole = module[s.Offset:r.Pos]
				if s.ID == Custom {
					s.Name = s.Content.Name()
					r.Err = s.Content.Err
				}
			}
			if r.Err != nil {
				yield(Section{}, r.Err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func checkHeader(module []byte) error {
	fail := func(kind error, at int, reason string) error { return &Error{Kind: kind, Offset: at, Reason: reason} }
	const (
		magic, version = "\x00asm", "\x01\x00\x00\x00"
		component      = "\x0d\x00\x01\x00" // another version, and the layer 1
	)
	head := string(module[:min(len(module), len(Header))])
	switch {
	case len(module) > MaxModule:
		return fail(ErrLimit, 0, fmt.Sprintf("it has %d bytes, at most %d MiB are allowed", len(module), MaxModule>>20))
	case head == Header:
		return nil
	case head != "" && strings.HasPrefix(Header, head):
		return fail(ErrTruncated, len(head), "the file is truncated")
	case !strings.HasPrefix(head, magic):
		return fail(ErrMalformed, 0, "not a WebAssembly module: it does not begin with \\0asm")
	case strings.HasSuffix(head, component):
		return fail(ErrUnsupported, len(magic), "a component, not a core module: build for wasm32-wasip1 or wasm32-unknown-unknown instead of wasip2, without wasm-tools component new")
	default:
		return fail(ErrUnsupported, len(magic), fmt.Sprintf("WebAssembly version % x is not known, want % x", head[len(magic):], version))
	}
}

// Append appends a section with this content. A custom section's begins with its name, see [AppendName].
func Append(dst []byte, id byte, content []byte) []byte {
	dst = binary.AppendUvarint(append(dst, id), uint64(len(content)))
	return append(dst, content...)
}

// AppendName appends a name behind its length.
func AppendName(dst []byte, name string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(name))), name...)
}
