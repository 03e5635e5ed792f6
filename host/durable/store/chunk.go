package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rtd/host/durable"
)

// At rest, a history is in chunks, whose keys are past.HASH.EPOCH.NAME, with a hash of the topic and a number as name:
//
//	format    1 byte: 3
//	frame     topic, epoch, offset of the first message, how many, offset of the oldest that is of use, until when it is of use, for how long messages are
//	frame     message: flags, time, event, payload
//	frame     …
//
// So of a chunk in which something was damaged the rest can be read.
const (
	pastPrefix  = "past"
	chunkFormat = 3 // unlike that of leaves
	// chunkBytes is how large a chunk of several messages is, about: a smaller one is written anew with what comes.
	chunkBytes = 8 << 10
	// anewKey is there after a restore: clients may have positions from after the backup, so all histories get other epochs.
	anewKey = "anew"
)

// hashOf is the topic in a key. Different topics have different ones.
func hashOf(topic string) string {
	sum := sha256.Sum256([]byte(topic))
	return hex.EncodeToString(sum[:16])
}

func (ps *past) key(p piece) string {
	return pastPrefix + "." + ps.hash + "." + p.epoch + "." + strconv.FormatUint(p.name, 36)
}

// parsePastKey is the way back from key.
func parsePastKey(key string) (hash string, p piece, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 4 || parts[0] != pastPrefix {
		return "", p, false
	}
	name, err := strconv.ParseUint(parts[3], 36, 64)
	return parts[1], piece{epoch: parts[2], name: name}, err == nil
}

// header is the first frame of a chunk.
type header struct {
	topic, epoch         string
	first, count, oldest uint64
	until                time.Time
	keep                 time.Duration
}

func (h *header) append(b []byte) []byte {
	b = appendText(appendText(b, h.topic), h.epoch)
	b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, h.first), h.count), h.oldest)
	return binary.AppendUvarint(appendTime(b, h.until), uint64(h.keep))
}

// encodeChunk returns a chunk with messages, which count in h.
func encodeChunk(h header, messages []*durable.Said) []byte {
	h.count = uint64(len(messages))
	b := appendFrame([]byte{chunkFormat}, h.append)
	for _, s := range messages {
		b = appendFrame(b, func(b []byte) []byte {
			flags := byte(0)
			if s.Binary {
				flags = isBinary
			}
			return appendMessage(append(b, flags), s)
		})
	}
	return b
}

// decodeHeader reads the header of a chunk. rest is what follows.
func decodeHeader(data []byte) (h header, rest reader, err error) {
	r := reader{rest: data}
	if format := r.byte(); format != chunkFormat {
		return h, r, fmt.Errorf("%w: format %d", errMalformed, format)
	}
	head, whole := r.frame()
	f := reader{rest: head}
	h = header{topic: f.text(), epoch: f.text(), first: f.number(), count: f.number(), oldest: f.number(), until: f.time()}
	h.keep = time.Duration(f.number())
	if !whole || f.done() != nil || h.topic == "" || len(h.epoch) > maxEpoch || h.first == 0 || h.first+h.count < h.first || h.keep < 0 {
		return h, r, errMalformed
	}
	return h, r, nil
}

// decodeChunk reads a chunk, with the messages at its end that are whole: what is before a damaged one cannot be told without a gap. damaged says that
// there is one. The messages refer to data.
func decodeChunk(data []byte) (h header, messages []*durable.Said, damaged bool, err error) {
	h, r, err := decodeHeader(data)
	if err != nil {
		return h, nil, true, err
	}
	for i := range h.count {
		body, whole := r.frame()
		f := reader{rest: body}
		s := &durable.Said{Topic: h.topic, Epoch: h.epoch, Offset: h.first + i, Binary: f.byte()&isBinary != 0}
		readMessage(&f, s)
		if r.failed {
			return h, nil, true, nil
		}
		if !whole || f.done() != nil {
			messages, damaged = nil, true
			continue
		}
		messages = append(messages, s)
	}
	return h, messages, damaged || r.done() != nil, nil
}
