package rtd_test

import (
	"errors"
	"strconv"
	"testing"

	rtd "rtd/sdk/go"
)

// ledger is all that can be a Migrator, with a number as its state.
type ledger struct{ n int }

func (l *ledger) Export() (string, []byte, error) {
	if l.n < 0 {
		return "", nil, errors.New("in the red")
	}
	return "2", strconv.AppendInt(nil, int64(l.n), 10), nil
}

func (l *ledger) Import(schema string, state []byte) (err error) {
	if schema != "2" {
		return errors.New(`no state "` + schema + `"`)
	}
	l.n, err = strconv.Atoi(string(state))
	return err
}

func (l *ledger) Init(args []byte) (err error) {
	l.n, err = strconv.Atoi(string(args))
	return err
}

func (l *ledger) HandleCall(from rtd.From, question []byte) error {
	from.Reply(strconv.AppendInt(nil, int64(l.n), 10))
	return nil
}

func (l *ledger) HandleEvent([]byte) error { return nil }

func TestServerMigrates(t *testing.T) {
	for name, serve := range map[string]func(){
		"server":        func() { rtd.Serve("ledger", func() rtd.Server { return new(ledger) }) },
		"event handler": func() { rtd.ServeEvents("ledger", func() rtd.EventHandler { return new(ledger) }) },
	} {
		t.Run(name, func(t *testing.T) {
			h := rtd.NewHost(t)
			serve()
			h.Start("{}")
			h.Want("wants|export")
			h.Init("ledger", "7")
			h.Export("ledger")
			h.Want("state|2|7")
			h.Import("ledger", "2", "8", "#9", "7")
			h.Export("ledger")
			h.Want("state|2|8")
			h.Import("ledger", "1", "8", "#9", "7")
			h.Want(`reply|error|{"reason":"no state \"1\""}`)
			h.Init("ledger", "-1")
			if cause := h.Export("ledger"); cause != "in the red" {
				t.Errorf("cause = %q", cause)
			}
		})
	}
}

func TestAgentMigrates(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.NewAgent("ledger", func(args []byte) (l ledger, err error) { return l, l.Init(args) })
	rtd.NewAgent("other", func([]byte) (int, error) { return 0, nil })
	h.Start("{}")
	h.Want("wants|export")
	h.Init("ledger", "7")
	h.Export("ledger")
	h.Import("ledger", "2", "8", "#9", "")
	h.Export("ledger")
	h.Want("state|2|7", "state|2|8")
	h.Init("other", "")
	h.Export("other")
	h.Want()
	h.Import("other", "2", "8", "#9", "")
	h.Want(`reply|error|{"reason":"it takes over no state: it is no rtd.Migrator"}`)
}

// movingRoom is a channel that says what it knows of its clients.
type movingRoom struct {
	room
	ledger
}

func (r *movingRoom) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	for _, s := range rtd.Sockets() {
		s.Push("here", append([]byte(s.Topic()+" "+s.Member()+" "+strconv.FormatBool(s.Replay())+" "), s.Assigns()...))
	}
	return nil
}

func (r *movingRoom) Import(schema string, state []byte) error {
	rtd.Sockets()[0].Push("moved", nil)
	return r.ledger.Import(schema, state)
}

func (r *movingRoom) Intercepts() []string { return []string{"x"} }

func (r *movingRoom) HandleOut(*rtd.Socket, string, []byte) error { return nil }

func (r *movingRoom) Terminate(string) {}

func TestChannelMigrates(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.Handle("room:*", func() rtd.Channel { return new(movingRoom) })
	h.Start("{}")
	h.Want("handles|room:*", "wants|export")
	h.Import("room:1", "2", "5", "", `{"user":"Ada"}`, "assigned")
	h.Message("who", "{}", "")
	h.Export("room:1")
	h.Want("push|moved", "push|here|room:1  true assigned", "state|2|5")
}

type movingDoc struct{ movingRoom }

func (d *movingDoc) Leave(*rtd.Socket, string) error { return nil }

func TestTopicChannelMigrates(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.HandleTopic("doc:*", func() rtd.TopicChannel { return new(movingDoc) })
	h.Import("doc:1", "2", "5", "12", "{}", "a", "7", "{}", "", "9", "{}", "c")
	h.Asked = nil
	h.Leave("7", "left")
	h.Join("doc:1", "{}", "8")
	h.Asked = nil
	h.Message("who", "{}", "8")
	h.Want("push|here|doc:1 12 true a|12", "push|here|doc:1 9 true c|9", "push|here|doc:1 8 false |8")
}

// A manager takes its handlers along, and who waits for them.
func TestEventManagerMigrates(t *testing.T) {
	h := startManager(t)
	h.Answer("request", "1", "2", "3")
	h.Call("9.1", rtd.Fields("sync", "")+"hello")
	h.Call("9.2", rtd.Fields("call", "strikes")+"add")
	h.Reply("2", "")
	h.Asked = nil
	state := movesWith(h, "moderation", "rtd.EventManager 1")
	h.Import("moderation", "rtd.EventManager 1", state, "#7", "")
	list(h, "audit", "strikes")
	h.Reply("3", "1")
	h.Reply("1", "")
	h.Want("answer|9.2|"+rtd.Fields("")+"1", "answer|9.1|"+rtd.Fields(""))
	h.Exit("#11", "told to fail")
	h.Want("spawn+link|strikes")
	h.Exit("#10", "told to fail")
	h.Want("log|warn|event handler audit is removed: told to fail")

	h.Import("moderation", "rtd.EventManager 1", "\xff", "#7", "")
	h.Want(`reply|error|{"reason":"the event manager is of another version of the SDK: rtd.EventManager 1"}`)
}

func TestTaskMigrates(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.NewTask("double", func(args []byte) ([]byte, error) { return append(args, args...), nil })
	h.InitWithQuestion("double", "ab", "7.1")
	h.Asked = nil
	state := movesWith(h, "double", "rtd.Task 1")
	h.Import("double", "rtd.Task 1", state, "#7", "ab")
	h.Info("")
	h.Want("answer|7.1|abab", "stop|normal")
}

// movesWith lets the process export, and returns its state.
func movesWith(h *rtd.Host, module, schema string) string {
	h.Export(module)
	state := h.Asked[0][len("state|"+schema+"|"):]
	h.Asked = nil
	return state
}
