package main

import (
	"encoding/json"
	"errors"
	"strconv"

	rtd "rtd/sdk/go"
)

func main() {}

func init() { rtd.Handle("room:*", func() rtd.Channel { return new(Room) }) }

// Room is one client's place in a room.
type Room struct {
	User string
	said int
}

func (r *Room) Join(s *rtd.Socket, payload []byte) error {
	if err := json.Unmarshal(payload, r); err != nil || r.User == "" {
		return rtd.Refuse(`{"reason":"no user"}`)
	}
	return nil
}

func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "new_message":
		r.said++
		s.Broadcast(event, payload)
		s.Reply("ok", []byte(`{"count":`+strconv.Itoa(r.said)+`}`))
	case "whoami":
		response, err := json.Marshal(map[string]string{"user": r.User})
		s.Reply("ok", response)
		return err
	case "crash":
		return errors.New("told to crash")
	default:
		s.Reply("error", []byte(`{"reason":"unknown event"}`))
	}
	return nil
}
