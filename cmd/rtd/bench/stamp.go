package bench

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// stamp is what the body of each message begins with, so that whoever gets it knows
// which one it is. Its text is ~, the run, the sender, the number and the time, in
// hexadecimal digits. Handlers may put what they want around the body.
type stamp struct {
	sender uint32
	number uint32        // of the sender's messages, from 0
	due    time.Duration // when it was to be sent, since the start of the run
}

const (
	runDigits, senderDigits, numberDigits, dueDigits = 4, 6, 8, 13

	// MinBody is the size of the smallest body, in bytes: what tells messages apart.
	MinBody = 1 + runDigits + senderDigits + numberDigits + dueDigits

	maxSenders = 1 << (4 * senderDigits)
)

// bodies makes payloads of one run and recognises them.
type bodies struct {
	run  uint32
	size int
}

// appendPayload appends {"body":"…"}, with a text of size bytes.
func (m bodies) appendPayload(b []byte, s stamp) []byte {
	b = append(b, `{"body":"~`...)
	b = appendHex(b, uint64(m.run), runDigits)
	b = appendHex(b, uint64(s.sender), senderDigits)
	b = appendHex(b, uint64(s.number), numberDigits)
	b = appendHex(b, uint64(s.due), dueDigits)
	for range m.size - MinBody {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}

// find returns the stamp in a payload, if it is of this run.
func (m bodies) find(payload []byte) (s stamp, ok bool) {
	s, _, ok = m.cut(payload)
	return s, ok
}

// cut returns the first stamp of this run, and what comes behind it.
func (m bodies) cut(payload []byte) (s stamp, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(payload, '~')
		if i < 0 || len(payload)-i < MinBody {
			return stamp{}, nil, false
		}
		digits := payload[i+1 : i+MinBody]
		var parts [4]uint64
		ok := true
		for n, width := range [...]int{runDigits, senderDigits, numberDigits, dueDigits} {
			var valid bool
			parts[n], valid = readHex(digits[:width])
			ok = ok && valid
			digits = digits[width:]
		}
		if ok && uint32(parts[0]) == m.run {
			return stamp{uint32(parts[1]), uint32(parts[2]), time.Duration(parts[3])}, payload[i+MinBody:], true
		}
		payload = payload[i+1:]
	}
}

func appendHex(b []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[n>>(4*i)&15])
	}
	return b
}

func readHex(digits []byte) (n uint64, ok bool) {
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// tracker follows at one receiver the messages of one sender. It remembers the last
// 64: one that comes later than that counts as a duplicate.
type tracker struct {
	next     uint32 // behind the highest number seen
	received uint32 // without duplicates
	seen     uint64 // bit n: number next-1-n has come
}

type arrival uint8

const (
	inOrder arrival = iota
	outOfOrder
	again
)

func (t *tracker) take(number uint32) arrival {
	if number >= t.next {
		t.seen = t.seen<<(number-t.next+1) | 1 // a shift by 64 and more gives 0
		t.next = number + 1
		t.received++
		return inOrder
	}
	bit := uint64(1) << (t.next - 1 - number)
	if bit == 0 || t.seen&bit != 0 {
		return again
	}
	t.seen |= bit
	t.received++
	return outOfOrder
}

// has says whether a message has come, if it is not older than 64 others.
func (t *tracker) has(number uint32) bool {
	return number < t.next && t.seen&(1<<(t.next-1-number)) != 0
}

// topics are the names that the pattern of [Options.Topic] stands for.
type topics struct {
	before, after string
	numbered      bool
}

func newTopics(pattern string) topics {
	before, after, numbered := strings.Cut(pattern, "%d")
	return topics{before, after, numbered}
}

func (t topics) name(n int) string {
	if !t.numbered {
		return t.before
	}
	return t.before + strconv.Itoa(n) + t.after
}
