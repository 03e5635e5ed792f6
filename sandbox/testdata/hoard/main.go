// Hoard is a guest that keeps much, and leaves garbage with each message.
package main

import (
	"math/rand/v2"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.Handle("hoard:*", func() rtd.Channel { return &hoard{} })
}

type hoard struct{ kept []byte }

// garbage makes sure that what is allocated is on the heap.
var garbage []byte

func (h *hoard) Join(*rtd.Socket, []byte) error {
	h.kept = random(300 << 10)
	return nil
}

func (h *hoard) HandleIn(*rtd.Socket, string, []byte) error {
	garbage = random(1000)
	garbage = nil
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
