// Actor is a channel handler in Go. What it does is written in ../README.md.
package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"unicode/utf8"

	rtd "rtd/sdk/go"
)

const (
	maxName = 32
	maxText = 64
	keep    = 10
)

func main() {}

func init() {
	rtd.Handle("actor:*", func() rtd.Channel { return new(Actor) })
}

// Actor is the state from a join on.
type Actor struct {
	name  string
	count int
	kept  [keep]string // a ring: message n lies at n % keep
}

func (a *Actor) Join(s *rtd.Socket, payload []byte) error {
	p, err := parse(payload)
	if err != nil {
		return err
	}
	a.name = "anon"
	if len(p.name) > 0 {
		a.name = clip(p.name, maxName)
	}
	if p.refuse {
		return rtd.Refuse(`{"reason":"refused"}`)
	}
	reply(s, append(appendQuoted(append(out[:0], `{"name":`...), a.name), '}'))
	return nil
}

func (a *Actor) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "say":
		return a.say(s, payload)
	case "last":
		a.last(s)
		return nil
	case "shout":
		s.Broadcast("shout", payload)
		s.Reply("ok", nil)
		return nil
	case "work":
		p, err := parse(payload)
		if err != nil {
			return err
		}
		reply(s, append(strconv.AppendUint(append(out[:0], `{"sum":`...), uint64(work(p.n)), 10), '}'))
		return nil
	case "random":
		reply(s, fmt.Appendf(out[:0], "[%d,%d,%d,%d]", rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32()))
		return nil
	case "crash":
		panic("crash requested")
	case "spin":
		for {
		}
	case "alloc":
		for {
			hoard = append(hoard, make([]byte, 64<<10))
		}
	case "recurse":
		overflow()
		return nil
	case "exit":
		os.Exit(3)
	}
	return errors.New("unknown event")
}

func (a *Actor) say(s *rtd.Socket, payload []byte) error {
	p, err := parse(payload)
	if err != nil {
		return err
	}
	if !p.hasBody {
		return errMalformed
	}
	a.kept[a.count%keep] = clip(p.body, maxText)
	a.count++
	b := append(out[:0], `{"count":`...)
	b = strconv.AppendInt(b, int64(a.count), 10)
	b = append(b, `,"name":`...)
	b = appendQuoted(b, a.name)
	b = append(b, `,"oldest":`...)
	b = appendQuoted(b, a.kept[a.oldest()%keep])
	reply(s, append(b, '}'))
	return nil
}

func (a *Actor) last(s *rtd.Socket) {
	b := append(out[:0], '[')
	for n := a.oldest(); n < a.count; n++ {
		if n > a.oldest() {
			b = append(b, ',')
		}
		b = appendQuoted(b, a.kept[n%keep])
	}
	reply(s, append(b, ']'))
}

// out is where responses are built, and wiped when they are out: nothing of
// them stays in the state of an idle actor.
var out = make([]byte, 0, 4096)

func reply(s *rtd.Socket, response []byte) {
	s.Reply("ok", response)
	clear(response)
}

func (a *Actor) oldest() int { return max(0, a.count-keep) }

type payload struct {
	hasBody    bool
	body, name []byte // lie in the inbox
	refuse     bool
	n          uint32
}

var errMalformed = errors.New("malformed payload")

func parse(text []byte) (p payload, err error) {
	r := reader{text: text}
	if !utf8.Valid(text) || !p.members(&r) || !r.end() {
		return payload{}, errMalformed
	}
	return p, nil
}

func (p *payload) members(r *reader) bool {
	if r.null() {
		return true
	}
	if !r.take('{') {
		return false
	}
	if r.take('}') {
		return true
	}
	for {
		key, ok := r.key()
		if !ok || !p.member(r, key) {
			return false
		}
		if !r.take(',') {
			return r.take('}')
		}
	}
}

func (p *payload) member(r *reader, key []byte) (ok bool) {
	switch string(key) {
	case "body":
		if p.hasBody = !r.null(); p.hasBody {
			p.body, ok = r.string()
			return ok
		}
		return true
	case "name":
		if !r.null() {
			p.name, ok = r.string()
			return ok
		}
		return true
	case "refuse":
		if !r.null() {
			p.refuse, ok = r.bool()
			return ok
		}
		return true
	case "n":
		if !r.null() {
			p.n, ok = r.uint32()
			return ok
		}
		return true
	}
	return r.skip(1)
}

// clip copies at most size bytes of a text, without cutting a character.
func clip(text []byte, size int) string {
	if len(text) > size {
		for !utf8.RuneStart(text[size]) {
			size--
		}
		text = text[:size]
	}
	return string(text)
}

// work adds n rounds of a xorshift generator to an array of 4 KiB, which is
// zero before and after.
func work(n uint32) (sum uint32) {
	x := uint32(1)
	for range n {
		for i := range cells {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			cells[i] += x
		}
	}
	for _, cell := range cells {
		sum += cell
	}
	clear(cells[:])
	return sum
}

var (
	cells [1024]uint32
	hoard [][]byte
)

// overflow has a large frame, which is not to be a part of handle's.
//
//go:noinline
func overflow() { recurse([1024]byte{}) }

// recurse takes 1 KiB of stack at a time: with small frames Go would be busy for
// seconds, moving its stack, before it runs out of memory.
func recurse(frame [1024]byte) byte {
	frame[0]++
	return recurse(frame) ^ frame[1]
}
