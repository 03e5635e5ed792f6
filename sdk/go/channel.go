package rtd

import (
	"runtime"
	"strings"
)

// Channel handles one client's join of one topic. Its methods are called one
// at a time. An error that is no refusal crashes the process, as a panic does.
type Channel interface {
	// Join decides whether the client may join. nil accepts, with the response
	// given to s.Reply("ok", …) if any; the error of [Refuse] refuses. Pushes and
	// broadcasts made here follow the reply.
	Join(s *Socket, payload []byte) error

	// HandleIn takes a message that the client pushed.
	HandleIn(s *Socket, event string, payload []byte) error
}

// Handle serves the topics that match pattern, an exact topic or a prefix
// followed by *, with channels made by create. Call it from init; of several
// patterns that match, the first wins. The server's config can give the plugin
// other topics; one that no pattern matches goes to the first.
func Handle(pattern string, create func() Channel) {
	routes = append(routes, route{pattern, create})
}

// OnStart registers a function that runs once for a version of the plugin, before
// anything else, with the config table as JSON ("{}" if it has none). All instances
// begin with the memory that it leaves. An error stops the deploy. Call it from
// init.
func OnStart(f func(config []byte) error) { onStart = append(onStart, f) }

// Refuse returns an error for Join to return: the client gets an error reply
// with this JSON object as its response, and nothing else happens.
func Refuse(response string) error { return &refusal{response} }

type refusal struct{ response string }

func (r *refusal) Error() string { return "join refused: " + r.response }

// Socket is the handler's side of the client that joined. It is valid only
// during the call that it is passed to.
type Socket struct {
	topic  string
	replay bool
}

// Topic is the topic joined.
func (s *Socket) Topic() string { return s.topic }

// Replay reports, during Join, that the client joined earlier and does not know
// of this call: the process was restarted after a crash, or moved to a new
// version of the plugin. Do not greet twice.
func (s *Socket) Replay() bool { return s.replay }

// Reply answers the message or join at hand; status is "ok" or "error" by
// convention. response is a JSON value; nil stands for {}. There is one reply
// to a message; none is fine as well.
func (s *Socket) Reply(status string, response []byte) {
	effect(kindReply, status, response)
}

// Push sends a message to this client alone. payload is a JSON object; nil
// stands for {}, here and below.
func (s *Socket) Push(event string, payload []byte) {
	effect(kindPush, event, payload)
}

// Broadcast sends a message to everybody on the topic, this client included.
func (s *Socket) Broadcast(event string, payload []byte) {
	effect(kindBroadcast, event, payload)
}

// BroadcastFrom sends a message to everybody on the topic but this client.
func (s *Socket) BroadcastFrom(event string, payload []byte) {
	effect(kindBroadcastFrom, event, payload)
}

// Log writes a line to the server's log, at once, crash or not. level is
// debug, info, warn or error.
func Log(level, text string) { operation(kindLog, level, []byte(text)) }

type route struct {
	pattern string
	create  func() Channel
}

func (r route) matches(topic string) bool {
	if prefix, ok := strings.CutSuffix(r.pattern, "*"); ok {
		return strings.HasPrefix(topic, prefix)
	}
	return topic == r.pattern
}

var (
	routes  []route
	onStart []func(config []byte) error

	// The one channel of this instance, from its join on.
	current Channel
	socket  Socket
)

// dispatch takes one event. A returned error is a crash.
func dispatch(e event) error {
	switch e.kind {
	case kindStart:
		return start(e)
	case kindJoin:
		return join(e)
	case kindMessage:
		if current == nil {
			return errString("message before join")
		}
		return current.HandleIn(&socket, e.name, e.payload)
	case kindIdle:
		runtime.GC()
	}
	return nil // a newer host tells of something that this SDK does not know
}

func start(e event) error {
	for _, f := range onStart {
		if err := f(e.payload); err != nil {
			return err
		}
	}
	for _, r := range routes {
		effect(kindHandles, r.pattern, nil)
	}
	return nil
}

func join(e event) error {
	if len(routes) == 0 {
		return errString("no channel: call rtd.Handle from init")
	}
	chosen := routes[0]
	for _, r := range routes {
		if r.matches(e.name) {
			chosen = r
			break
		}
	}
	reseed()
	socket = Socket{topic: e.name, replay: e.flags&flagReplay != 0}
	current = chosen.create()
	err := current.Join(&socket, e.payload)
	if r, ok := err.(*refusal); ok {
		effect(kindReply, "error", []byte(r.response))
		return nil
	}
	return err
}

type errString string

func (e errString) Error() string { return string(e) }
