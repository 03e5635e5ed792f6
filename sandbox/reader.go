package sandbox

import (
	"errors"
	"fmt"
	"math"
)

var errTruncated = errors.New("file is truncated")

// reader reads the primitives of the binary format. After an error it returns
// zeros and no counts.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.rest = nil
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.truncated()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.truncated()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) truncated() {
	if r.err == nil {
		r.err = errTruncated
	}
	r.rest = nil
}

// u32 reads an unsigned LEB128 of at most five bytes.
func (r *reader) u32() uint32 {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > math.MaxUint32 {
				r.fail("number too large")
				return 0
			}
			return uint32(n)
		}
	}
	r.fail("number too long")
	return 0
}

// skipSigned skips a signed LEB128, whose value does not matter here.
func (r *reader) skipSigned(maxBytes int) {
	for range maxBytes {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("number too long")
}

// count reads the length of a vector. Each element has at least a byte.
func (r *reader) count(what string, most uint32) uint32 {
	n := r.u32()
	if n > most {
		r.fail("%d %s, at most %d are allowed", n, what, most)
		return 0
	}
	if uint64(n) > uint64(len(r.rest)) {
		r.truncated()
		return 0
	}
	return n
}

func (r *reader) valueType() byte {
	t := r.byte()
	switch t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f: // i32 i64 f32 f64 v128 funcref externref
	default:
		r.fail("unknown value type %#x: build for WebAssembly 2.0", t)
	}
	return t
}

// limits reads a minimum and a maximum, if it has one.
func (r *reader) limits() (least, most uint32, ok bool) {
	switch flags := r.byte(); flags {
	case 0:
		return r.u32(), 0, false
	case 1:
		return r.u32(), r.u32(), true
	case 2, 3:
		r.fail("shared memory: build without threads")
	default:
		r.fail("limits of kind %#x: build for 32-bit memory", flags)
	}
	return 0, 0, false
}

// expression reads a constant expression.
func (r *reader) expression() {
	for r.err == nil {
		switch op := r.byte(); op {
		case 0x0b: // end
			return
		case 0x41: // i32.const
			r.skipSigned(5)
		case 0x42: // i64.const
			r.skipSigned(10)
		case 0x43: // f32.const
			r.bytes(4)
		case 0x44: // f64.const
			r.bytes(8)
		case 0x23, 0xd2: // global.get, ref.func
			r.u32()
		case 0xd0: // ref.null
			r.valueType()
		case 0xfd: // v128.const
			r.byte()
			r.bytes(16)
		default:
			r.fail("instruction %#x in a constant expression: build for WebAssembly 2.0", op)
		}
	}
}

// names skips a map of indices to names and returns its length.
func (r *reader) names() uint32 {
	n := r.count("names", maxNames)
	for range n {
		r.u32()
		r.bytes(r.u32())
	}
	return n
}
