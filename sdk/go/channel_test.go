package rtd_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	rtd "rtd/sdk/go"
)

type room struct{ *rtd.Socket }

func (r *room) Join(s *rtd.Socket, payload []byte) error {
	if string(payload) == `"no"` {
		return rtd.Refuse(`{"reason":"no"}`)
	}
	r.Socket = s
	s.Push("welcome", nil)
	return nil
}

func (r *room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	if event == "fail" {
		return errors.New("cause of death")
	}
	s.Broadcast(event, payload)
	s.BroadcastFrom(event, payload)
	s.Reply("ok", nil)
	return nil
}

func (r *room) HandleInfo(message []byte) error {
	r.Push("info", message)
	return nil
}

// lobby is a route that is not to be taken.
type lobby struct{ room }

func (l *lobby) Join(*rtd.Socket, []byte) error { return errors.New("the wrong route") }

func TestChannel(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.Handle("lobby", func() rtd.Channel { return new(lobby) })
	rtd.Handle("room:*", func() rtd.Channel { return new(room) })
	h.Start("{}")
	h.Want("handles|lobby", "handles|room:*")
	h.Join("room:1", `"no"`, "")
	h.Want(`reply|error|{"reason":"no"}`)
	h.Join("room:1", `{}`, "")
	h.Message("hi", `[1]`, "")
	h.Info("tick")
	h.Want("push|welcome", "broadcast|hi|[1]", "broadcast_from|hi|[1]", "reply|ok", "push|info|tick")
}

func TestErrorsCrashTheChannel(t *testing.T) {
	h := rtd.NewHost(t)
	if cause := h.Join("room:1", "{}", ""); !strings.Contains(cause, "rtd.Handle") {
		t.Errorf("join without a handler: %q", cause)
	}
	rtd.Handle("*", func() rtd.Channel { return new(room) })
	if cause := h.Message("hi", "{}", ""); cause == "" {
		t.Error("a message before the join was handled")
	}
	h.Join("room:1", "{}", "")
	if cause := h.Message("fail", "{}", ""); cause != "cause of death" {
		t.Errorf("cause = %q", cause)
	}
	h.Fail("broadcast", rtd.ErrTooMuch, "")
	if cause := h.Message("hi", "{}", ""); !strings.HasPrefix(cause, "broadcast hi: too many effects") {
		t.Errorf("cause = %q", cause)
	}
}

type doc struct {
	members []string
	sockets map[string]*rtd.Socket
}

func (d *doc) Join(s *rtd.Socket, payload []byte) error {
	if string(payload) == `"no"` {
		return rtd.Refuse("{}")
	}
	if !s.Replay() {
		s.Broadcast("welcome", payload)
	}
	d.members = append(d.members, s.Member())
	d.sockets[s.Member()] = s
	s.Reply("ok", []byte(s.Member()))
	return nil
}

func (d *doc) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	s.BroadcastFrom(event, payload)
	d.sockets[string(payload)].Push("to", nil)
	s.Reply("ok", []byte(s.Topic()))
	return nil
}

func (d *doc) Leave(s *rtd.Socket, reason string) error {
	d.members = slices.DeleteFunc(d.members, func(m string) bool { return m == s.Member() })
	s.Broadcast("left", []byte(s.Member()+" "+reason))
	return nil
}

func (d *doc) Terminate(reason string) { rtd.Log("info", "ended: "+reason) }

func TestTopicChannel(t *testing.T) {
	h := rtd.NewHost(t)
	var d *doc
	rtd.HandleTopic("doc:*", func() rtd.TopicChannel {
		d = &doc{sockets: map[string]*rtd.Socket{}}
		return d
	})
	h.Start("{}")
	h.Want("handles|doc:*||topic")

	h.Join("doc:1", "1", "a")
	h.Join("doc:1", `"no"`, "x")
	h.Join("doc:1", "2", "b")
	h.Want("wants|terminate", "broadcast|welcome|1", "reply|ok|a", "reply|error|{}", "broadcast|welcome|2", "reply|ok|b")
	h.Message("edit", "a", "b")
	h.Want("broadcast_from|edit|a|b", "push|to||a", "reply|ok|doc:1")
	h.Leave("a", "left")
	h.Want("broadcast|left|a left")
	if cause := h.Message("edit", "b", "a"); cause == "" {
		t.Error("a message of a member who has left was handled")
	}

	// After a crash the members join again, and nobody waits for a reply.
	h.Asked = nil
	h.NewProcess()
	h.Members("doc:1", "b", "2", "c", "3")
	h.Want("wants|terminate")
	if !slices.Equal(d.members, []string{"b", "c"}) {
		t.Errorf("members = %v", d.members)
	}
	h.Join("doc:1", "4", "d")
	h.Want("broadcast|welcome|4", "reply|ok|d")

	// A durable one wakes, and learns who has gone and who has come.
	h.Members("doc:1", "d", "4", "e", "5")
	h.Want("broadcast|left|b shutdown: closed", "broadcast|left|c shutdown: closed")
	if !slices.Equal(d.members, []string{"d", "e"}) {
		t.Errorf("members = %v", d.members)
	}
	h.Members("doc:1")
	h.Want("broadcast|left|d shutdown: closed", "broadcast|left|e shutdown: closed")
	h.Terminate("shutdown", "drained")
	h.Want("log|info|ended: shutdown: drained")
}
