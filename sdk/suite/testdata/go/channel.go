package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	rtd "rtd/sdk/go"
)

// Suite is one client's join.
type Suite struct {
	*rtd.Socket
	record      string
	count       int
	later, held rtd.SocketRef
}

// order is what a payload can say.
type order struct {
	Crash, Refuse, Record, Welcome, Push, Name, Track                           string
	Status, Text, Reason, Event, Topic, ID, Level, Key, Timer, To, Ref, Restart string
	Module, Args, Under, Link, On, Zone, Layout                                 string
	MS, N, After, Limit, Years, Months, Days                                    int
}

func parse(payload []byte) (o order) {
	if !rtd.IsBinary() {
		_ = json.Unmarshal(payload, &o) // what is something else says nothing
	}
	return o
}

func (c *Suite) Join(s *rtd.Socket, payload []byte) error {
	c.Socket = s
	o := parse(payload)
	switch {
	case o.Crash != "":
		return errors.New(o.Crash)
	case o.Refuse != "":
		return rtd.Refuse(string(toJSON(object{"reason": o.Refuse})))
	}
	c.record = o.Record
	arrive(o.Record, s)
	if o.Push != "" {
		s.Push("joined", toJSON(object{"text": o.Push, "replay": s.Replay()}))
	}
	if o.Welcome != "" {
		s.Reply("ok", toJSON(object{"welcome": o.Welcome}))
	}
	return nil
}

// arrive records a join.
func arrive(name string, s *rtd.Socket) {
	switch {
	case name == "":
	case s.Replay():
		record("rejoin " + name)
	default:
		record("join " + name)
	}
}

func (c *Suite) Terminate(reason string) {
	if c.record != "" {
		record("terminate " + c.record + " " + reason)
	}
}

func (c *Suite) Away(_ *rtd.Socket, reason string) error {
	if c.record != "" {
		record("away " + c.record + " " + reason)
	}
	return nil
}

func (c *Suite) Back(s *rtd.Socket, payload []byte) error {
	o := parse(payload)
	if o.Refuse != "" {
		return rtd.Refuse(string(toJSON(object{"reason": o.Refuse})))
	}
	c.record = o.Record
	if o.Record != "" {
		record("back " + o.Record)
	}
	if o.Push != "" {
		s.Push("joined", toJSON(object{"text": o.Push, "replay": s.Replay()}))
	}
	if o.Welcome != "" {
		s.Reply("ok", toJSON(object{"welcome": o.Welcome}))
	}
	return nil
}

func (c *Suite) Intercepts() []string { return []string{"masked"} }

func (c *Suite) HandleOut(s *rtd.Socket, event string, payload []byte) error {
	s.Push("unmasked", payload)
	return nil
}

func (c *Suite) HandleBroadcast(topic, event string, payload []byte) error {
	if rtd.IsBinary() {
		c.PushBinary("heard", payload)
	} else {
		c.Push("heard", toJSON(object{"topic": topic, "event": event, "payload": json.RawMessage(payload)}))
	}
	return nil
}

func (c *Suite) HandleInfo(message []byte) error {
	if string(message) == "reply later" {
		c.later.Reply("ok", []byte(`{"late":true}`))
	} else {
		c.Push("info", toJSON(object{"text": string(message)}))
	}
	return nil
}

func (c *Suite) HandleDown(monitor rtd.Ref, p rtd.PID, reason string) error {
	c.Push("down", toJSON(object{"ref": monitor, "pid": p, "reason": reason}))
	return nil
}

func (c *Suite) HandleExit(p rtd.PID, reason string) error {
	c.Push("exit", toJSON(object{"pid": p, "reason": reason}))
	return nil
}

func (c *Suite) HandleReply(ref rtd.Ref, answer []byte, err error) error {
	if err != nil {
		c.Push("reply", toJSON(object{"ref": ref, "reason": word(err)}))
	} else {
		c.Push("reply", toJSON(object{"ref": ref, "answer": string(answer)}))
	}
	return nil
}

