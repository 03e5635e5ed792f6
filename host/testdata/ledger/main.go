// Ledger is a guest that counts, for tests of what is remembered. A topic has for each client the number of its
// last entry, and refuses one that does not follow. Each entry has a timer ring, and tells the process "sum", both of which
// count as well: if one of three is lost or comes twice, they differ.
package main

import (
	"encoding/json"
	"strconv"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.HandleTopic("ledger:*", func() rtd.TopicChannel { return &ledger{last: map[string]int{}} })
	rtd.Serve("sum", func() rtd.Server { return &sum{} })
	rtd.Tree(rtd.Worker{ID: "sum"})
}

type ledger struct {
	last  map[string]int
	total int
	rung  int
	left  int
}

func (l *ledger) Join(*rtd.Socket, []byte) error { return nil }

func (l *ledger) Leave(*rtd.Socket, string) error {
	l.left++
	return nil
}

func (l *ledger) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	var in struct {
		Who string
		N   int
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return err
	}
	switch event {
	case "add":
		if in.N != l.last[in.Who]+1 {
			return reply(s, "error", map[string]int{"last": l.last[in.Who]})
		}
		l.last[in.Who] = in.N
		l.total++
		if err := rtd.Cast("sum", []byte("1")); err != nil {
			return err
		}
		if _, err := rtd.SendAfter(20*time.Millisecond, []byte("ring")); err != nil {
			return err
		}
		text, _ := json.Marshal(in)
		s.Broadcast("added", text)
		return reply(s, "ok", map[string]int{"n": in.N})
	case "last":
		return reply(s, "ok", map[string]int{"n": l.last[in.Who]})
	case "left":
		return reply(s, "ok", map[string]int{"n": l.left})
	case "totals":
		text, err := rtd.Call("sum", nil, 5*time.Second)
		if err != nil {
			return reply(s, "error", map[string]int{})
		}
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		return reply(s, "ok", map[string]int{"total": l.total, "rung": l.rung, "sum": n})
	case "poison", "antidote":
		if err := rtd.Cast("sum", []byte(event)); err != nil {
			return err
		}
		return reply(s, "ok", map[string]int{})
	case "crash":
		l.last[in.Who] += 1000
		l.total += 1000
		panic("asked to")
	}
	return nil
}

// HandleInfo takes the timers.
func (l *ledger) HandleInfo([]byte) error {
	l.rung++
	return nil
}

func reply(s *rtd.Socket, status string, response map[string]int) error {
	text, err := json.Marshal(response)
	if err != nil {
		return err
	}
	s.Reply(status, text)
	return nil
}

// sum counts what it is told, by all topics. It crashes at poison, until it has got the antidote.
type sum struct {
	n      int
	immune bool
}

func (s *sum) Init([]byte) error { return nil }

func (s *sum) HandleCast(message []byte) error {
	switch string(message) {
	case "antidote":
		s.immune = true
		return nil
	case "poison":
		if !s.immune {
			panic("poisoned")
		}
		message = []byte("1000")
	}
	n, err := strconv.Atoi(string(message))
	s.n += n
	return err
}

func (s *sum) HandleCall(from rtd.From, _ []byte) error {
	from.Reply([]byte(strconv.Itoa(s.n)))
	return nil
}
