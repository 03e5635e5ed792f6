package supervisor

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
)

// Incarnation tells one [Runtime] from all others, also from those of other OS processes
// and machines. It says neither which came first nor where it is. 0 is that of none.
type Incarnation uint64

// incarnationDigits is how long the text is: each digit is five bits.
const incarnationDigits = 7

// newIncarnation draws one. Fewer bits than a word: a pid has to fit into the 16 bytes
// that C guests keep for one.
func newIncarnation() Incarnation {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // which never fails
		if i := binary.NativeEndian.Uint64(b[:]) >> (64 - 5*incarnationDigits); i != 0 {
			return Incarnation(i)
		}
	}
}

const digits = "0123456789abcdefghijklmnopqrstuv"

// String is its text in pids and refs: always seven digits, such as "k3v9q2m".
func (i Incarnation) String() string {
	var b [incarnationDigits]byte
	for at := len(b) - 1; at >= 0; at-- {
		b[at] = digits[i&31]
		i >>= 5
	}
	return string(b[:])
}

// PID names a process for good within its [Runtime]: no other gets the same number. Beyond
// it, the text of [Runtime.AppendPID] does.
type PID uint64

// String is the short text for people, such as "#1c": what the whole one has before its
// point.
func (p PID) String() string { return string(p.append(make([]byte, 0, 14))) }

func (p PID) append(b []byte) []byte { return strconv.AppendUint(append(b, '#'), uint64(p), 32) }

// Ref names a monitor, or whatever else its owner numbers by [Runtime.NewRef], for good
// within its [Runtime]: no other gets the same number. Beyond it, the text of
// [Runtime.AppendRef] does. 0 is none.
type Ref uint64

// NewRef returns a number for something else than a monitor.
func (rt *Runtime) NewRef() Ref { return Ref(rt.lastRef.Add(1)) }

// Incarnation tells the runtime from all others.
func (rt *Runtime) Incarnation() Incarnation { return rt.incarnation }

// AppendPID appends the text of a pid of this runtime, such as "#1c.k3v9q2m": at most 22
// bytes.
func (rt *Runtime) AppendPID(b []byte, p PID) []byte { return append(p.append(b), rt.mark...) }

// AppendRef appends the text of a ref of this runtime, such as "1c.k3v9q2m": at most 21
// bytes.
func (rt *Runtime) AppendRef(b []byte, r Ref) []byte {
	return append(strconv.AppendUint(b, uint64(r), 32), rt.mark...)
}

// ErrMalformed says that a text is not that of a pid or ref.
var ErrMalformed = errors.New("malformed")

// ParsePID returns the pid with a text. It fails with [ErrNoProcess] if that is of another
// runtime, or of none as the short texts are, and with [ErrMalformed] if it is no pid. Each pid
// has one text.
func (rt *Runtime) ParsePID(text string) (PID, error) {
	text, ok := strings.CutPrefix(text, "#")
	if !ok {
		return 0, ErrMalformed
	}
	n, err := rt.parse(text)
	return PID(n), err
}

// ParseRef returns the ref with a text, and fails as [Runtime.ParsePID] does.
func (rt *Runtime) ParseRef(text string) (Ref, error) {
	n, err := rt.parse(text)
	return Ref(n), err
}

func (rt *Runtime) parse(text string) (n uint64, err error) {
	if whole, ok := strings.CutSuffix(text, rt.mark); ok {
		if n = parseNumber(whole); n == 0 {
			return 0, ErrMalformed
		}
		return n, nil
	}
	number, incarnation, whole := strings.Cut(text, ".")
	if parseNumber(number) == 0 || whole && !isIncarnation(incarnation) {
		return 0, ErrMalformed
	}
	return 0, ErrNoProcess
}

// parseNumber returns the number that is written as [strconv.AppendUint] does, or 0.
func parseNumber(text string) (n uint64) {
	if text == "" || text[0] == '0' {
		return 0
	}
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			if d = text[i] - 'a' + 10; d < 10 || d > 31 {
				return 0
			}
		}
		if n > math.MaxUint64>>5 {
			return 0
		}
		n = n<<5 | uint64(d)
	}
	return n
}

func isIncarnation(text string) bool {
	return len(text) == incarnationDigits && strings.Trim(text, digits) == ""
}
