package main

import (
	"encoding/json"
	"strconv"
	"strings"

	rtd "rtd/sdk/go"
)

// moderation is an event manager that hears all that is said. Each of its handlers
// is a process of its own.
var moderation = rtd.NewEventManager("moderation",
	rtd.HandlerSpec{ID: "strikes", Restart: true},
	rtd.HandlerSpec{ID: "audit"},
)

func init() {
	rtd.ServeEvents("strikes", func() rtd.EventHandler { return new(Strikes) })
	rtd.ServeEvents("audit", func() rtd.EventHandler { return new(Audit) })
}

// said is the event.
type said struct {
	Room, User, Body string
	By               rtd.PID // the user's handler
}

// Strikes counts bad words, and tells those who say them.
type Strikes struct{ counts map[string]int }

func (s *Strikes) Init([]byte) error {
	s.counts = map[string]int{}
	return nil
}

func (s *Strikes) HandleEvent(event []byte) error {
	var e said
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	for word := range strings.FieldsSeq(strings.ToLower(e.Body)) {
		if word == "darn" || word == "heck" {
			s.counts[e.User]++
			notice := "Mind your language: strike " + strconv.Itoa(s.counts[e.User]) + "."
			_ = rtd.Send(e.By, []byte(notice)) // who has left need not know
		}
	}
	return nil
}

func (s *Strikes) HandleCall(from rtd.From, question []byte) error {
	if string(question) == "crash" {
		panic("strikes was told to crash")
	}
	from.Reply(toJSON(s.counts))
	return nil
}

// Audit writes who said how much where.
type Audit struct{}

func (a *Audit) Init([]byte) error { return nil }

func (a *Audit) HandleEvent(event []byte) error {
	var e said
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	rtd.Log("info", "audit: "+e.User+" said "+strconv.Itoa(len(e.Body))+" bytes in "+e.Room)
	return nil
}

func (a *Audit) HandleCall(from rtd.From, question []byte) error {
	panic("audit was told to " + string(question))
}
