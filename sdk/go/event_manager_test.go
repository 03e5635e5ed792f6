package rtd_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	rtd "rtd/sdk/go"
)

type strikes struct{ counter }

func (s *strikes) HandleEvent(event []byte) error {
	if string(event) == "fail" {
		return errors.New("told to fail")
	}
	rtd.Log("info", "saw "+string(event))
	return nil
}

// managerHost has a manager with two declared handlers, of which the second is
// restarted.
func managerHost(t *testing.T) (*rtd.Host, rtd.EventManager) {
	h := rtd.NewHost(t)
	rtd.ServeEvents("strikes", func() rtd.EventHandler { return new(strikes) })
	m := rtd.NewEventManager("moderation",
		rtd.HandlerSpec{ID: "audit", Module: "strikes", Args: []byte("a")},
		rtd.HandlerSpec{ID: "strikes", Restart: true})
	return h, m
}

func startManager(t *testing.T) *rtd.Host {
	h, _ := managerHost(t)
	h.Answer("spawn", rtd.Fields("#10"), rtd.Fields("#11"))
	h.Init("moderation", "")
	h.Want("trap_exit|on", "spawn+link|strikes|a", "spawn+link|strikes")
	return h
}

// list asks the manager for its handlers.
func list(h *rtd.Host, ids ...string) {
	h.Call("list", rtd.Fields("list", ""))
	h.Want("answer|list|" + rtd.Fields(append([]string{""}, ids...)...))
}

func TestEventHandler(t *testing.T) {
	h, _ := managerHost(t)
	h.InitWithQuestion("strikes", "", "7.1")
	h.Want("wants|terminate", "answer|7.1")
	h.Cast("one")
	h.Call("2", rtd.Fields("sync", "")+"two")
	h.Call("3", rtd.Fields("call", "strikes")+"add")
	h.Want("log|info|saw one", "log|info|saw two", "answer|2", "answer|3|1")
	if cause := h.Call("4", "add"); cause == "" {
		t.Error("a call past the manager was taken")
	}
	if cause := h.Cast("fail"); cause != "told to fail" {
		t.Errorf("cause = %q", cause)
	}
}

func TestNotify(t *testing.T) {
	h := startManager(t)
	h.Cast("hello")
	h.Want("cast|#10|hello", "cast|#11|hello")
	h.Fail("cast", rtd.ErrFull, "")
	if cause := h.Cast("again"); cause != "" {
		t.Errorf("the manager crashed: %s", cause)
	}
	h.Want("cast|#10|again", "log|warn|event handler audit misses an event: cast #10: "+rtd.ErrFull.Error(),
		"cast|#11|again", "log|warn|event handler strikes misses an event: cast #11: "+rtd.ErrFull.Error())
}

func TestSyncNotify(t *testing.T) {
	h := startManager(t)
	question := rtd.Fields("sync", "") + "hello"
	h.Answer("request", "1", "2")
	h.Call("9.1", question)
	h.Want("request+notify|#10|"+question, "request+notify|#11|"+question)
	h.Reply("2", "")
	h.Cast("meanwhile")
	h.Want("cast|#10|meanwhile", "cast|#11|meanwhile")
	h.ReplyFailed("1", "told to fail") // a crash counts as handled
	h.Want("answer|9.1|" + rtd.Fields(""))

	h.Fail("request", rtd.ErrNoProcess, "") // both are about to be missed
	h.Call("9.2", question)
	h.Asked = h.Asked[2:]
	h.Want("answer|9.2|" + rtd.Fields(""))
}

func TestHandlersCrash(t *testing.T) {
	h := startManager(t)
	h.Exit("#10", "told to fail")
	h.Want("log|warn|event handler audit is removed: told to fail")
	list(h, "strikes")
	for range 3 {
		h.Exit("#11", "told to fail")
		h.Want("spawn+link|strikes")
	}
	h.Exit("#99", "somebody else")
	h.Exit("#11", "told to fail")
	h.Want("log|warn|event handler strikes is removed: told to fail")
	list(h)

	h = startManager(t)
	h.Exit("#11", "normal") // it removed itself
	h.Want()
	list(h, "audit")
}

