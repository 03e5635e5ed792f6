package rtd_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	rtd "rtd/sdk/go"
)

func TestAgent(t *testing.T) {
	h := rtd.NewHost(t)
	words := rtd.NewAgent("words", func(args []byte) (map[string]int, error) {
		if len(args) > 0 {
			return nil, errors.New("no arguments, please")
		}
		return map[string]int{}, nil
	})
	number := func(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }
	add := words.Update("add", func(m *map[string]int, word []byte) { (*m)[string(word)]++ })
	count := words.Get("count", func(m map[string]int, word []byte) []byte { return number(m[string(word)]) })
	clear := words.GetAndUpdate("clear", func(m *map[string]int, _ []byte) []byte {
		n := len(*m)
		*m = map[string]int{}
		return number(n)
	})

	// What any process sends …
	h.Answer("call", "", "2", "1")
	ok(t, add("words", []byte("hello")))
	n, err := count("words", []byte("hello"))
	ok(t, err)
	if string(n) != "2" {
		t.Errorf("count = %q", n)
	}
	_, err = clear("#12", nil)
	ok(t, err)
	h.Want("call|words|"+rtd.Fields("add")+"hello|5000", "call|words|"+rtd.Fields("count")+"hello|5000",
		"call|#12|"+rtd.Fields("clear")+"|5000")

	// … is what the agent's process understands.
	h.Init("words", "")
	h.Call("1", rtd.Fields("add")+"hello")
	h.Call("2", rtd.Fields("add")+"hello")
	h.Call("3", rtd.Fields("count")+"hello")
	h.Call("4", rtd.Fields("clear"))
	h.Call("5", rtd.Fields("count")+"hello")
	h.Want("answer|1", "answer|2", "answer|3|2", "answer|4|1", "answer|5|0")
	if cause := h.Call("6", "hello"); !strings.Contains(cause, "registered functions") {
		t.Errorf("a call of no function: %q", cause)
	}
	if cause := h.Init("words", "x"); cause != "no arguments, please" {
		t.Errorf("cause = %q", cause)
	}
}

func TestTask(t *testing.T) {
	h := rtd.NewHost(t)
	double := rtd.NewTask("double", func(args []byte) ([]byte, error) {
		if len(args) == 0 {
			return nil, errors.New("nothing to double")
		}
		return append(args, args...), nil
	})

	h.Answer("spawn", rtd.Fields("#8", "3"))
	h.Answer("await", "abab")
	job, err := double.Async([]byte("ab"))
	ok(t, err)
	if job != (rtd.Job{PID: "#8", Ref: "3"}) {
		t.Errorf("job = %+v", job)
	}
	answer, err := job.Await(0)
	ok(t, err)
	if string(answer) != "abab" {
		t.Errorf("answer = %q", answer)
	}
	_, err = double.AsyncNolink([]byte("ab"), rtd.TaskOptions{Under: "doubles", Notify: true})
	ok(t, err)
	_, err = double.Start([]byte("ab"), "doubles")
	ok(t, err)
	h.Want("spawn+link+request|double|ab", "await|3||5000", "spawn+request+notify|double|ab|doubles", "spawn|double|ab|doubles")
	h.Fail("await", rtd.ErrEnded, "nothing to double")
	if _, err := job.Await(0); err == nil {
		t.Error("no error from a task that crashed")
	} else if ended, ok := errors.AsType[*rtd.EndedError](err); !ok || ended.Reason != "nothing to double" {
		t.Errorf("err = %v", err)
	}

	// Its process works after its init, which a supervisor waits for.
	h.Asked = nil
	h.Answer("self", "#7")
	h.InitWithQuestion("double", "ab", "7.1")
	h.Want("self", "send|#7")
	h.Info("")
	h.Want("answer|7.1|abab", "stop|normal")
	h.Init("double", "ab")
	h.Info("")
	h.Want("self", "send|#7", "stop|normal")
	h.InitWithQuestion("double", "", "7.1")
	if cause := h.Info(""); cause != "nothing to double" {
		t.Errorf("cause = %q", cause)
	}
}

func TestTree(t *testing.T) {
	h := rtd.NewHost(t)
	var config string
	rtd.OnStart(func(c []byte) error { config = string(c); return nil })
	rtd.OnStop(func() { rtd.Log("info", "second") })
	rtd.OnStop(func() { rtd.Log("info", "first") })
	rtd.DependsOn("accounts")
	rtd.Durable("doc:*", "process:counter")
	rtd.Durable("process:x")
	rtd.Serve("counter", func() rtd.Server { return new(counter) })
	rtd.Tree(
		rtd.Worker{ID: "counter"},
		rtd.Supervisor{ID: "group", Strategy: rtd.RestForOne, MaxRestarts: -1, MaxSeconds: 10, Children: []rtd.Child{
			rtd.Worker{ID: "a\"\\\n\xff", Module: "counter", Anonymous: true, Args: []byte("args"), Shutdown: -1},
			rtd.Supervisor{ID: "inner"},
		}},
		rtd.Dynamic{ID: "counters", Restart: rtd.Temporary, Shutdown: 1e9, MaxRestarts: 5},
		rtd.Worker{ID: "last", Module: "counter", Name: "end", Restart: rtd.Transient},
	)
	if cause := h.Start(`{"a":1}`); cause != "" || config != `{"a":1}` {
		t.Errorf("cause %q, config %q", cause, config)
	}
	h.Want("depends|accounts",
		"durable|doc:*",
		"durable|process:counter",
		"durable|process:x",
		"wants|stop",
		"child|counter",
		`child|group||{"type":"supervisor","strategy":"rest_for_one","max_restarts":0,"max_seconds":10}`,
		"child|a\"\\\n\xff|args|"+`{"under":"group","module":"counter","name":"","shutdown":0}`,
		`child|inner||{"type":"supervisor","under":"group"}`,
		`child|counters||{"type":"dynamic","restart":"temporary","shutdown":1000,"max_restarts":5}`,
		`child|last||{"module":"counter","name":"end","restart":"transient"}`)
	h.Stop()
	h.Want("log|info|first", "log|info|second")
}

func TestTreeMistakes(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.Tree(rtd.Supervisor{ID: "a\"\n\x80é", Children: []rtd.Child{rtd.Worker{ID: "nobody"}}})
	if cause := h.Start("{}"); !strings.Contains(cause, "no module nobody") {
		t.Errorf("cause = %q", cause)
	}

	h = rtd.NewHost(t)
	rtd.Serve("counter", func() rtd.Server { return new(counter) })
	rtd.Tree(rtd.Supervisor{ID: "a\"\\\n\x80é", Children: []rtd.Child{rtd.Worker{ID: "counter"}}})
	h.Start("{}")
	if got, want := h.Asked[1], "child|counter||"+`{"under":"a\"\\\u000a`+"\ufffdé\"}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	defer func() {
		if v := recover(); v == nil {
			t.Error("one module was registered twice")
		}
	}()
	rtd.Serve("counter", func() rtd.Server { return new(counter) })
}
