package channels_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// room is the guest of these tests. What it does with a message follows from the
// event, what with a join from its payload.
type room struct {
	plugin *plugin
	count  int // messages handled in this life
}

var errTrap = errors.New("trap")

func (r *room) Handle(e *abi.Event) ([]abi.Effect, error) {
	if e.Kind == abi.EventJoin {
		return r.join(e)
	}
	r.count++
	switch e.Name {
	case "echo":
		return reply("ok", string(e.Payload)), nil
	case "fail":
		return reply("error", `{"reason":"no"}`), nil
	case "flags":
		return reply("ok", fmt.Sprint(e.Flags)), nil
	case "count":
		return reply("ok", fmt.Sprint(r.count)), nil
	case "push":
		return effects(abi.EffectPush, "pushed", string(e.Payload)), nil
	case "say":
		return effects(abi.EffectBroadcast, "said", string(e.Payload)), nil
	case "shout":
		return effects(abi.EffectBroadcastFrom, "shouted", string(e.Payload)), nil
	case "say and echo":
		return append(effects(abi.EffectBroadcast, "said", string(e.Payload)), reply("ok", string(e.Payload))...), nil
	case "raw": // the payload is a JSON string that holds what to say
		return append(reply("ok", ""), effects(abi.EffectBroadcast, "said", unquoted(e.Payload))...), nil
	case "raw reply":
		return append(effects(abi.EffectPush, "pushed", ""), reply("ok", unquoted(e.Payload))...), nil
	case "binary":
		return []abi.Effect{{Kind: abi.EffectBroadcast, Flags: abi.Binary, Name: "said", Payload: []byte{0}}}, nil
	case "wait":
		<-r.plugin.gate
		return reply("ok", string(e.Payload)), nil
	case "wait and say":
		<-r.plugin.gate
		return effects(abi.EffectBroadcast, "said", string(e.Payload)), nil
	case "wait and crash":
		<-r.plugin.gate
		return nil, errTrap
	case "crash":
		return effects(abi.EffectBroadcast, "said", `{"half":"done"}`), errTrap
	case "panic":
		panic("a bug")
	case "large":
		return nil, fmt.Errorf("inbox: %w", channels.ErrTooLarge)
	}
	return nil, nil
}

func (r *room) join(e *abi.Event) ([]abi.Effect, error) {
	replay := e.Flags&abi.Replay != 0
	r.plugin.note(string(e.Payload), replay)
	switch string(e.Payload) {
	case `"refuse"`:
		return append(effects(abi.EffectPush, "never", ""), reply("error", `{"reason":"unauthorized"}`)...), nil
	case `"crash"`:
		return nil, errTrap
	case `"panic"`:
		panic("a bug")
	case `"large"`:
		return nil, channels.ErrTooLarge
	case `"wait"`:
		<-r.plugin.gate
	case `"wait in replay"`:
		if replay {
			<-r.plugin.gate
		}
	case `"refuse replay"`:
		if replay {
			return reply("error", `{"reason":"not again"}`), nil
		}
	case `"crash in replay"`:
		if replay {
			return nil, errTrap
		}
	case `"greet"`:
		if replay {
			return effects(abi.EffectPush, "back", ""), nil
		}
		hello := append(effects(abi.EffectPush, "hello", ""), effects(abi.EffectBroadcast, "new", "")...)
		return append(hello, reply("ok", `{"you":"are in"}`)...), nil
	case `"not json"`:
		return reply("ok", `{`), nil
	}
	return nil, nil
}

func (*room) Release() {}

func (r *room) Close() {
	r.plugin.closed.Add(1)
	r.plugin = nil // a second Close, or a call after it, panics
}

func reply(status, response string) []abi.Effect { return effects(abi.EffectReply, status, response) }

func effects(k abi.Kind, name, payload string) []abi.Effect {
	return []abi.Effect{{Kind: k, Name: name, Payload: []byte(payload)}}
}

// unquoted turns "\xNN…" in a JSON string into those bytes.
func unquoted(payload []byte) string {
	s := strings.Trim(string(payload), `"`)
	if s == "invalid UTF-8" {
		return "{\"a\":\"\xff\"}"
	}
	return strings.ReplaceAll(s, "'", `"`)
}

// plugin serves rooms.
type plugin struct {
	name           string
	tree           *supervisor.Dynamic
	current        atomic.Pointer[channels.Version]
	gate           chan struct{} // what waiting guests wait for
	opened, closed atomic.Int64

	mu    sync.Mutex
	joins []string // payloads, replays marked
}

func (p *plugin) Name() string                    { return p.name }
func (p *plugin) Supervisor() *supervisor.Dynamic { return p.tree }
func (p *plugin) Current() *channels.Version      { return p.current.Load() }

func (p *plugin) note(payload string, replay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if replay {
		payload += " replayed"
	}
	p.joins = append(p.joins, payload)
}

// deploy makes a version current and moves the channels to it.
func (p *plugin) deploy(v *channels.Version) {
	p.current.Store(v)
	p.tree.Each(func(c supervisor.Child) { c.(*channels.Channel).Renew() })
}

