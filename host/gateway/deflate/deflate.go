package deflate

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// level is from where on messages of a few KB hardly become smaller: those of 2 KB 28 % of their size, with
// level 6 27 %. BenchmarkAppend tells the size and the time.
const level = 3

// tail ends what a compressor has flushed, and is left out on the wire (RFC 7692, section 7.2.1).
const tail = "\x00\x00\xff\xff"

// end is read behind a payload: the tail, and an empty block that is the last one. A payload that is
// cut off takes it for something else, and does not end with it.
const end = tail + "\x01" + tail

// maxFinal is how many blocks of a message may say that they are the last one. Each makes a
// decompressor begin anew.
const maxFinal = 16

// compressor has what compresses one message.
type compressor struct {
	out    bytes.Buffer
	writer *flate.Writer
}

var compressors = sync.Pool{New: func() any {
	c := &compressor{}
	c.writer, _ = flate.NewWriter(&c.out, level) // the level is valid
	return c
}}

// keptBuffer is how large a buffer may be that stays in a pool.
const keptBuffer = 64 << 10

// Append appends a message to b as the payload of a frame whose bit RSV1 is set. If that would not
// be shorter than the message, it appends nothing and ok is false.
func Append(b, message []byte) (frame []byte, ok bool) {
	c := compressors.Get().(*compressor)
	defer c.free()
	c.out.Reset()
	c.writer.Reset(&c.out)
	_, _ = c.writer.Write(message) // to a buffer, which takes everything
	_ = c.writer.Flush()
	packed := bytes.TrimSuffix(c.out.Bytes(), []byte(tail))
	if len(packed) >= len(message) {
		return b, false
	}
	return append(b, packed...), true
}

func (c *compressor) free() {
	if c.out.Cap() > keptBuffer {
		c.out = bytes.Buffer{}
	}
	compressors.Put(c)
}

// Errors of [Inflate].
var (
	ErrTooLarge = errors.New("message is too large")
	ErrCorrupt  = errors.New("message is not compressed by DEFLATE")
)

// decompressor has what inflates one message.
type decompressor struct {
	source source
	reader io.ReadCloser
	out    []byte
}

var decompressors = sync.Pool{New: func() any {
	d := &decompressor{out: make([]byte, 4<<10)}
	d.reader = flate.NewReader(&d.source)
	return d
}}

// Inflate returns the message of a frame's payload, in memory of its own. It fails with
// [ErrTooLarge] if the message is longer than limit bytes, and with [ErrCorrupt].
func Inflate(payload []byte, limit int) (message []byte, err error) {
	d := decompressors.Get().(*decompressor)
	defer d.free()
	d.source = source{payload, end}
	n := 0
	// A block that says that it is the last one ends the reader, and need not be the last one of
	// the message (section 7.2.3.4).
	for finals := 0; finals == 0 || len(d.source.payload) > 0; finals++ {
		if finals == maxFinal {
			return nil, ErrCorrupt
		}
		if err := d.reader.(flate.Resetter).Reset(&d.source, d.out[max(0, n-window):n]); err != nil {
			return nil, ErrCorrupt
		}
		if n, err = d.inflate(n, limit); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(d.out[:n]), nil
}

// window is how far DEFLATE refers back.
const window = 32 << 10

// inflate appends to the n bytes in out until the reader's end.
func (d *decompressor) inflate(n, limit int) (int, error) {
	for {
		if n == len(d.out) {
			larger := make([]byte, 2*len(d.out))
			copy(larger, d.out)
			d.out = larger
		}
		m, err := d.reader.Read(d.out[n:])
		n += m
		switch {
		case n > limit:
			return n, ErrTooLarge
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, ErrCorrupt
		}
	}
}

func (d *decompressor) free() {
	d.source = source{}
	if len(d.out) > keptBuffer {
		d.out = make([]byte, 4<<10)
	}
	decompressors.Put(d)
}

// source is a payload with an end. As it gives single bytes, nothing is read that is
// not used.
type source struct {
	payload []byte
	end     string
}

// ReadByte implements [io.ByteReader].
func (s *source) ReadByte() (b byte, err error) {
	switch {
	case len(s.payload) > 0:
		b, s.payload = s.payload[0], s.payload[1:]
	case len(s.end) > 0:
		b, s.end = s.end[0], s.end[1:]
	default:
		return 0, io.EOF
	}
	return b, nil
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (n int, err error) {
	n = copy(b, s.payload)
	s.payload = s.payload[n:]
	if n == 0 {
		n = copy(b, s.end)
		s.end = s.end[n:]
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
