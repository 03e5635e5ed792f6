// A guest that makes garbage, and says how often it has been collected.
package main

import (
	_ "runtime/debug" // as plugins may
	"runtime/metrics"
	"strconv"

	rtd "rtd/sdk/go"
)

func main() {}

func init() { rtd.Handle("room:*", func() rtd.Channel { return new(Room) }) }

// Room keeps nothing of what it allocates.
type Room struct{ last []byte }

func (r *Room) Join(*rtd.Socket, []byte) error { return nil }

func (r *Room) HandleIn(s *rtd.Socket, _ string, _ []byte) error {
	r.last = make([]byte, 32<<10)
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(cycles)
	s.Reply("ok", strconv.AppendUint(nil, cycles[0].Value.Uint64(), 10))
	return nil
}
