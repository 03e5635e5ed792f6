package main

import (
	"encoding/json"
	"slices"

	rtd "rtd/sdk/go"
)

func init() { rtd.Serve("registry", func() rtd.Server { return new(Registry) }) }

// Registry is a GenServer that knows who is in which room. It monitors the channel
// handlers, so that nobody has to say goodbye.
type Registry struct{ guests map[rtd.Ref]guest }

type guest struct {
	Room, User string
	PID        rtd.PID
}

// question is what the registry is asked: one of its fields is set.
type question struct {
	Enter *guest `json:",omitempty"`
	Who   string `json:",omitempty"` // is in this room
}

// enter tells the registry that this process is a user's handler.
func enter(room, user string) error {
	_, err := ask(question{Enter: &guest{room, user, rtd.Self()}})
	return err
}

// who asks for the users in a room.
func who(room string) (users []string, err error) {
	answer, err := ask(question{Who: room})
	if err != nil {
		return nil, err
	}
	return users, json.Unmarshal(answer, &users)
}

func ask(q question) ([]byte, error) { return rtd.Call("registry", toJSON(q), 0) }

func (r *Registry) Init([]byte) error {
	r.guests = map[rtd.Ref]guest{}
	return nil
}

func (r *Registry) HandleCall(from rtd.From, request []byte) error {
	var q question
	if err := json.Unmarshal(request, &q); err != nil {
		return err
	}
	if q.Enter == nil {
		from.Reply(toJSON(r.who(q.Who)))
		return nil
	}
	monitor, err := rtd.Monitor(q.Enter.PID)
	if err == nil { // else it has ended already
		r.guests[monitor] = *q.Enter
	}
	from.Reply(nil)
	return nil
}

func (r *Registry) HandleDown(monitor rtd.Ref, p rtd.PID, reason string) error {
	g := r.guests[monitor]
	rtd.Log("info", g.User+" is no longer in "+g.Room+": "+reason)
	delete(r.guests, monitor)
	return nil
}

// HandleCast is there to show a crash.
func (r *Registry) HandleCast(message []byte) error { panic(string(message)) }

func (r *Registry) who(room string) []string {
	users := []string{}
	for _, g := range r.guests {
		if g.Room == room {
			users = append(users, g.User)
		}
	}
	slices.Sort(users)
	return users
}
