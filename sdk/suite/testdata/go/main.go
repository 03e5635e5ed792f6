// The plugin suite in Go; ../../README.md says what it does.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

var config []byte

func init() {
	rtd.OnStart(func(c []byte) error {
		var o struct{ Fail, Greeting, Durable string }
		if err := json.Unmarshal(c, &o); err != nil {
			return err
		}
		if o.Fail != "" {
			return errors.New(o.Fail)
		}
		if o.Durable != "" {
			rtd.Durable("durable:*", "process:ledger")
			rtd.KeepHistory("suite:stored*", rtd.Keep{Durable: true})
		}
		if o.Greeting+o.Durable != "" { // else it has the tree that guests of earlier SDKs have
			rtd.Tree(rtd.Worker{ID: "ledger"})
		}
		if o.Greeting != "" {
			rtd.KeepHistory("suite:kept*", rtd.Keep{Messages: 3, Age: time.Hour})
		}
		config = bytes.Clone(c)
		return nil
	})
	rtd.OnStop(func() { rtd.Log("info", "suite has stopped") })
	rtd.DependsOn("base")
	rtd.OnConnect(connect)
	rtd.Handle("suite:*", func() rtd.Channel { return new(Suite) })
	rtd.HandleTopic("shared:*", func() rtd.TopicChannel { return new(Shared) })
	rtd.HandleTopic("durable:*", func() rtd.TopicChannel { return new(Durable) })
	rtd.Serve("ledger", func() rtd.Server { return new(Ledger) })
	rtd.Serve("recorder", func() rtd.Server { return new(Recorder) })
	rtd.Serve("server", func() rtd.Server { return new(Server) })
	rtd.ServeEvents("listener", func() rtd.EventHandler { return new(Listener) })
	rtd.ServeEvents("archive", func() rtd.EventHandler { return new(Archive) })

	worker := func(id string) rtd.Child { return rtd.Worker{ID: id, Module: "server", Args: []byte(id)} }
	rtd.Tree(
		rtd.Worker{ID: "recorder"},
		rtd.Supervisor{ID: "pair", Strategy: rtd.OneForAll, MaxRestarts: 100, MaxSeconds: 5,
			Children: []rtd.Child{worker("left"), worker("right")}},
		rtd.Supervisor{ID: "chain", Strategy: rtd.RestForOne, MaxRestarts: 100, MaxSeconds: 5,
			Children: []rtd.Child{worker("one"), worker("two"), worker("three")}},
		rtd.Worker{ID: "nameless", Module: "server", Args: []byte("nameless"), Anonymous: true, Restart: rtd.Transient, Shutdown: time.Second},
		rtd.Worker{ID: "counter", Args: []byte("10")},
		rtd.Worker{ID: "events"},
		rtd.Dynamic{ID: "jobs", Restart: rtd.Temporary},
		rtd.Dynamic{ID: "pool", Restart: rtd.Transient, MaxRestarts: 100, MaxSeconds: 5},
	)
}

func connect(c *rtd.Conn) error {
	user := c.Param("user")
	switch user {
	case "":
		return nil
	case "nobody":
		return rtd.RefuseStatus(401)
	case "banned":
		return rtd.Refuse("")
	case "crash":
		return errors.New("told to crash")
	}
	address, _ := c.Peer()
	c.ID = "users:" + user
	c.Assigns = toJSON(object{
		"user": user, "mount": c.Mount(), "token": c.AuthToken(), "agent": c.UserAgent(),
		"header": c.Header("X-Suite"), "address": address, "nested": c.Param("a", "b"),
	})
	return nil
}

// record tells the recorder.
func record(line string) { _ = rtd.Cast("recorder", []byte(line)) }

type object map[string]any

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// word is what the README calls an error.
func word(err error) string {
	words := []string{1: "unknown", 2: "malformed", 3: "too_much", 4: "not_now", 5: "no_process", 6: "timeout", 7: "busy",
		9: "self", 10: "full", 11: "limit", 12: "taken", 13: "denied", 14: "deadlock", 15: "too_large", 16: "no_history"}
	var ended *rtd.EndedError
	var code rtd.Code
	switch {
	case errors.As(err, &ended):
		return "ended: " + ended.Reason
	case errors.As(err, &code) && int(-code) < len(words):
		return words[-code]
	}
	return err.Error()
}

// export and importing of a state that is a number and texts.
const schema = "1"

func checkSchema(s string) error {
	if s != schema {
		return errors.New("cannot read schema " + s)
	}
	return nil
}

func cutNumber(state []byte, separator string) (n int, rest string, err error) {
	number, rest, _ := strings.Cut(string(state), separator)
	n, err = strconv.Atoi(number)
	return n, rest, err
}