func TestAddRemove(t *testing.T) {
	h := startManager(t)
	add := func(id string) string { return rtd.Fields("add", id, "strikes", "true") + "args" }
	h.Call("1", add("audit"))
	h.Want("answer|1|" + rtd.Fields("-12"))

	h.Answer("spawn", rtd.Fields("#12", "5"))
	h.Call("2", add("third"))
	h.Want("spawn+link+request+notify|strikes|args")
	h.Reply("5", "")
	h.Want("answer|2|" + rtd.Fields(""))
	list(h, "audit", "strikes", "third")

	h.Answer("spawn", rtd.Fields("#13", "6"))
	h.Call("3", add("fourth"))
	h.Exit("#13", "bad arguments") // its Init failed: no restart
	h.ReplyFailed("6", "bad arguments")
	h.Want("spawn+link+request+notify|strikes|args", "log|warn|event handler fourth is removed: bad arguments",
		"answer|3|"+rtd.Fields("-8")+"bad arguments")

	h.Call("4", rtd.Fields("remove", "audit"))
	h.Exit("#10", "shutdown")
	h.Call("5", rtd.Fields("remove", "audit"))
	h.Want("exit|#10|shutdown", "answer|4|"+rtd.Fields(""), "answer|5|"+rtd.Fields("-5"))
	list(h, "strikes", "third")
}

func TestCallHandler(t *testing.T) {
	h := startManager(t)
	question := rtd.Fields("call", "strikes") + "how many"
	h.Answer("request", "1")
	h.Call("9.1", question)
	h.Reply("1", "three")
	h.Call("9.2", rtd.Fields("call", "nobody")+"how many")
	h.Want("request+notify|#11|"+question, "answer|9.1|"+rtd.Fields("")+"three", "answer|9.2|"+rtd.Fields("-5"))
	if cause := h.Call("9.3", "how many"); cause == "" {
		t.Error("a call past the methods was taken")
	}
}

// The other side: what the methods ask the manager, and make of the answers.
func TestEventManager(t *testing.T) {
	h, m := managerHost(t)
	ok(t, m.Notify([]byte("hello")))
	h.Answer("call", rtd.Fields("")+"three", rtd.Fields(""), rtd.Fields(""), rtd.Fields(""),
		rtd.Fields("", "audit", "strikes"), rtd.Fields("-12"), rtd.Fields("-8")+"why", rtd.Fields("error")+"why")
	answer, err := m.Call("strikes", []byte("how many"), time.Second)
	ok(t, err)
	if string(answer) != "three" {
		t.Errorf("answer = %q", answer)
	}
	ok(t, m.SyncNotify([]byte("hello"), 0))
	ok(t, m.Add(rtd.HandlerSpec{ID: "third", Module: "strikes", Args: []byte("args"), Restart: true}))
	ok(t, m.Remove("third"))
	h.Want("cast|moderation|hello",
		"call|moderation|"+rtd.Fields("call", "strikes")+"how many|1000",
		"call|moderation|"+rtd.Fields("sync", "")+"hello|5000",
		"call|moderation|"+rtd.Fields("add", "third", "strikes", "true")+"args|5000",
		"call|moderation|"+rtd.Fields("remove", "third")+"|5000")
	ids, err := m.Handlers()
	if err != nil || !slices.Equal(ids, []string{"audit", "strikes"}) {
		t.Errorf("handlers %v, %v", ids, err)
	}
	if err := m.Add(rtd.HandlerSpec{ID: "audit"}); !errors.Is(err, rtd.ErrTaken) {
		t.Errorf("err = %v", err)
	}
	err = m.Add(rtd.HandlerSpec{ID: "audit"})
	if ended, ok := errors.AsType[*rtd.EndedError](err); !ok || ended.Reason != "why" {
		t.Errorf("err = %v", err)
	}
	if err := m.Remove("audit"); err == nil || err.Error() != "remove audit: why" {
		t.Errorf("err = %v", err)
	}
}
