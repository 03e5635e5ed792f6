package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

// Room is one client's join of a topic; see [Shared], too.
type Room struct {
	*rtd.Socket             // who joined last
	joined      []byte      // with this payload
	count       int         // messages handled
	held        []unsaid    // by the event hold, until release
	later       []func()    // what timers are to do, by their message
	report      string      // where to tell of the end
	listening   *rtd.Socket // who subscribed last
}

// unsaid is a reply that is yet to come.
type unsaid struct {
	ref    rtd.SocketRef
	answer []byte
	binary bool
}

func (u unsaid) say() {
	if u.binary {
		u.ref.ReplyBinary("ok", u.answer)
	} else {
		u.ref.Reply("ok", u.answer)
	}
}

// Join does what its payload says.
func (r *Room) Join(s *rtd.Socket, payload []byte) error {
	var o struct {
		Token     string
		MS        int
		Crash     string
		Refuse    json.RawMessage
		Reply     json.RawMessage
		Push      int
		Broadcast bool
		Report    string
		Presence  *present
	}
	if !rtd.IsBinary() {
		_ = json.Unmarshal(payload, &o) // a join may have any payload
	}
	r.Socket, r.joined, r.report = s, bytes.Clone(payload), cmp.Or(o.Report, r.report)

	kind, rest, _ := strings.Cut(s.Topic(), ":")
	if o.MS > 0 {
		if err := sleep(o.MS); err != nil {
			return err
		}
	}
	switch {
	case kind == "private" && o.Token != "secret", kind == "realtime" && strings.HasPrefix(rest, "refuse:"):
		return rtd.Refuse(`{"reason":"unauthorized"}`)
	case kind == "crash":
		o.Crash = cmp.Or(o.Crash, rest)
	}
	if o.Refuse != nil {
		return rtd.Refuse(string(o.Refuse))
	}
	if o.Reply != nil {
		s.Reply("ok", o.Reply)
	}
	for n := range o.Push {
		s.Push("joined", toJSON(map[string]any{"n": n}))
	}
	if o.Broadcast {
		s.Broadcast("entered", toJSON(map[string]any{"topic": s.Topic()}))
	}
	if o.Presence != nil {
		if err := o.Presence.arrive(s); err != nil {
			return err
		}
	}
	if o.Crash != "" && o.Crash != "none" {
		return die(o.Crash)
	}
	return nil
}

// HandleIn takes an order. First those that have any payload.
func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	r.count++
	switch event {
	case "echo":
		reply(s, "ok", payload)
	case "reply_error":
		reply(s, "error", payload)
	case "reply_text":
		s.Reply("ok", toJSON(map[string]any{"binary": rtd.IsBinary(), "size": len(payload)}))
	case "noreply":
	case "hold":
		r.held = append(r.held, unsaid{s.Ref(), bytes.Clone(payload), rtd.IsBinary()})
	case "release":
		for _, u := range slices.Backward(r.held) {
			u.say()
		}
		r.held = nil
		s.Reply("ok", nil)
	case "count":
		s.Reply("ok", toJSON(map[string]any{"count": r.count}))
	case "assigns":
		s.Reply("ok", toJSON(assignsOf(s)))
	case "join_payload":
		s.Reply("ok", r.joined)
	case "self":
		s.Reply("ok", toJSON(map[string]any{"pid": rtd.Self(), "topic": s.Topic(), "member": s.Member()}))
	case "phx_close", "phx_error", "phx_reply", "heartbeat":
		s.Reply("ok", toJSON(map[string]any{"event": event}))
	case "push_binary", "broadcast_binary", "broadcast_from_binary", "reply_binary":
		return r.binary(s, event, payload)
	case "track", "update", "untrack", "presences", "presence_count":
		return presence(s, event, payload)
	case "raise", "panic", "trap", "exit", "loop", "recurse", "memory", "bad_json":
		return r.die(s, event)
	default:
		return r.obey(s, event, payload)
	}
	return nil
}

// order is the payload of the others.
type order struct {
	Event   string // default: the order's
	Payload json.RawMessage
	Times   int // default 1
	MS      int
	Topic   string
	Reason  string
	ID      string
	To      string // member
	As      string
	Reply   json.RawMessage

	Status   string
	Response json.RawMessage
}

