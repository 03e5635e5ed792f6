package rtd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	rtd "rtd/sdk/go"
)

// counter has every handler.
type counter struct {
	n     int
	later rtd.From
}

func (c *counter) Init(args []byte) error {
	if string(args) == "bad" {
		return errors.New("bad arguments")
	}
	return nil
}

func (c *counter) HandleCall(from rtd.From, question []byte) error {
	switch string(question) {
	case "later":
		c.later = from
	case "hibernate":
		rtd.Hibernate()
	default:
		c.n++
		from.Reply(fmt.Append(nil, c.n))
	}
	return nil
}

func (c *counter) HandleCast(message []byte) error {
	c.later.Reply(message)
	return nil
}

func (c *counter) HandleInfo(message []byte) error {
	rtd.Stop(string(message))
	return nil
}

func (c *counter) HandleDown(m rtd.Ref, p rtd.PID, reason string) error {
	rtd.Log("info", fmt.Sprint(m, " ", p, " ", reason))
	return nil
}

func (c *counter) HandleExit(p rtd.PID, reason string) error {
	rtd.Log("info", fmt.Sprint(p, " ", reason))
	return nil
}

func (c *counter) HandleReply(r rtd.Ref, answer []byte, err error) error {
	rtd.Log("info", fmt.Sprintf("%s %s %v", r, answer, err))
	return nil
}

func (c *counter) Terminate(reason string) { rtd.Log("info", "ended: "+reason) }

func TestServer(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.Serve("counter", func() rtd.Server { return new(counter) })
	if cause := h.Init("nobody", ""); !strings.Contains(cause, "rtd.Serve") {
		t.Errorf("init of an unknown module: %q", cause)
	}
	if cause := h.Init("counter", "bad"); cause != "bad arguments" {
		t.Errorf("cause = %q", cause)
	}
	h.Asked = nil
	h.InitWithQuestion("counter", "", "7.1")
	h.Want("wants|terminate", "answer|7.1")

	h.Call("7.2", "add")
	h.Call("7.3", "add")
	h.Want("answer|7.2|1", "answer|7.3|2")
	h.Call("7.4", "later")
	h.Call("7.5", "hibernate")
	h.Cast("now")
	h.Want("hibernate", "answer|7.4|now")
	h.Down("3", "#9", "killed")
	h.Exit("#9", "shutdown")
	h.Reply("4", "yes")
	h.ReplyFailed("5", "killed")
	h.Want("log|info|3 #9 killed", "log|info|#9 shutdown", "log|info|4 yes <nil>",
		"log|info|5  it ended before it answered: killed")
	for _, reason := range []string{"normal", "shutdown", "shutdown: moved", "out of luck"} {
		h.Info(reason)
	}
	h.Want("stop|normal", "stop|shutdown", "stop|shutdown|moved", "stop|crash|out of luck")
	h.Terminate("shutdown", "moved")
	h.Want("log|info|ended: shutdown: moved")
}

type mute struct{}

func (mute) Init([]byte) error { return nil }

func TestUnhandled(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.Serve("mute", func() rtd.Server { return mute{} })
	h.Init("mute", "")
	h.Want()
	h.Info("x")
	h.Down("1", "#2", "normal")
	h.Exit("#2", "normal")
	h.Reply("1", "")
	h.Terminate("normal", "")
	if len(h.Asked) != 4 {
		t.Errorf("not one line of log for each of four events: %q", h.Asked)
	}
	if cause := h.Call("1", ""); !strings.Contains(cause, "HandleCall(") {
		t.Errorf("call: %q", cause)
	}
	if cause := h.Cast(""); !strings.Contains(cause, "HandleCast(") {
		t.Errorf("cast: %q", cause)
	}
}

func TestErrors(t *testing.T) {
	h := rtd.NewHost(t)
	call := func() error { _, err := rtd.Call("registry", []byte("who"), 0); return err }

	h.Fail("call", rtd.ErrTimeout, "")
	err := call()
	if !errors.Is(err, rtd.ErrTimeout) || err.Error() != "call registry: no answer in time" {
		t.Errorf("err = %v", err)
	}
	h.Fail("call", rtd.ErrEnded, "out of luck")
	err = call()
	ended, ok := errors.AsType[*rtd.EndedError](err)
	if !ok || ended.Reason != "out of luck" {
		t.Errorf("err = %v", err)
	}
	h.Fail("call", -99, "")
	if err := call(); !errors.Is(err, rtd.Code(-99)) || err.Error() != "call registry: code -99" {
		t.Errorf("err = %v", err)
	}
	for reason, crash := range map[string]bool{
		"normal": false, "shutdown": false, "shutdown: moved": false, "shutdowns": true, "killed": true, "": true,
	} {
		if rtd.IsCrash(reason) != crash {
			t.Errorf("IsCrash(%q) = %v", reason, !crash)
		}
	}
}
