package rewrite

import "unicode/utf8"

// reader reads the part [pos, end) of a module. It keeps the whole module, so that every position is an offset in the
// file. The first error sticks: later reads return zero values, and loops end because counts are bounded by what is
// left.
type reader struct {
	wasm []byte
	pos  int
	end  int
	err  *Error
}

func (r *reader) left() int  { return r.end - r.pos }
func (r *reader) done() bool { return r.err != nil || r.pos >= r.end }

// fail keeps the first error and moves to the end.
func (r *reader) fail(kind error, at int, reason string) {
	if r.err == nil {
		r.err = &Error{Kind: kind, Offset: at, Reason: reason}
	}
	r.pos = r.end
}

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.fail(ErrMalformed, r.pos, "unexpected end")
		return 0
	}
	b := r.wasm[r.pos]
	r.pos++
	return b
}

// take returns the next n bytes. They alias the module.
func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail(ErrMalformed, r.pos, "length beyond the end of its section")
		return nil
	}
	b := r.wasm[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// sub takes the next n bytes as a reader of their own.
func (r *reader) sub(n uint32) reader {
	at := r.pos
	r.take(n)
	return reader{wasm: r.wasm, pos: at, end: r.pos, err: r.err}
}

// u32 reads an unsigned LEB128 of at most five bytes.
func (r *reader) u32() uint32 {
	var v uint32
	at := r.pos
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			if shift == 28 && b > 0x0f {
				break
			}
			return v
		}
	}
	r.fail(ErrMalformed, at, "integer too long or too large")
	return 0
}

// s33 reads a block type: a signed LEB128 of 33 bits.
func (r *reader) s33() int64 {
	var v int64
	at := r.pos
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			unused := 64 - shift - 7
			v = v << unused >> unused
			if v < -1<<32 || v >= 1<<32 {
				break
			}
			return v
		}
	}
	r.fail(ErrMalformed, at, "integer too long or too large")
	return 0
}

// skipLEB passes over a signed LEB128 of at most size bytes, without a look at its value.
func (r *reader) skipLEB(size int) {
	at := r.pos
	for range size {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail(ErrMalformed, at, "integer too long")
}

// count reads the length of a vector. Every element takes a byte or more, so a count beyond what is left is a lie, and
// nothing is allocated for it.
func (r *reader) count() uint32 {
	at := r.pos
	n := r.u32()
	if uint64(n) > uint64(r.left()) {
		r.fail(ErrMalformed, at, "more elements than bytes")
		return 0
	}
	return n
}

func (r *reader) name() string {
	at := r.pos
	b := r.take(r.u32())
	if !utf8.Valid(b) {
		r.fail(ErrMalformed, at, "name is not UTF-8")
		return ""
	}
	return string(b)
}

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

func (b *buffer) section(id byte, content []byte) {
	b.byte(id)
	b.sized(content)
}
