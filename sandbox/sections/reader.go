package sections

import "unicode/utf8"

// Reader reads the part [Pos, End) of a module. It keeps the whole module, so that every position is an offset in the
// file. The first error sticks: later reads return zero values, and loops end because counts are bounded by the bytes
// that are left. It has one user at a time.
type Reader struct {
	Module []byte
	Pos    int
	End    int
	Err    *Error
}

// Left returns how many bytes are left.
func (r *Reader) Left() int { return r.End - r.Pos }

// Done says that nothing is left, or that there was an error.
func (r *Reader) Done() bool { return r.Err != nil || r.Pos >= r.End }

// Rest returns the bytes that are left. They alias the module.
func (r *Reader) Rest() []byte { return r.Module[r.Pos:r.End:r.End] }

// Fail keeps the first error and moves to the end.
func (r *Reader) Fail(kind error, at int, reason string) {
	if r.Err == nil {
		r.Err = &Error{Kind: kind, Offset: at, Reason: reason}
	}
	r.Pos = r.End
}

// Finish returns the first error, which may be that something is left.
func (r *Reader) Finish() *Error {
	if r.Err == nil && r.Pos != r.End {
		r.Fail(ErrMalformed, r.Pos, "bytes behind the end of the section")
	}
	return r.Err
}

// Byte returns the next byte.
func (r *Reader) Byte() byte {
	if r.Pos >= r.End {
		r.Fail(ErrMalformed, r.Pos, "unexpected end")
		return 0
	}
	b := r.Module[r.Pos]
	r.Pos++
	return b
}

// Take returns the next n bytes. They alias the module.
func (r *Reader) Take(n uint32) []byte {
	if uint64(n) > uint64(r.Left()) {
		r.Fail(ErrMalformed, r.Pos, "length beyond the end of its section")
		return nil
	}
	b := r.Module[r.Pos : r.Pos+int(n)]
	r.Pos += int(n)
	return b
}

// Sub takes the next n bytes as a reader of their own, which begins with the error that there is.
func (r *Reader) Sub(n uint32) Reader {
	at := r.Pos
	r.Take(n)
	return Reader{Module: r.Module, Pos: at, End: r.Pos, Err: r.Err}
}

// U32 reads an unsigned LEB128 of 32 bits.
func (r *Reader) U32() uint32 {
	var v uint32
	at := r.Pos
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			if shift == 28 && b > 0x0f {
				break
			}
			return v
		}
	}
	r.Fail(ErrMalformed, at, "integer too long or too large")
	return 0
}

// S33 reads a block type: a signed LEB128 of 33 bits.
func (r *Reader) S33() int64 {
	var v int64
	at := r.Pos
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
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
	r.Fail(ErrMalformed, at, "integer too long or too large")
	return 0
}

// SkipLEB passes over a signed LEB128 of at most size bytes, without a look at its value.
func (r *Reader) SkipLEB(size int) {
	at := r.Pos
	for range size {
		if r.Byte() < 0x80 {
			return
		}
	}
	r.Fail(ErrMalformed, at, "integer too long")
}

// Count reads the length of a vector. Every element takes a byte or more, so a larger count than bytes are left is a lie,
// and nothing is allocated for it.
func (r *Reader) Count() uint32 {
	at := r.Pos
	n := r.U32()
	if uint64(n) > uint64(r.Left()) {
		r.Fail(ErrMalformed, at, "more elements than bytes")
		return 0
	}
	return n
}

// Name reads a name, which is UTF-8.
func (r *Reader) Name() string {
	at := r.Pos
	b := r.Take(r.U32())
	if !utf8.Valid(b) {
		r.Fail(ErrMalformed, at, "name is not UTF-8")
		return ""
	}
	return string(b)
}
