package rtd_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	rtd "rtd/sdk/go"
)

// mirror sends everything that it gets, in the form in which it came.
type mirror struct {
	*rtd.Socket
	refs []rtd.SocketRef
}

func (m *mirror) Join(s *rtd.Socket, payload []byte) error {
	m.Socket = s
	if s.Ref() != (rtd.SocketRef{}) {
		return errors.New("there is no later reply to a join")
	}
	return nil
}

func (m *mirror) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch {
	case event == "later":
		m.refs = append(m.refs, s.Ref())
	case rtd.IsBinary():
		s.PushBinary(event, payload)
		s.BroadcastBinary(event, payload)
		s.BroadcastFromBinary(event, payload)
		s.ReplyBinary("ok", payload)
		return rtd.PublishBinary("other", event, payload)
	default:
		s.Reply("I'm a teapot", s.Assigns())
	}
	return nil
}

func (m *mirror) HandleInfo(message []byte) error {
	for _, ref := range slices.Backward(m.refs) {
		ref.Reply("ok", message)
	}
	m.refs[0].ReplyBinary("done", message)
	return nil
}

func (m *mirror) Intercepts() []string { return []string{"joke", "news"} }

func (m *mirror) HandleOut(s *rtd.Socket, event string, payload []byte) error {
	s.Push(event, append([]byte("not "), payload...))
	return nil
}

func (m *mirror) HandleBroadcast(topic, event string, payload []byte) error {
	if event == "stop" {
		rtd.Unsubscribe(topic)
		rtd.Disconnect("users:7")
	}
	m.Push(topic+" "+event, payload)
	return nil
}

func joinMirror(t *testing.T) *rtd.Host {
	h := rtd.NewHost(t)
	rtd.Handle("*", func() rtd.Channel { return new(mirror) })
	if cause := h.JoinWithAssigns("room:1", "{}", "", `{"user":7}`); cause != "" {
		t.Fatal(cause)
	}
	h.Want("intercept|joke", "intercept|news")
	return h
}

func TestBinary(t *testing.T) {
	h := joinMirror(t)
	h.BinaryMessage("bytes", "\x00\xff")
	h.Want("push+binary|bytes|\x00\xff", "broadcast+binary|bytes|\x00\xff", "broadcast_from+binary|bytes|\x00\xff",
		"reply+binary|ok|\x00\xff", "publish+binary|bytes|\x00\xff|other")
	h.Message("text", "[1]", "")
	h.Want(`reply|I'm a teapot|{"user":7}`)
}

func TestReplyLater(t *testing.T) {
	h := joinMirror(t)
	h.MessageToAnswer("later", "{}", "1")
	h.Message("later", "{}", "") // nobody waits
	h.MessageToAnswer("later", "{}", "3")
	h.Want()
	h.Info("{}")
	h.Want("reply|ok|{}|3", "reply|ok|{}|1", "reply+binary|done|{}|1")
}

func TestIntercept(t *testing.T) {
	h := joinMirror(t)
	h.Out("joke", "funny", "")
	h.Want("push|joke|not funny")
}

func TestSubscribe(t *testing.T) {
	h := joinMirror(t)
	ok(t, rtd.Subscribe("news:1"))
	ok(t, rtd.Publish("news:1", "hi", []byte("{}")))
	h.BroadcastOf("news:1", "hi", "{}")
	h.BroadcastOf("news:1", "stop", "")
	h.Want("subscribe|news:1", "publish|hi|{}|news:1", "push|news:1 hi|{}",
		"unsubscribe|news:1", "disconnect|users:7", "push|news:1 stop")

	h.Fail("subscribe", rtd.ErrDenied, "")
	h.Fail("publish", rtd.ErrDenied, "")
	for _, err := range []error{rtd.Subscribe("secret"), rtd.Publish("secret", "hi", nil)} {
		if !errors.Is(err, rtd.ErrDenied) || !strings.Contains(err.Error(), " secret: ") {
			t.Errorf("err = %v", err)
		}
	}

	// A server has the same; one without a method for broadcasts says so in the log.
	h.Asked = nil
	rtd.Serve("counter", func() rtd.Server { return new(counter) })
	h.Init("counter", "")
	h.Asked = nil
	h.BroadcastOf("news:1", "hi", "{}")
	if len(h.Asked) != 1 || !strings.HasPrefix(h.Asked[0], "log|warn|dropped: the broadcast") {
		t.Errorf("asked for %q", h.Asked)
	}
}

// board is a TopicChannel that intercepts, for all its members.
type board struct{ doc }

func (b *board) Intercepts() []string { return []string{"news"} }

func (b *board) HandleOut(s *rtd.Socket, event string, payload []byte) error {
	for _, name := range b.members {
		if member := b.sockets[name]; member != s {
			member.PushBinary(event, append(payload, member.Assigns()...))
		}
	}
	if s.Topic() != "doc:1" {
		return errors.New("a socket of nothing")
	}
	return nil
}

func TestTopicChannelIntercepts(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.HandleTopic("doc:*", func() rtd.TopicChannel { return &board{doc{sockets: map[string]*rtd.Socket{}}} })
	h.JoinWithAssigns("doc:1", "{}", "a", "A")
	h.JoinWithAssigns("doc:1", "{}", "b", "B")
	h.Asked = nil
	both := []string{"push+binary|news|1A|a", "push+binary|news|1B|b"}
	h.Out("news", "1", "")
	h.Want(both...)
	h.Out("news", "1", "a") // a's own BroadcastFrom
	h.Want(both[1])
	h.Out("news", "1", "x") // who has left meanwhile
	h.Want(both...)

	// After a crash the same holds.
	h.NewProcess()
	h.MembersWithAssigns("doc:1", rtd.Fields("a", "{}", "b", "{}"), rtd.Fields("A", "B"))
	h.Want("wants|terminate", "intercept|news")
	h.Out("news", "1", "")
	h.Want(both...)
}
