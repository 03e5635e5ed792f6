// The handler of ../guest in Go: what rtd bench talks to.
package main

import (
	"encoding/json"
	"errors"

	rtd "rtd/sdk/go"
)

func main() {}

func init() { rtd.Handle("bench:*", func() rtd.Channel { return new(Room) }) }

// Room is what an application would keep of one client.
type Room struct {
	name  string
	count int
	kept  [10]string // a ring: message n lies at n % 10
}

func (r *Room) Join(_ *rtd.Socket, payload []byte) error {
	var params struct{ Name string }
	if err := json.Unmarshal(payload, &params); err != nil {
		return err
	}
	r.name = params.Name
	return nil
}

func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "echo":
		s.Reply("ok", payload)
	case "say":
		s.Broadcast("say", payload)
	default:
		return errors.New("crash, as asked")
	}
	var message struct{ Body string }
	if err := json.Unmarshal(payload, &message); err != nil {
		return err
	}
	r.kept[r.count%len(r.kept)] = message.Body
	r.count++
	return nil
}
