// Package rtd is the Go SDK for rtd plugins: write a channel handler, build it
// to WebAssembly, drop it into the plugins folder.
//
//	package main
//
//	import rtd "rtd/sdk/go"
//
//	func main() {} // never called
//
//	func init() {
//		rtd.Handle("room:*", func() rtd.Channel { return new(Room) })
//	}
//
//	type Room struct{ sent int } // private to one client's join
//
//	func (r *Room) Join(s *rtd.Socket, payload []byte) error { return nil }
//
//	func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
//		r.sent++
//		s.Broadcast(event, payload)
//		s.Reply("ok", nil)
//		return nil
//	}
//
// Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o room.wasm .
//
// # How it runs
//
// Every join has a process of its own with its own copy of the whole program's
// memory: fields, package variables, everything. Nothing is shared with
// other clients, so nothing needs a lock. Events arrive one at a time.
//
// What a handler asks for (Reply, Push, Broadcast …) happens when it returns
// nil, in order. If it panics, returns an error, loops past its deadline or
// outgrows its memory, none of it happens: the process crashes, and its
// supervisor starts a new one with fresh memory, for which Join runs
// again with the same payload; see [Socket.Replay].
//
// The program starts once for each version of the plugin: package variables, init
// and OnStart. Every process then begins with a copy of that memory, made in
// microseconds. What OnStart has touched costs an idle process nothing, so a
// handler that uses encoding/json may well use it once there.
//
// # Questions
//
// Why are payloads bytes? A handler that passes a payload on need not
// parse it, and a Go guest without encoding/json is a third smaller. Decode with
// what you like.
//
// How long is a payload valid? Until the method returns. Copy what you keep.
//
// May a handler start goroutines? It may, and they run while a method runs.
// Between events the instance stands still, they too.
//
// Why do Reply and its like return no error? They fail only when a handler
// asks for more than one event may (see rtd/sandbox/abi), which is a
// bug: the process crashes with that as its cause.
package rtd
