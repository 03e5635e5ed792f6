// Chat is rtd's sample plugin: rooms in which everybody hears everybody. Build
// it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared; rtd does so by
// itself.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.OnStart(func(table []byte) error { return json.Unmarshal(table, &config) })
	rtd.Handle("room:*", func() rtd.Channel { return new(Room) })
}

var config struct{ Token string } // [plugin.chat.config] of config.toml

// Room is one client's place in a room.
type Room struct{ user string }

func (r *Room) Join(s *rtd.Socket, payload []byte) error {
	var p struct{ Token, User string }
	if json.Unmarshal(payload, &p) != nil || p.Token == "" || p.Token != config.Token {
		return rtd.Refuse(`{"reason":"unauthorized"}`)
	}
	r.user = cmp.Or(p.User, "anonymous")
	return r.arrive(s)
}

// arrive makes the user present in the room, and tells the client who is there.
func (r *Room) arrive(s *rtd.Socket) error {
	if _, err := s.Presence().Track(r.user, nil); err != nil {
		return err
	}
	s.PushPresence()
	return nil
}

func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "new_message":
		s.Broadcast(event, r.signed(payload))
	case "shout":
		s.BroadcastFrom(event, r.signed(payload))
	case "echo":
		s.Reply("ok", payload)
		return nil
	case "crash":
		panic("crash requested by " + r.user)
	default:
		return errors.New("unknown event " + event)
	}
	s.Reply("ok", nil)
	return nil
}

type message struct {
	Body      string    `json:"body"`
	User      string    `json:"user"`
	Timestamp time.Time `json:"timestamp"`
}

// signed is the client's message with who sent it and when. A payload without
// a body, or with one that is no string, crashes the handler, as a failed
// match does in Elixir.
func (r *Room) signed(payload []byte) []byte {
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		panic(err)
	}
	m.User, m.Timestamp = r.user, time.Now().UTC()
	signed, _ := json.Marshal(m) // strings and a time always marshal
	return signed
}
