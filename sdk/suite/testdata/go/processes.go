package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

var errTold = errors.New("told to crash")

// Recorder keeps lines.
type Recorder struct{ lines []byte }

func (r *Recorder) Init([]byte) error { return nil }

func (r *Recorder) HandleCast(line []byte) error {
	if len(r.lines)+len(line) < 4000 {
		r.lines = append(append(r.lines, line...), '\n')
	}
	return nil
}

func (r *Recorder) HandleCall(from rtd.From, question []byte) error {
	if string(question) == "clear" {
		r.lines = nil
	}
	from.Reply(r.lines)
	return nil
}

// Server does what it is told.
type Server struct {
	args string
	n    int
	kept rtd.From
}

func (s *Server) Init(args []byte) error {
	if s.args = string(args); s.args == "crash" {
		return errors.New("init crashed")
	}
	record("init " + s.args)
	return nil
}

func (s *Server) HandleCall(from rtd.From, question []byte) error {
	s.n++
	q := string(question)
	answer := "echo: " + q
	switch q {
	case "args":
		answer = s.args
	case "count":
		answer = strconv.Itoa(s.n)
	case "self":
		answer = string(rtd.Self())
	case "later":
		s.kept = from
		_, err := rtd.SendAfter(20*time.Millisecond, []byte("answer"))
		return err
	case "never":
		return nil
	case "crash":
		return errTold
	case "trap":
		panic("trap")
	case "stop":
		answer = "stopped"
		rtd.Stop(rtd.Normal)
	}
	if name, ok := strings.CutPrefix(q, "ask "); ok {
		b, err := rtd.Call(rtd.PID(name), []byte("args"), 0)
		if answer = string(b); err != nil {
			answer = word(err)
		}
	}
	from.Reply([]byte(answer))
	return nil
}

func (s *Server) HandleCast(message []byte) error {
	m := string(message)
	if m == "crash" {
		return errTold
	}
	if reason, ok := strings.CutPrefix(m, "stop "); ok {
		rtd.Stop(reason)
		return nil
	}
	record("cast " + m)
	return nil
}

func (s *Server) HandleInfo(message []byte) error {
	if string(message) == "answer" {
		s.kept.Reply([]byte("late"))
	} else {
		record("info " + string(message))
	}
	return nil
}

func (s *Server) Terminate(reason string) { record("terminate " + s.args + " " + reason) }

func (s *Server) Export() (string, []byte, error) {
	return schema, []byte(strconv.Itoa(s.n) + " " + s.args), nil
}

func (s *Server) Import(schema string, state []byte) (err error) {
	if err := checkSchema(schema); err != nil {
		return err
	}
	s.n, s.args, err = cutNumber(state, " ")
	return err
}

// The agent.
var (
	counter = rtd.NewAgent("counter", func(args []byte) (int, error) { return strconv.Atoi(string(args)) })
	get     = counter.Get("get", func(n int, _ []byte) []byte { return []byte(strconv.Itoa(n)) })
	set     = counter.Update("set", func(n *int, arg []byte) { *n = toInt(arg) })
	add     = counter.GetAndUpdate("add", func(n *int, arg []byte) []byte {
		*n += toInt(arg)
		return []byte(strconv.Itoa(*n))
	})
	crash = counter.Get("crash", func(int, []byte) []byte { panic("told to crash") })
)

func toInt(text []byte) int {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		panic(err)
	}
	return n
}

var job = rtd.NewTask("job", func(args []byte) ([]byte, error) {
	switch string(args) {
	case "crash":
		return nil, errors.New("job crashed")
	case "slow":
		return []byte("slow"), rtd.Sleep(100 * time.Millisecond)
	}
	record("job " + string(args))
	return append([]byte("done "), args...), nil
})

var events = rtd.NewEventManager("events",
	rtd.HandlerSpec{ID: "keeper", Module: "listener", Args: []byte("keeper"), Restart: true},
	rtd.HandlerSpec{ID: "flimsy", Module: "listener", Args: []byte("flimsy")})

// Listener handles events.
type Listener struct {
	id    string
	heard []string
}

func (l *Listener) Init(args []byte) error {
	l.id = string(args)
	record("listening " + l.id)
	if l.id == "crash" {
		return errors.New("init crashed")
	}
	return nil
}

func (l *Listener) HandleEvent(event []byte) error {
	switch string(event) {
	case "crash " + l.id:
		return errTold
	case "leave " + l.id:
		rtd.Stop(rtd.Normal)
		return nil
	}
	l.heard = append(l.heard, string(event))
	return nil
}

func (l *Listener) HandleCall(from rtd.From, question []byte) error {
	if string(question) == "crash" {
		return errTold
	}
	from.Reply([]byte(strings.Join(l.heard, ",")))
	return nil
}

// Archive is a listener that hands on what it has heard.
type Archive struct{ Listener }

func (a *Archive) Export() (string, []byte, error) {
	return schema, []byte(a.id + " " + strings.Join(a.heard, ",")), nil
}

func (a *Archive) Import(schema string, state []byte) error {
	id, heard, _ := strings.Cut(string(state), " ")
	a.id, a.heard = id, strings.Split(heard, ",")
	return checkSchema(schema)
}
