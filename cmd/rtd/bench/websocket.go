package bench

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The client's side of RFC 6455, as much as a load generator needs: text frames, no
// extensions. doc.go says why it is not the library that the server uses.

// handshake upgrades connections. All use one key: it is there against caches, and a
// new one each would cost a hash and tell nothing more about the server.
type handshake struct {
	request []byte
	accept  string
}

func newHandshake(host, target, extensions string) handshake {
	var nonce [16]byte
	rand.Read(nonce[:])
	key := base64.StdEncoding.EncodeToString(nonce[:])
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", target, host)
	if extensions != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Extensions: %s\r\n", extensions)
	}
	fmt.Fprintf(&b, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", key)
	return handshake{[]byte(b.String()), base64.StdEncoding.EncodeToString(sum[:])}
}

// maxResponse bounds the server's answer to an upgrade.
const maxResponse = 16 << 10

// check reads the answer at the start of data. n is its length, 0 if it is incomplete.
func (h *handshake) check(data []byte) (n int, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > maxResponse {
			return 0, errors.New("the answer to the upgrade is larger than 16 KiB")
		}
		return 0, nil
	}
	lines := strings.Split(string(data[:end]), "\r\n")
	if _, status, _ := strings.Cut(lines[0], " "); !strings.HasPrefix(status, "101") {
		return 0, fmt.Errorf("the server refused the upgrade: %.100s", lines[0])
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Accept") && strings.TrimSpace(value) == h.accept {
			return end + 4, nil
		}
	}
	return 0, errors.New("the server answered the upgrade without the right Sec-WebSocket-Accept: it is no WebSocket server")
}

// Opcodes of frames.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// appendFrame appends a frame with mask as its masking key.
func appendFrame(b []byte, opcode byte, payload []byte, mask uint32) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, mask)
	start := len(b)
	b = append(b, payload...)
	masked := b[start:]
	wide := uint64(mask)<<32 | uint64(mask)
	for ; len(masked) >= 8; masked = masked[8:] {
		binary.LittleEndian.PutUint64(masked, binary.LittleEndian.Uint64(masked)^wide)
	}
	for i := range masked {
		masked[i] ^= byte(wide >> (8 * i))
	}
	return b
}

// frame is one from the server. Its payload lies in the bytes it was read from.
type frame struct {
	opcode  byte
	final   bool
	payload []byte
}

// maxFrame bounds frames and messages of the server.
const maxFrame = 16 << 20

// readFrame reads the frame at the start of data. n is its length, 0 if it is incomplete.
func readFrame(data []byte) (f frame, n int, err error) {
	if len(data) < 2 {
		return frame{}, 0, nil
	}
	if data[0]&0x70 != 0 || data[1]&0x80 != 0 {
		return frame{}, 0, errors.New("the server sent a frame with reserved bits, or masked")
	}
	header, length := 2, uint64(data[1])
	switch length {
	case 126:
		header = 4
		if len(data) < header {
			return frame{}, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		header = 10
		if len(data) < header {
			return frame{}, 0, nil
		}
		length = binary.BigEndian.Uint64(data[2:])
	}
	if length > maxFrame {
		return frame{}, 0, fmt.Errorf("the server sent a frame of %d bytes; the generator takes up to 16 MiB", length)
	}
	n = header + int(length)
	if len(data) < n {
		return frame{}, 0, nil
	}
	return frame{data[0] & 0x0F, data[0]&0x80 != 0, data[header:n]}, n, nil
}

// closeText says why the server closes, from the payload of its close frame.
func closeText(payload []byte) error {
	if len(payload) < 2 {
		return errors.New("the server closed without a code")
	}
	return fmt.Errorf("the server closed with %d %.100s", binary.BigEndian.Uint16(payload), payload[2:])
}