func (c *Suite) Export() (string, []byte, error) {
	return schema, []byte(strconv.Itoa(c.count)), nil
}

func (c *Suite) Import(schema string, state []byte) (err error) {
	if err := checkSchema(schema); err != nil {
		return err
	}
	c.Socket = rtd.Sockets()[0]
	c.count, _, err = cutNumber(state, " ")
	return err
}

func (c *Suite) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	c.count++
	o := parse(payload)
	switch event {
	case "quiet":
	case "config":
		s.Reply("ok", config)
	case "count":
		s.Reply("ok", toJSON(object{"count": c.count}))
	case "later":
		c.later = s.Ref()
		_, err := rtd.SendAfter(ms(o.MS), []byte("reply later"))
		return err
	case "hold":
		c.held = s.Ref()
	case "release":
		if rtd.IsBinary() {
			c.held.ReplyBinary("ok", payload)
		} else {
			c.held.Reply("ok", toJSON(object{"text": o.Text}))
		}
		s.Reply("ok", nil)
	case "stop":
		s.Reply("ok", nil)
		rtd.Stop(o.Reason)
	case "stop_quietly":
		rtd.Stop(o.Reason)
	case "push", "publish":
		return send(s, event, o, payload)
	case "vector":
		s.Reply("error", []byte(`{"reason":"unit"}`))
	default:
		if ok, err := common(s, event, o, payload); ok || err != nil {
			return err
		}
		answer, err := operate(s, event, o)
		switch {
		case errors.Is(err, errUnknown):
			return err
		case err != nil:
			s.Reply("error", toJSON(object{"reason": word(err)}))
		default:
			s.Reply("ok", answer)
		}
	}
	return nil
}

// common are the messages that both kinds of channel take.
func common(s *rtd.Socket, event string, o order, payload []byte) (ok bool, err error) {
	switch event {
	case "echo":
		if rtd.IsBinary() {
			s.ReplyBinary("ok", payload)
		} else {
			s.Reply("ok", payload)
		}
	case "status":
		s.Reply(o.Status, toJSON(object{"text": o.Text}))
	case "assigns":
		s.Reply("ok", s.Assigns())
	case "socket":
		s.Reply("ok", toJSON(object{"topic": s.Topic(), "member": s.Member(), "replay": s.Replay(), "pid": rtd.Self()}))
	case "broadcast", "broadcast_from":
		return true, send(s, event, o, payload)
	case "crash":
		s.Push("never", nil)
		return true, errors.New(o.Text)
	case "trap":
		s.Push("never", nil)
		panic("trap")
	default:
		return false, nil
	}
	return true, nil
}

// send sends the text, or the bytes.
func send(s *rtd.Socket, how string, o order, payload []byte) error {
	topic := o.Topic
	if rtd.IsBinary() {
		o.Event, topic = "bytes", "suite:bytes"
	} else {
		payload = toJSON(object{"text": o.Text})
	}
	var err error
	switch binary := rtd.IsBinary(); {
	case how == "publish" && binary:
		err = rtd.PublishBinary(topic, o.Event, payload)
	case how == "publish":
		err = rtd.Publish(topic, o.Event, payload)
	default:
		methods := map[string][2]func(string, []byte){
			"push":           {s.Push, s.PushBinary},
			"broadcast":      {s.Broadcast, s.BroadcastBinary},
			"broadcast_from": {s.BroadcastFrom, s.BroadcastFromBinary},
		}[how]
		if binary {
			methods[1](o.Event, payload)
		} else {
			methods[0](o.Event, payload)
		}
	}
	if err != nil {
		s.Reply("error", toJSON(object{"reason": word(err)}))
	} else {
		s.Reply("ok", nil)
	}
	return nil
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func presence(s *rtd.Socket, o order) rtd.SocketPresence {
	return rtd.Presence(cmp.Or(o.Topic, s.Topic())).Of(s)
}
