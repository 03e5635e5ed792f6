package rtd_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	rtd "rtd/sdk/go"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestOperations(t *testing.T) {
	h := rtd.NewHost(t)
	for operation, answer := range map[string]string{
		"self": "#7", "event_id": "e1", "spawn": rtd.Fields("#8"), "monitor": "3", "send_after": "4", "cancel": "250", "whereis": "#9",
		"children": rtd.Fields("#1", "#2"), "process_info": "{}", "call": "yes", "request": "5", "await": "no",
	} {
		h.Answer(operation, answer)
	}
	rtd.Serve("counter", func() rtd.Server { return new(counter) })

	if rtd.Self() != "#7" || rtd.EventID() != "e1" {
		t.Error("Self or EventID")
	}
	h.Answer("self", "#8") // as of a durable process that goes on
	if rtd.Self() != "#8" {
		t.Error("Self is remembered")
	}
	h.Want("self", "event_id", "self")
	pid, err := rtd.Spawn("counter", []byte("args"), rtd.SpawnOptions{})
	ok(t, err)
	if pid != "#8" {
		t.Errorf("pid = %q", pid)
	}
	_, err = rtd.Spawn("counter", nil, rtd.SpawnOptions{Under: "counters", Name: "one", Link: true})
	ok(t, err)
	h.Want("spawn|counter|args", "spawn+link|counter||counters|one")
	if _, err := rtd.Spawn("nobody", nil, rtd.SpawnOptions{}); err == nil || len(h.Asked) > 0 {
		t.Errorf("spawn of an unknown module: %v, %q", err, h.Asked)
	}

	ok(t, rtd.Link("#8"))
	ok(t, rtd.Unlink("#8"))
	rtd.TrapExit(true)
	rtd.TrapExit(false)
	ok(t, rtd.Exit("#8", "kill"))
	monitor, err := rtd.Monitor("registry")
	ok(t, err)
	ok(t, rtd.Demonitor(monitor))
	ok(t, rtd.Register("me", rtd.Self()))
	ok(t, rtd.Unregister("me"))
	at, err := rtd.Whereis("registry")
	ok(t, err)
	h.Want("link|#8", "unlink|#8", "trap_exit|on", "trap_exit|off", "exit|#8|kill", "monitor|registry", "demonitor|3",
		"self", "register|me|#8", "unregister|me", "whereis|registry")

	ok(t, rtd.Send(at, []byte("hello")))
	timer, err := rtd.SendAfter(1500*time.Microsecond, []byte("tick"))
	ok(t, err)
	left, err := rtd.Cancel(timer)
	ok(t, err)
	if left != 250*time.Millisecond {
		t.Errorf("left = %v", left)
	}
	ok(t, rtd.Sleep(-1))
	h.Want("send|#9|hello", "send_after||tick|2", "cancel|4", "sleep|||0")

	children, err := rtd.Children("counters")
	ok(t, err)
	if !slices.Equal(children, []rtd.PID{"#1", "#2"}) {
		t.Errorf("children = %v", children)
	}
	ok(t, rtd.StopChild("#1"))
	info, err := rtd.Info("registry")
	ok(t, err)
	if string(info) != "{}" {
		t.Errorf("info = %q", info)
	}
	h.Want("children|counters", "stop_child|#1", "process_info|registry")

	answer, err := rtd.Call("accounts/registry", []byte("who"), 0)
	ok(t, err)
	request, err := rtd.Request("registry", []byte("who"))
	ok(t, err)
	other, err := rtd.Await(request, time.Second)
	ok(t, err)
	_, err = rtd.Await(request, -1)
	ok(t, err)
	_, err = rtd.RequestNotify("registry", []byte("who"))
	ok(t, err)
	ok(t, rtd.Cast("registry", []byte("hello")))
	h.Want("call|accounts/registry|who|5000", "request|registry|who", "await|5||1000", "await|5||31536000000",
		"request+notify|registry|who", "cast|registry|hello")
	if string(answer) != "yes" || string(other) != "no" {
		t.Errorf("answers %q, %q: the first does not outlive the second", answer, other)
	}
}

func TestLargeAnswer(t *testing.T) {
	h := rtd.NewHost(t)
	large := strings.Repeat("0123456789", 1000)
	h.Answer("call", large)
	answer, err := rtd.Call("registry", nil, 0)
	if err != nil || string(answer) != large {
		t.Errorf("got %d bytes, %v", len(answer), err)
	}
}
