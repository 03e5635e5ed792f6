package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

// Account counts texts, and keeps the last ones.
type Account struct {
	count int
	last  []string
}

// add fails after it has added a text that spoils it.
func (a *Account) add(text string) error {
	a.count++
	a.last = append(a.last, text)
	a.last = slices.Clone(a.last[max(0, len(a.last)-3):])
	if strings.HasPrefix(text, "spoil ") {
		return errors.New("told to crash")
	}
	return nil
}

// due adds the message of a timer, or of another process.
func (a *Account) due(message []byte) (text string, err error) {
	text = string(message)
	if rtd.Late() > 0 {
		text += " late"
	}
	return text, a.add(text)
}

func (a *Account) Export() (string, []byte, error) {
	return schema, []byte(strconv.Itoa(a.count) + "," + strings.Join(a.last, ",")), nil
}

func (a *Account) Import(schema string, state []byte) error {
	if err := checkSchema(schema); err != nil {
		return err
	}
	count, last, err := cutNumber(state, ",")
	a.count, a.last = count, nil
	if last != "" {
		a.last = strings.Split(last, ",")
	}
	return err
}

// Ledger is an account as a process.
type Ledger struct{ Account }

func (l *Ledger) Init([]byte) error { return nil }

func (l *Ledger) HandleCall(from rtd.From, question []byte) error {
	verb, text, _ := strings.Cut(string(question), " ")
	answer := strconv.Itoa(l.count + 1)
	switch verb {
	case "state":
		answer = strconv.Itoa(l.count) + " " + strings.Join(l.last, ",")
	case "id":
		answer = rtd.EventID()
	case "stop":
		answer = "stopped"
		rtd.Stop(rtd.Normal)
	case "timer":
		ms, text, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(ms)
		if err == nil {
			_, err = rtd.SendAfter(time.Duration(n)*time.Millisecond, []byte(text))
		}
		if err != nil {
			return err
		}
		answer = "set"
	default:
		if err := l.add(string(question)); err != nil {
			return err
		}
	}
	from.Reply([]byte(answer))
	return nil
}

func (l *Ledger) HandleCast(message []byte) error { return l.add(string(message)) }

func (l *Ledger) HandleInfo(message []byte) error {
	_, err := l.due(message)
	return err
}

// Durable is an account as a topic.
type Durable struct {
	Account
	names map[string]string // by member
}

func (d *Durable) Join(s *rtd.Socket, payload []byte) error {
	if d.names == nil {
		d.names = map[string]string{}
	}
	d.names[s.Member()] = parse(payload).Name
	return nil
}

func (d *Durable) Leave(s *rtd.Socket, reason string) error {
	delete(d.names, s.Member())
	return nil
}

func (d *Durable) HandleInfo(message []byte) error {
	text, err := d.due(message)
	for _, s := range rtd.Sockets() {
		s.Push("due", toJSON(object{"text": text}))
	}
	return err
}

func (d *Durable) HandleDown(monitor rtd.Ref, p rtd.PID, reason string) error {
	return d.add("down " + reason)
}

func (d *Durable) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	o := parse(payload)
	switch event {
	case "add":
		s.Broadcast("added", toJSON(object{"text": o.Text}))
		s.Reply("ok", toJSON(object{"count": d.count + 1}))
		return d.add(o.Text)
	case "state":
		s.Reply("ok", toJSON(object{"count": d.count, "last": append([]string{}, d.last...)}))
	case "names":
		names := []string{}
		for _, s := range rtd.Sockets() {
			names = append(names, d.names[s.Member()])
		}
		s.Reply("ok", toJSON(object{"names": names}))
	case "event_id":
		s.Reply("ok", toJSON(object{"id": rtd.EventID(), "again": rtd.EventID()}))
	case "stop":
		s.Reply("ok", nil)
		rtd.Stop(o.Reason)
	default:
		if ok, err := common(s, event, o, payload); ok || err != nil {
			return err
		}
		answer, err := operate(s, event, o)
		switch {
		case errors.Is(err, errUnknown):
			return err
		case err != nil:
			s.Reply("error", toJSON(object{"reason": word(err)}))
		default:
			s.Reply("ok", answer)
		}
	}
	return nil
}
