package history

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// Position is a place in the history of a topic: behind the message with this offset. Offset 0 is before the first.
type Position struct {
	Epoch  string
	Offset uint64
}

const (
	epochSize   = 10
	epochDigits = "0123456789abcdefghijklmnopqrstuv" // 32, so that a byte of random has no favourites
	// maxPosition bounds the text of a position, in bytes.
	maxPosition = epochSize + len(":") + len("18446744073709551615")
)

// NewEpoch draws the name of a life of a topic: 50 random bits.
func NewEpoch() string {
	var b [epochSize]byte
	_, _ = rand.Read(b[:]) // which never fails
	for i := range b {
		b[i] = epochDigits[b[i]%byte(len(epochDigits))]
	}
	return string(b[:])
}

// Append writes "EPOCH:OFFSET".
func (p Position) Append(b []byte) []byte {
	b = append(append(b, p.Epoch...), ':')
	return strconv.AppendUint(b, p.Offset, 10)
}

func (p Position) String() string { return string(p.Append(make([]byte, 0, maxPosition))) }

// Parse reads a position of exactly the form that Append writes. Everything else is none.
func Parse(text string) (p Position, ok bool) {
	epoch, offset, found := strings.Cut(text, ":")
	if !found || len(epoch) != epochSize || len(text) > maxPosition || strings.Trim(epoch, epochDigits) != "" {
		return Position{}, false
	}
	n, err := strconv.ParseUint(offset, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != offset { // no sign, no leading zeros
		return Position{}, false
	}
	return Position{epoch, n}, true
}
