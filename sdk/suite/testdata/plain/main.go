// The plugin room in Go as far as it goes without encoding/json, for its size.
package main

import (
	"errors"
	"strconv"

	rtd "rtd/sdk/go"
)

func main() {}

func init() { rtd.Handle("room:*", func() rtd.Channel { return new(Room) }) }

// Room is one client's place in a room.
type Room struct{ said int }

func (r *Room) Join(s *rtd.Socket, payload []byte) error { return nil }

func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	if event != "new_message" {
		return errors.New("unknown event " + event)
	}
	r.said++
	s.Broadcast(event, payload)
	s.Reply("ok", []byte(`{"count":`+strconv.Itoa(r.said)+`}`))
	return nil
}
