package main

import (
	"encoding/json"
	"errors"
	"slices"

	rtd "rtd/sdk/go"
)

// Shared is one handler for all who join a topic. It knows the orders of a Room, and some more.
type Shared struct {
	Room
	members []*rtd.Socket
}

func (h *Shared) Join(s *rtd.Socket, payload []byte) error {
	if err := h.Room.Join(s, payload); err != nil {
		return err
	}
	h.members = append(h.members, s)
	return nil
}

func (h *Shared) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "members":
		ids := []string{}
		for _, m := range h.members {
			ids = append(ids, m.Member())
		}
		s.Reply("ok", toJSON(map[string]any{"members": ids, "self": s.Member()}))
	case "push_to", "broadcast_from_other":
		var o order
		if err := json.Unmarshal(payload, &o); err != nil {
			return errors.New(event + ": " + err.Error())
		}
		i := slices.IndexFunc(h.members, func(m *rtd.Socket) bool { return m.Member() == o.To })
		switch {
		case i < 0:
			s.Reply("error", []byte(`{"reason":"no such member"}`))
			return nil
		case event == "push_to":
			h.members[i].Push(o.Event, o.Payload)
		default:
			h.members[i].BroadcastFrom(o.Event, o.Payload)
		}
		s.Reply("ok", nil)
	default:
		return h.Room.HandleIn(s, event, payload)
	}
	return nil
}

func (*Shared) Intercepts() []string { return intercepted }

// HandleOut passes a broadcast on to each member but the one that is left out.
func (h *Shared) HandleOut(leftOut *rtd.Socket, event string, payload []byte) error {
	for _, m := range h.members {
		if m == leftOut {
			continue
		}
		if err := out(m, event, payload); err != nil {
			return err
		}
	}
	return nil
}

// Leave tells the others.
func (h *Shared) Leave(s *rtd.Socket, reason string) error {
	h.members = slices.DeleteFunc(h.members, func(m *rtd.Socket) bool { return m == s })
	s.Broadcast("left", toJSON(map[string]any{"member": s.Member(), "reason": reason}))
	return nil
}
