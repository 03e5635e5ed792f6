package sandboxtest

import (
	"encoding/binary"
	"strings"
)

// Module is a module that keeps the contract, and has functions of this code besides.
func Module(bodies ...string) []byte {
	vector := func(items ...string) string {
		return string(binary.AppendUvarint(nil, uint64(len(items)))) + strings.Join(items, "")
	}
	sized := func(s string) string { return string(binary.AppendUvarint(nil, uint64(len(s)))) + s }
	section := func(id byte, content string) string { return string([]byte{id}) + sized(content) }
	const unary = "\x60\x01\x7f\x01\x7f" // of an i32 to an i32
	types := make([]string, len(bodies)+2)
	code := []string{sized("\x00\x41\x80\x08\x0b"), sized("\x00\x41\x00\x0b")} // the inbox is at 1024; handled
	for i := range types {
		types[i] = "\x00"
	}
	for _, body := range bodies {
		code = append(code, sized("\x00"+body+"\x41\x00\x0b"))
	}
	return []byte("\x00asm\x01\x00\x00\x00" +
		section(1, vector(unary)) +
		section(3, vector(types...)) +
		section(5, "\x01\x00\x01") +
		section(7, vector("\x06memory\x02\x00", "\x05inbox\x00\x00", "\x06handle\x00\x01")) +
		section(10, vector(code...)))
}

// Nested is code of this many blocks, each in the one before.
func Nested(depth int) string {
	return strings.Repeat("\x02\x40", depth) + strings.Repeat("\x0b", depth)
}

// Branches is code of one br_table with this many entries.
func Branches(entries int) string {
	return "\x02\x40\x41\x00\x0e" + string(binary.AppendUvarint(nil, uint64(entries))) + strings.Repeat("\x00", entries+1) + "\x0b"
}

// Slow is a module that takes minutes to compile: the compiler's time grows with the square of a function's blocks.
func Slow() []byte { return Module(strings.Repeat(Nested(900), 100)) }
