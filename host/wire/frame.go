package wire

import "encoding/binary"

// AppendHeader appends the header of a server's frame that is a whole message of
// size bytes (RFC 6455, section 5.2).
func AppendHeader(b []byte, binaryMessage bool, size int) []byte {
	const fin, text, binaryData = 0x80, 0x1, 0x2
	first := byte(fin | text)
	if binaryMessage {
		first = fin | binaryData
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

// plain returns how many bytes at the beginning of b are messages that the library
// reads to their end without waiting, and without anything to say about them: whole,
// in one masked frame of at most limit bytes. Whatever else there is, right or
// wrong, is for a goroutine that may wait.
func plain(b []byte, limit int) int {
	done := 0
	for {
		size := plainFrame(b[done:], limit)
		if size == 0 {
			return done
		}
		done += size
	}
}

// plainFrame returns the size of the frame at the beginning of b, or 0.
func plainFrame(b []byte, limit int) int {
	const mask, maskKey = 0x80, 4
	if len(b) < 2 || b[0] != 0x81 && b[0] != 0x82 || b[1]&mask == 0 {
		return 0
	}
	header, size := 2, uint64(b[1]&^mask)
	switch {
	case size == 126 && len(b) >= 4:
		header, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		header, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return 0
	}
	if size > uint64(limit) || uint64(len(b)-header) < maskKey+size {
		return 0
	}
	return header + maskKey + int(size)
}
