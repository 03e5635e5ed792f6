package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

// What is stored is made of numbers (varints), texts (a number of bytes, then those), times (µs since 1970, zero for none), and
// frames (a text and its checksum). It is read with a reader, which checks each length before it is used.

// errMalformed: bytes are not what was written.
var errMalformed = errors.New("malformed")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMicro())
}

// appendFrame appends what write does, between its length and its checksum.
func appendFrame(b []byte, write func([]byte) []byte) []byte {
	const room = 4 // of the length, which is written last; as many bytes for each, so that nothing is moved
	start := len(b)
	b = write(append(b, make([]byte, room)...))
	body := b[start+room:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
}

// reader reads what was appended. After the first malformed part all is zero, and failed is true.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) fixed(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return nil
	}
	part := r.rest[:n:n]
	r.rest = r.rest[n:]
	return part
}

// bytes returns a part of what is read, not a copy. It is nil if it is empty.
func (r *reader) bytes() []byte {
	n := r.number()
	if n == 0 || n > uint64(len(r.rest)) {
		if n != 0 {
			r.fail()
		}
		return nil
	}
	return r.fixed(int(n))
}

func (r *reader) text() string { return string(r.bytes()) }

// fixed64 is a number that is random, so that a varint would only be longer.
func (r *reader) fixed64() uint64 {
	if part := r.fixed(8); part != nil {
		return binary.LittleEndian.Uint64(part)
	}
	return 0
}

// small reads a number of 32 bits.
func (r *reader) small() uint32 {
	n := r.number()
	if n > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(n)
}

func (r *reader) time() time.Time {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return time.Time{}
	}
	r.rest = r.rest[size:]
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// count reads how many parts follow, of which each has at least one byte.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// frame returns the content of a frame, and whether its checksum is right. Behind one with a wrong checksum reading goes on.
func (r *reader) frame() (body []byte, whole bool) {
	head := r.fixed(4)
	if r.failed {
		return nil, false
	}
	size := binary.LittleEndian.Uint32(head)
	if uint64(size)+4 > uint64(len(r.rest)) {
		r.fail()
		return nil, false
	}
	body = r.fixed(int(size))
	return body, binary.LittleEndian.Uint32(r.fixed(4)) == crc32.Checksum(body, castagnoli)
}

// done returns an error unless all was read, and well.
func (r *reader) done() error {
	if r.failed || len(r.rest) > 0 {
		return errMalformed
	}
	return nil
}

// texts are those that occur again and again. The first time a text is written whole, then as its number.
type texts struct {
	numbers map[string]int // of a writer
	list    []string       // of a reader, or noted by a writer
}

// note gives a text its number before it is written.
func (t *texts) note(text string) {
	if _, ok := t.numbers[text]; ok {
		return
	}
	if t.numbers == nil {
		t.numbers = map[string]int{}
	}
	t.numbers[text] = len(t.list)
	t.list = append(t.list, text)
}

// appendAll appends those that were noted.
func (t *texts) appendAll(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.list)))
	for _, text := range t.list {
		b = appendText(b, text)
	}
	return b
}

// allTexts reads what appendAll has appended.
func (r *reader) allTexts() (list []string) {
	for range r.count() {
		list = append(list, r.text())
	}
	return list
}

func (t *texts) append(b []byte, text string) []byte {
	if n, ok := t.numbers[text]; ok {
		return binary.AppendUvarint(b, uint64(n))
	}
	if t.numbers == nil {
		t.numbers = map[string]int{}
	}
	n := len(t.numbers)
	t.numbers[text] = n
	return appendText(binary.AppendUvarint(b, uint64(n)), text)
}

func (t *texts) read(r *reader) string {
	n := r.number()
	switch {
	case n < uint64(len(t.list)):
		return t.list[n]
	case n > uint64(len(t.list)):
		r.fail()
		return ""
	}
	text := r.text()
	if !r.failed {
		t.list = append(t.list, text)
	}
	return text
}
