// Phx is an application that does what it is told, for suites that test what a server
// makes of it. README.md lists its topics and events.
package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.OnConnect(connect)
	for _, pattern := range []string{"room:*", "private:*", "crash:*", "slow:*", "terminated:*", "realtime:*"} {
		rtd.Handle(pattern, func() rtd.Channel { return new(Room) })
	}
	rtd.Handle("echo:*", func() rtd.Channel { return Echo{} })
	rtd.Handle("intercept:*", func() rtd.Channel { return new(Interceptor) })
	rtd.HandleTopic("shared:*", func() rtd.TopicChannel { return new(Shared) })
}

// connect does what the client's parameters say.
func connect(c *rtd.Conn) error {
	if ms, err := strconv.Atoi(c.Param("slow")); err == nil {
		if err := rtd.Sleep(time.Duration(ms) * time.Millisecond); err != nil {
			return err
		}
	}
	if way := c.Param("crash"); way != "" {
		return die(way)
	}
	if status := c.Param("refuse"); status != "" {
		code, err := strconv.Atoi(status)
		if err != nil {
			return rtd.Refuse("{}")
		}
		return rtd.RefuseStatus(code)
	}
	user := c.Param("user")
	if user != "" {
		c.ID = "users:" + user
	}
	c.Assigns = toJSON(map[string]any{
		"user": user, "auth_token": c.AuthToken(), "mount": c.Mount(), "info": json.RawMessage(c.Info()),
	})
	return nil
}

// Echo answers everything with what it got.
type Echo struct{}

func (Echo) Join(s *rtd.Socket, payload []byte) error {
	reply(s, "ok", payload)
	return nil
}

func (Echo) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	reply(s, "ok", payload)
	return nil
}

// reply answers in the form in which the message came.
func reply(s *rtd.Socket, status string, payload []byte) {
	if rtd.IsBinary() {
		s.ReplyBinary(status, payload)
	} else {
		s.Reply(status, payload)
	}
}

// Interceptor gets the broadcasts of some events before its client does.
type Interceptor struct{ Room }

func (*Interceptor) Intercepts() []string { return intercepted }

func (*Interceptor) HandleOut(s *rtd.Socket, event string, payload []byte) error {
	return out(s, event, payload)
}

var intercepted = []string{"intercepted", "secret", "fatal"}

// out gives a client a broadcast that was intercepted, with a mark.
func out(s *rtd.Socket, event string, payload []byte) error {
	switch {
	case event == "secret":
		return nil // nobody gets it
	case event == "fatal":
		return errors.New("told to fail in HandleOut")
	case rtd.IsBinary():
		s.PushBinary(event, append([]byte("out:"), payload...))
		return nil
	}
	message := map[string]json.RawMessage{}
	if err := json.Unmarshal(payload, &message); err != nil {
		return err
	}
	message["out"] = assignsOf(s)
	s.Push(event, toJSON(message))
	return nil
}

// assignsOf is null where there was no connect.
func assignsOf(s *rtd.Socket) json.RawMessage {
	if assigns := s.Assigns(); len(assigns) > 0 {
		return assigns
	}
	return json.RawMessage("null")
}

// toJSON is for values that always marshal.
func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
