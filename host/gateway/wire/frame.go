package wire

import "encoding/binary"

// The first byte of a frame that is a whole message.
const (
	wholeText   = 0x81
	wholeBinary = 0x82
	rsv1        = 0x40 // besides: the payload is compressed
)

// AppendHeader appends the header of a server's frame that is a whole message of
// size bytes (RFC 6455, section 5.2). With packed, they are compressed (RFC 7692, section 6).
func AppendHeader(b []byte, binaryMessage, packed bool, size int) []byte {
	first := byte(wholeText)
	if binaryMessage {
		first = wholeBinary
	}
	if packed {
		first |= rsv1
	}
	switch {
	case size < 126:
		return append(b, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(size))
	}
}

// HeaderSize is the most that AppendHeader appends.
const HeaderSize = 10

// inflater reads compressed messages. A loop inflates few bytes at a time: what a hostile
// client sends grows to a thousand times its size, and others wait meanwhile.
type inflater struct {
	inflate func(payload []byte, limit int) ([]byte, error) // nil: nothing is compressed
	left    int                                             // bytes that may still come
}

// inflateAtOnce is what a loop inflates of one connection, in bytes, in about a millisecond.
const inflateAtOnce = 128 << 10

// plain takes the messages at the beginning of b about which there is nothing to say: whole,
// in one masked frame of at most limit bytes, compressed or not. It returns how many bytes they have.
// Whatever else there is, right or wrong, is for the library, on a goroutine that may wait.
func plain(b []byte, limit int, in inflater, take func(payload []byte, binary bool)) (done int) {
	for {
		header, size := plainFrame(b[done:], limit, in.inflate != nil)
		if header == 0 {
			return done
		}
		frame := b[done:][:header+size]
		payload := make([]byte, size)
		unmask(payload, frame[header:], frame[header-maskKey:])
		if frame[0]&rsv1 != 0 {
			message, err := in.inflate(payload, min(limit, in.left))
			if err != nil {
				return done // the library says what is wrong, if anything is
			}
			payload = message
			in.left -= len(message)
		}
		take(payload, frame[0]&^rsv1 == wholeBinary)
		done += len(frame)
	}
}

// maskKey is how many bytes the key of a mask has.
const maskKey = 4

// unmask takes the mask with the key off src (RFC 6455, section 5.3). dst is as long.
func unmask(dst, src, key []byte) {
	once := binary.LittleEndian.Uint32(key)
	twice := uint64(once)<<32 | uint64(once)
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^twice)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ key[i%maskKey]
	}
}

// plainFrame returns the sizes of the header, with the mask's key, and the payload of the
// frame at the beginning of b; or 0, 0.
func plainFrame(b []byte, limit int, packed bool) (header, payload int) {
	const mask = 0x80
	if len(b) < 2 || b[1]&mask == 0 {
		return 0, 0
	}
	first := b[0]
	if packed {
		first &^= rsv1
	}
	if first != wholeText && first != wholeBinary {
		return 0, 0
	}
	header, size := 2, uint64(b[1]&^mask)
	switch {
	case size == 126 && len(b) >= 4:
		header, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		header, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return 0, 0
	}
	if size > uint64(limit) || uint64(len(b)-header) < maskKey+size {
		return 0, 0
	}
	return header + maskKey, int(size)
}
