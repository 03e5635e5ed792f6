//go:build wasip1

// A guest in plain Go: no SDK, nothing but the contract of package abi. Build:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o goguest.wasm .
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// op is the one function of the host.
//
//go:wasmimport rtd_v1 op
func op(record unsafe.Pointer, length uint32, out unsafe.Pointer, capacity uint32) int32

// box is where the host writes events. It is kept, so that Go's collector
// leaves it alone while the host writes.
var box []byte

//go:wasmexport inbox
func inbox(size uint32) unsafe.Pointer {
	if size > 1<<20 {
		return nil
	}
	if int(size) > len(box) {
		box = make([]byte, size)
	}
	return unsafe.Pointer(&box[0])
}

//go:wasmexport handle
func handle(size uint32) uint32 {
	event := box[:size]
	kind := binary.LittleEndian.Uint16(event)
	name, rest := field(event[4:])
	payload, _ := field(rest)
	switch kind {
	case start:
		declareAll(string(payload))
	case message:
		theRoom.on(string(name), payload)
	}
	return 0
}

func field(b []byte) (field, rest []byte) {
	n := binary.LittleEndian.Uint32(b)
	return b[4 : 4+n], b[4+n:]
}

const (
	start     = 0x001
	message   = 0x003
	reply     = 0x101
	push      = 0x102
	broadcast = 0x103
	declare   = 0x105
	log       = 0x201
	abort     = 0x202
)

var record []byte

// ask sends a record with a name and a payload.
func ask(kind uint16, name string, payload []byte) int32 {
	r := binary.LittleEndian.AppendUint16(record[:0], kind)
	r = binary.LittleEndian.AppendUint16(r, 0)
	r = binary.LittleEndian.AppendUint32(r, uint32(len(name)))
	r = append(r, name...)
	r = binary.LittleEndian.AppendUint32(r, uint32(len(payload)))
	r = append(r, payload...)
	record = r
	return op(unsafe.Pointer(&r[0]), uint32(len(r)), nil, 0)
}

// declareAll declares the lines of the config, or two topics if it is empty.
// It also tries what is not allowed before there is a client.
func declareAll(config string) {
	if config == "{}" {
		config = "go:*\ngo"
	}
	for pattern := range strings.SplitSeq(config, "\n") {
		if code := ask(declare, pattern, nil); code != 0 {
			ask(log, "error", fmt.Appendf(nil, "handles(%q) = %d", pattern, code))
		}
	}
	for _, kind := range []uint16{reply, push, broadcast} {
		if code := ask(kind, "early", nil); code != -4 {
			panic(fmt.Sprint("effect in start: ", code))
		}
	}
}

type room struct {
	count int
	hoard [][]byte
	names map[string]int
}

var theRoom = new(room)

func (r *room) on(event string, payload []byte) {
	switch event {
	case "echo":
		ask(reply, "ok", payload)
	case "count":
		r.count++
		ask(reply, "ok", strconv.AppendInt(nil, int64(r.count), 10))
	case "burst":
		ask(push, "one", payload)
		ask(broadcast, "two", payload)
		ask(reply, "ok", nil)
	case "codes":
		ask(reply, "ok", nil)
		second := ask(reply, "ok", nil)
		late := ask(declare, "late", nil)
		unknown := ask(0x1ff, "", nil)
		ask(log, "info", fmt.Appendf(nil, "%d %d %d", second, late, unknown))
	case "flood":
		n := 0
		for ask(push, "drop", payload) == 0 {
			n++
		}
		ask(log, "info", strconv.AppendInt(nil, int64(n), 10))
	case "panic":
		panic(string(payload))
	case "nil map":
		r.names["x"]++
	case "exit":
		os.Exit(7)
	case "abort":
		ask(abort, "", payload)
	case "recurse":
		r.count = recurse(1)
	case "hoard":
		for {
			r.hoard = append(r.hoard, make([]byte, 1<<20))
		}
	case "loop":
		for {
			r.count++
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "nap":
		begin := time.Now()
		time.Sleep(5 * time.Millisecond)
		ask(reply, "ok", strconv.AppendInt(nil, time.Since(begin).Milliseconds(), 10))
	case "print":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		ask(log, "warn", []byte("to the log"))
		fmt.Print("without newline")
	case "chatter":
		for n := range 1000 {
			fmt.Println("line", n)
		}
	case "shout":
		fmt.Println(strings.Repeat("x", 1<<20))
	}
}

//go:noinline
func recurse(n int) int {
	var pad [128]int
	pad[n%128] = recurse(n + 1)
	return pad[(n+1)%128] + 1
}

func main() {}