func (r *Room) obey(s *rtd.Socket, event string, payload []byte) error {
	var o order
	if err := json.Unmarshal(payload, &o); err != nil {
		return errors.New(event + ": " + err.Error())
	}
	o.Event, o.Times = cmp.Or(o.Event, event), cmp.Or(o.Times, 1)
	switch event {
	case "reply_status":
		s.Reply(o.Status, o.Response)
		return nil
	case "late":
		return r.after(o.MS, unsaid{s.Ref(), bytes.Clone(payload), false}.say)
	case "sleep":
		if err := sleep(o.MS); err != nil {
			return err
		}
	case "info":
		message := bytes.Clone(o.Payload)
		if err := r.after(o.MS, func() { s.Push("info", message) }); err != nil {
			return err
		}
	case "push":
		for range o.Times {
			s.Push(o.Event, o.Payload)
		}
	case "reply_then_push":
		s.Reply("ok", nil)
		s.Push(o.Event, o.Payload)
		return nil
	case "broadcast":
		for range o.Times {
			s.Broadcast(o.Event, o.Payload)
		}
	case "broadcast_from":
		for range o.Times {
			s.BroadcastFrom(o.Event, o.Payload)
		}
	case "publish":
		return answer(s, rtd.Publish(o.Topic, o.Event, o.Payload))
	case "subscribe":
		r.listening = s
		return answer(s, rtd.Subscribe(o.Topic))
	case "unsubscribe":
		rtd.Unsubscribe(o.Topic)
	case "disconnect":
		rtd.Disconnect(o.ID)
	case "report":
		r.report = o.As
	case "stop":
		if o.Reply != nil {
			s.Reply("ok", o.Reply)
		}
		rtd.Stop(o.Reason)
		return nil
	default:
		return errors.New("unknown event " + event)
	}
	s.Reply("ok", nil)
	return nil
}

// answer tells the client of an error instead of dying of it.
func answer(s *rtd.Socket, err error) error {
	if err != nil {
		s.Reply("error", toJSON(map[string]any{"reason": err.Error()}))
	} else {
		s.Reply("ok", nil)
	}
	return nil
}

// binary sends the payload's bytes, or of text as many as it says: 0, 1, 2 …
func (r *Room) binary(s *rtd.Socket, order string, payload []byte) error {
	event := "bytes"
	if !rtd.IsBinary() {
		var p struct {
			Event string
			Size  int
		}
		if err := json.Unmarshal(payload, &p); err != nil {
			return errors.New(order + ": " + err.Error())
		}
		event, payload = cmp.Or(p.Event, event), make([]byte, p.Size)
		for i := range payload {
			payload[i] = byte(i)
		}
	}
	switch order {
	case "push_binary":
		s.PushBinary(event, payload)
	case "broadcast_binary":
		s.BroadcastBinary(event, payload)
	case "broadcast_from_binary":
		s.BroadcastFromBinary(event, payload)
	case "reply_binary":
		s.ReplyBinary("ok", payload)
		return nil
	}
	s.Reply("ok", nil)
	return nil
}

// after lets a timer do something.
func (r *Room) after(ms int, do func()) error {
	_, err := rtd.SendAfter(time.Duration(ms)*time.Millisecond, []byte(strconv.Itoa(len(r.later))))
	r.later = append(r.later, do)
	return err
}

func (r *Room) HandleInfo(timer []byte) error {
	n, err := strconv.Atoi(string(timer))
	if err != nil {
		return err
	}
	r.later[n]()
	r.later[n] = nil
	return nil
}

// HandleBroadcast passes on what it hears of other topics.
func (r *Room) HandleBroadcast(topic, event string, payload []byte) error {
	if rtd.IsBinary() {
		r.listening.PushBinary("heard", payload)
		return nil
	}
	r.listening.Push("heard", toJSON(map[string]any{"topic": topic, "event": event, "payload": json.RawMessage(payload)}))
	return nil
}

// Terminate tells of the end, on a topic that others can join.
func (r *Room) Terminate(reason string) {
	if r.report == "" {
		return
	}
	err := rtd.Publish("terminated:"+r.report, "terminated", toJSON(map[string]any{"topic": r.Topic(), "reason": reason}))
	if err != nil {
		rtd.Log("error", err.Error())
	}
}

func sleep(ms int) error { return rtd.Sleep(time.Duration(ms) * time.Millisecond) }
