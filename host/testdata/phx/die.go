package main

import (
	"errors"
	"os"
	"runtime"

	rtd "rtd/sdk/go"
)

// die crashes. What was asked for before it must not happen.
func (r *Room) die(s *rtd.Socket, way string) error {
	s.Broadcast("ghost", nil)
	s.Reply("ok", []byte(`{"ghost":true}`))
	if way == "bad_json" {
		s.Push("ghost", []byte(`{"body":`))
		return nil
	}
	return die(way)
}

func die(way string) error {
	switch way {
	case "panic":
		panic("told to panic")
	case "trap":
		runtime.Breakpoint() // in WebAssembly: unreachable
	case "exit":
		os.Exit(3)
	case "loop":
		loop()
	case "recurse":
		recurse(1)
	case "memory":
		allocate()
	}
	return errors.New("told to " + way)
}

var sink any // keeps the compiler from optimizing deaths away

//go:noinline
func loop() {
	for n := 0; ; n++ {
		sink = n & 1
	}
}

// Frames of recurse are large, so that there are not too many of them to be copied
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
