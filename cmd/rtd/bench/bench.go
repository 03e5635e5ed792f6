package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Scenario is what a run does; see the table of the package.
type Scenario string

const (
	Idle   Scenario = "idle"   // connections that do nothing
	Fanout Scenario = "fanout" // one sends, all others get it
	Echo   Scenario = "echo"   // each pushes and waits for the reply
	Rooms  Scenario = "rooms"  // members of small topics send at a fixed rate
	Crash  Scenario = "crash"  // some channels crash

	Recover Scenario = "recover" // all lose their connection at once, come back, and want what they missed
	Storm   Scenario = "storm"   // each loses it now and then, while messages are said
)

// Options say what to run. Of what is zero, [Defaults] has a sensible value.
type Options struct {
	Scenario Scenario
	// URL of the socket, as clients say it: ws://HOST:PORT/socket, with what the
	// application wants as query. TLS is not spoken.
	URL string
	// Nodes are such URLs of further servers, which are one with the first: connections go to each in turn.
	Nodes    []string
	Protocol Protocol // default: Phoenix
	// AllowRemote lets URL name another machine than this one. Ask its owner.
	AllowRemote bool

	Connections int    // publishers of Fanout, Recover and Storm come on top
	Topic       string // that is joined; %d becomes the number of the connection, or room
	Topics      int    // that each connection joins, in Idle
	Deflate     bool   // offer to compress messages, in Idle; compressed ones are not understood
	Params      string // JSON payload of joins
	Event       string // pushed; for Crash the one that crashes a channel
	Body        int    // bytes of the body in each message, at least MinBody

	Duration time.Duration // of the load
	Rate     float64       // messages per second, all connections together; 0: as Inflight allows, if the scenario can
	InFlight int           // messages under way, in Fanout without a Rate
	Members  int           // of each room, in Rooms, Recover and Storm
	Share    float64       // of the channels that crash, in Crash, from 0 to 1
	Watch    float64       // pushes per second to those that do not, in Crash

	Missed int           // messages in each room while all are away, in Recover
	Cut    time.Duration // how long a connection lasts on average, in Storm
	Forget bool          // do not ask for what was missed, in Storm: then it must be lost
	// Meanwhile, if given, is done while all are away, in Recover, such as to restart the server.
	Meanwhile func(context.Context) error

	Window  int           // connections and joins under way at a time
	Settle  time.Duration // before each measurement of memory
	Timeout time.Duration // without any answer, after which the run fails, or a message is lost
	PIDs    []int         // of the servers, to measure them together; none: not

	// Progress gets a line each second, if there is one. It must not block.
	Progress func(line string)
}

// Defaults returns what a scenario does unless told otherwise.
func Defaults(s Scenario) Options {
	o := Options{
		Scenario: s, URL: "ws://127.0.0.1:4000/socket", Protocol: Phoenix,
		Connections: 1000, Topic: "bench:%d", Topics: 1, Params: "{}", Event: "say", Body: 64,
		Duration: 5 * time.Second, InFlight: 4, Members: 10, Share: 0.1, Watch: 1000,
		Missed: 50, Cut: 2 * time.Second,
		Window: 100, Settle: 10 * time.Second, Timeout: 10 * time.Second,
	}
	switch s {
	case Fanout:
		o.Topic = "bench:all"
	case Echo:
		o.Connections, o.Event = 100, "echo"
	case Rooms:
		o.Rate = 200
	case Crash:
		o.Event, o.Rate = "crash", 20
	case Recover:
		o.Members, o.Window = 1000, 1000
	case Storm:
		o.Connections, o.Members, o.Rate, o.Duration = 100, 100, 500, 20*time.Second
	}
	return o
}

// Run loads a server and tells what that did. When ctx ends, the run ends early: the
// result is what there is, and says that it was interrupted.
//
// An error says that nothing was measured. What goes wrong under load, such as lost
// messages, is part of the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	at, err := o.check()
	if err != nil {
		return nil, err
	}
	g, err := newGenerator(ctx, o, at)
	if err != nil {
		return nil, err
	}
	defer g.sockets.release()
	switch o.Scenario {
	case Idle:
		err = g.idle()
	case Fanout:
		err = g.fanout()
	case Echo:
		err = g.echo()
	case Rooms:
		err = g.rooms()
	case Crash:
		err = g.crash()
	case Recover:
		err = g.recover()
	case Storm:
		err = g.storm()
	default:
		err = fmt.Errorf("unknown scenario %q; use idle, fanout, echo, rooms, crash, recover or storm", o.Scenario)
	}
	failed := err != nil && !errors.Is(err, errInterrupted)
	if !failed {
		g.finish()
	}
	g.goodbye()
	if failed {
		return nil, err
	}
	if o.Scenario == Idle && err == nil {
		g.left()
	}
	return &g.result, nil
}

// check says what is wrong with the options, and where the server is.
func (o *Options) check() (where, error) {
	for _, bound := range []struct {
		name     string
		value    int
		low, top int
	}{
		{"connections", o.Connections, 1, maxSenders - 1},
		{"topics", o.Topics, 1, 100_000},
		{"body", o.Body, MinBody, 1 << 20},
		{"inflight", o.InFlight, 1, windowSize / 2},
		{"members", o.Members, 1, 100_000},
		{"window", o.Window, 1, 100_000},
		{"missed", o.Missed, 1, 100_000},
	} {
		if bound.value < bound.low || bound.value > bound.top {
			return where{}, fmt.Errorf("%s is %d; use %d to %d", bound.name, bound.value, bound.low, bound.top)
		}
	}
	if o.Rate < 0 || o.Rate > 1e7 || o.Watch < 0 || o.Watch > 1e7 {
		return where{}, errors.New("a rate is too high, or negative; use 0 to 10,000,000 per second")
	}
	if o.Rate == 0 && (o.Scenario == Rooms || o.Scenario == Crash || o.Scenario == Storm) {
		return where{}, fmt.Errorf("%s needs a rate", o.Scenario)
	}
	if !(o.Share > 0 && o.Share <= 1) {
		return where{}, errors.New("share is the part of the channels that crash; use more than 0, and at most 1")
	}
	if o.Cut < 10*time.Millisecond || o.Duration <= 0 || o.Duration > 24*time.Hour || o.Settle < 0 || o.Timeout <= 0 {
		return where{}, errors.New("a duration is negative, zero or longer than a day, or cut is less than 10ms")
	}
	for _, text := range []string{o.Topic, o.Event} {
		if strings.ContainsAny(text, "\"\\") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			return where{}, fmt.Errorf("%q has quotes, backslashes or control characters, which the generator cannot send", text)
		}
	}
	if o.Topics > 1 && !newTopics(o.Topic).numbered {
		return where{}, fmt.Errorf("several topics need a number in their name; add %%d to %q", o.Topic)
	}
	if err := processes(o.PIDs).check(); err != nil {
		return where{}, err
	}
	if o.publishers() > 1 && !newTopics(o.Topic).numbered {
		return where{}, fmt.Errorf("several rooms need a number in their name; add %%d to %q", o.Topic)
	}
	if err := allowFiles(o.Connections + o.publishers()); err != nil {
		return where{}, err
	}
	at, err := locate(o.URL, o.Protocol, o.AllowRemote)
	for _, url := range o.Nodes {
		if err != nil {
			break
		}
		var other where
		if other, err = locate(url, o.Protocol, o.AllowRemote); err == nil && other.target != at.target {
			err = fmt.Errorf("%s and %s: nodes differ in host and port alone", o.URL, url)
		}
		at.addresses = append(at.addresses, other.addresses...)
	}
	return at, err
}
