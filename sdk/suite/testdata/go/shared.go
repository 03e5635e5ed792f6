package main

import (
	"errors"
	"strconv"
	"strings"

	rtd "rtd/sdk/go"
)

// Shared is a topic.
type Shared struct {
	total int
	names map[string]string // by member
}

func (c *Shared) Join(s *rtd.Socket, payload []byte) error {
	o := parse(payload)
	if o.Refuse != "" && !s.Replay() {
		return rtd.Refuse(string(toJSON(object{"reason": o.Refuse})))
	}
	c.name(s, o.Name)
	arrive(o.Name, s)
	if o.Push != "" {
		s.Push("joined", toJSON(object{"text": o.Push, "replay": s.Replay()}))
	}
	if o.Track != "" {
		_, err := s.Presence().Track(o.Track, toJSON(object{"text": o.Name}))
		return err
	}
	return nil
}

func (c *Shared) name(s *rtd.Socket, name string) {
	if c.names == nil {
		c.names = map[string]string{}
	}
	c.names[s.Member()] = name
}

func (c *Shared) Leave(s *rtd.Socket, reason string) error {
	s.Broadcast("left", toJSON(object{"name": c.names[s.Member()], "reason": reason}))
	delete(c.names, s.Member())
	return nil
}

func (c *Shared) Intercepts() []string { return []string{"masked"} }

func (c *Shared) HandleOut(from *rtd.Socket, event string, payload []byte) error {
	for _, s := range rtd.Sockets() {
		if s != from {
			s.Push("unmasked", payload)
		}
	}
	return nil
}

func (c *Shared) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	o := parse(payload)
	switch event {
	case "total":
		c.total++
		s.Reply("ok", toJSON(object{"total": c.total}))
	case "names":
		s.Reply("ok", toJSON(object{"names": c.here()}))
	case "tell":
		for _, other := range rtd.Sockets() {
			if c.names[other.Member()] == o.Name {
				other.Push("told", toJSON(object{"text": o.Text}))
			}
		}
		s.Reply("ok", nil)
	case "present", "track", "update", "untrack", "track_self":
		if response, err := operate(s, event, o); err != nil {
			s.Reply("error", toJSON(object{"reason": word(err)}))
		} else {
			s.Reply("ok", response)
		}
	default:
		ok, err := common(s, event, o, payload)
		if !ok && err == nil {
			err = errors.New("unknown event " + event)
		}
		return err
	}
	return nil
}

// here are the names in the order of joins.
func (c *Shared) here() []string {
	names := []string{}
	for _, s := range rtd.Sockets() {
		names = append(names, c.names[s.Member()])
	}
	return names
}

func (c *Shared) Export() (string, []byte, error) {
	return schema, []byte(strings.Join(append([]string{strconv.Itoa(c.total)}, c.here()...), ",")), nil
}

func (c *Shared) Import(schema string, state []byte) error {
	if err := checkSchema(schema); err != nil {
		return err
	}
	total, names, err := cutNumber(state, ",")
	c.total = total
	for i, name := range strings.Split(names, ",") {
		if sockets := rtd.Sockets(); i < len(sockets) {
			c.name(sockets[i], name)
		}
	}
	return err
}
