// Nasty is a guest that dies in every way there is, when it is told to.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.Handle("nasty:*", func() rtd.Channel { return new(Nasty) })
}

// Nasty is one client's join. What it counts shows whether its memory is new.
type Nasty struct{ handled int }

func (n *Nasty) Join(s *rtd.Socket, payload []byte) error { return nil }

func (n *Nasty) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	n.handled++
	switch event {
	case "slow", "say":
		if event == "slow" {
			time.Sleep(300 * time.Millisecond)
		}
		s.Broadcast(event, payload)
		s.Reply("ok", nil)
	case "count":
		s.Reply("ok", []byte(`{"handled":`+strconv.Itoa(n.handled)+`}`))
	case "print":
		flood()
		s.Reply("ok", nil)
	case "chatter":
		for range 90 {
			fmt.Println(strings.Repeat("as much as a line may have ", 150))
		}
		s.Reply("ok", nil)
	default:
		// What a guest asked for before its death must not happen.
		s.Broadcast("ghost", nil)
		return die(s, event)
	}
	return nil
}

func die(s *rtd.Socket, way string) error {
	switch way {
	case "panic":
		panic("told to panic")
	case "error":
		return errors.New("told to fail")
	case "stop":
		rtd.Stop("told to stop")
	case "exit":
		os.Exit(3)
	case "recurse":
		recurse(1)
	case "allocate":
		allocate()
	case "loop":
		loop()
	case "huge":
		for range 100_000 {
			s.Broadcast("ghost", nil)
		}
	case "badjson":
		s.Broadcast("ghost", []byte(`{"body":`))
	}
	return nil
}

var sink any // keeps the compiler from optimizing deaths away

// Its frames are large, so that there are not too many of them to be copied
// whenever the stack grows.
//
//go:noinline
func recurse(n int) int {
	var frame [4096]byte
	frame[n%len(frame)] = 1
	return recurse(n+1) + int(frame[(n+1)%len(frame)])
}

//go:noinline
func allocate() {
	var kept [][]byte
	for {
		block := make([]byte, 1<<20)
		block[0] = 1
		kept = append(kept, block)
		sink = kept
	}
}

//go:noinline
func loop() {
	for n := 0; ; n++ {
		sink = n & 1
	}
}

//go:noinline
func flood() {
	for n := range 5000 {
		fmt.Println("standard output, line", n)
		fmt.Fprintln(os.Stderr, "standard error, line", n)
	}
}