func (p *plugin) version(id string, r supervisor.Restart) *channels.Version {
	return &channels.Version{ID: id, Restart: r, New: func(string) (channels.Guest, error) {
		p.opened.Add(1)
		return &room{plugin: p}, nil
	}}
}

// server is an endpoint with one plugin, under a real supervisor.
type server struct {
	*channels.Endpoint
	t       testing.TB
	plugin  *plugin
	rt      *supervisor.Runtime
	process *supervisor.Process // of the plugin's supervisor
	clients []*client

	mu      sync.Mutex
	crashes []string
}

type options struct {
	limits  channels.Limits
	restart supervisor.Restart // default transient
	mailbox int
	tree    supervisor.DynamicConfig // default intensity 3 in 5 s
}

func newServer(t testing.TB, o options) *server {
	if o.restart == supervisor.Permanent {
		o.restart = supervisor.Transient
	}
	if o.tree.Intensity == (supervisor.Intensity{}) {
		o.tree.Intensity = supervisor.Intensity{Max: 3, Within: 5 * time.Second}
	}
	s := &server{Endpoint: channels.NewEndpoint(o.limits), t: t, rt: supervisor.New(supervisor.Options{})}
	s.plugin = &plugin{name: "rooms", tree: supervisor.NewDynamic(o.tree), gate: make(chan struct{})}
	v := s.plugin.version("v1", o.restart)
	v.Mailbox = o.mailbox
	s.plugin.current.Store(v)
	s.process = s.rt.Spawn(s.plugin.tree.Spec())
	s.Crashed = func(c channels.Crash) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.crashes = append(s.crashes, fmt.Sprintf("%s %s %s %s: %v, %v, %d", c.Plugin, c.Version, c.Topic, c.Event, c.Reason, c.Decision, c.Restarts))
	}
	if err := s.Router.Set(s.plugin, []string{"room:*"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop ends the plugin.
func (s *server) stop() {
	s.process.Stop(supervisor.Shutdown)
	<-s.process.Done()
	s.plugin.tree.Close()
}

// close ends everything and checks that nothing is left.
func (s *server) close() {
	s.t.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	s.stop()
	s.rt.Wait()
	if stats := s.Stats(); stats.Sockets != 0 || stats.Channels != 0 {
		s.t.Errorf("after the end there are %d sockets, %d channels", stats.Sockets, stats.Channels)
	}
	if n := s.rt.Stats().Processes; n != 0 {
		s.t.Errorf("after the end there are %d processes", n)
	}
	if o, c := s.plugin.opened.Load(), s.plugin.closed.Load(); o != c {
		s.t.Errorf("%d guests were opened, %d closed", o, c)
	}
	for _, topic := range []string{"room:a", "room:b", "room:c"} {
		if n := s.Hub.Members(topic); n != 0 {
			s.t.Errorf("after the end %s has %d members", topic, n)
		}
	}
}

// run gives each test a server in a bubble of fake time.
func run(t *testing.T, o options, test func(*testing.T, *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, o)
		test(t, s)
		s.close()
	})
}

func (s *server) connect() *client {
	box := &outbox{}
	c := &client{Socket: s.NewSocket(channels.V2, box), outbox: box, t: s.t}
	s.clients = append(s.clients, c)
	return c
}

func (s *server) wantCrashes(want ...string) {
	s.t.Helper()
	settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.crashes, want) {
		s.t.Errorf("crashes:\n%s\nwant:\n%s", strings.Join(s.crashes, "\n"), strings.Join(want, "\n"))
	}
	s.crashes = nil
}

func (s *server) wantJoins(want ...string) {
	s.t.Helper()
	settle()
	s.plugin.mu.Lock()
	defer s.plugin.mu.Unlock()
	if !slices.Equal(s.plugin.joins, want) {
		s.t.Errorf("joins: %q, want %q", s.plugin.joins, want)
	}
}

// client is a socket whose frames are recorded.
type client struct {
	*channels.Socket
	*outbox
	t testing.TB
}

// send gives frames to the socket, one behind the other.
func (c *client) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.Receive([]byte(f), false); err != nil {
			c.t.Fatalf("receive %s: %v", f, err)
		}
	}
}

// want waits until all is quiet and checks what the client got since the last
// time.
func (c *client) want(frames ...string) {
	c.t.Helper()
	settle()
	if got := c.take(); !slices.Equal(got, frames) {
		c.t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(frames, "\n"))
	}
}

// joined joins topics, with the topic's name as join_ref.
func (c *client) joined(topics ...string) *client {
	c.t.Helper()
	for _, topic := range topics {
		c.send(fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic))
		c.want(ok("1", "1", topic))
	}
	return c
}

func ok(joinRef, ref, topic string) string {
	return fmt.Sprintf(`[%q,%q,%q,"phx_reply",{"status":"ok","response":{}}]`, joinRef, ref, topic)
}

// settle returns when no process can go on by itself.
func settle() {
	time.Sleep(100 * time.Millisecond) // for guests that are stuck to be passed by
	synctest.Wait()
}

// outbox records the text of frames.
type outbox struct {
	mu     sync.Mutex
	frames []string
}

func (o *outbox) Send(f channels.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames = append(o.frames, string(f.Data))
}

func (o *outbox) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames := o.frames
	o.frames = nil
	return frames
}
