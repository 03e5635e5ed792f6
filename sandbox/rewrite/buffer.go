package rewrite

import "rtd/sandbox/sections"

// buffer is WebAssembly being written.
type buffer []byte

func (b *buffer) byte(v ...byte) { *b = append(*b, v...) }
func (b *buffer) raw(v []byte)   { *b = append(*b, v...) }

func (b *buffer) u32(v uint32) {
	for v >= 0x80 {
		*b = append(*b, byte(v)|0x80)
		v >>= 7
	}
	*b = append(*b, byte(v))
}

// s64 writes a signed LEB128: the operand of i32.const and i64.const.
func (b *buffer) s64(v int64) {
	for v < -64 || v > 63 {
		*b = append(*b, byte(v)|0x80)
		v >>= 7
	}
	*b = append(*b, byte(v)&0x7f)
}

func (b *buffer) name(s string) {
	b.u32(uint32(len(s)))
	*b = append(*b, s...)
}

// sized writes content behind its length: a section, a body, a subsection.
func (b *buffer) sized(content []byte) {
	b.u32(uint32(len(content)))
	b.raw(content)
}

func (b *buffer) section(id byte, content []byte) { *b = sections.Append(*b, id, content) }
