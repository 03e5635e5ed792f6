package channels_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

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
	other   *supervisor.Process // the sibling, if there is one
}

type options struct {
	limits  channels.Limits
	restart supervisor.Restart // default transient
	mailbox int
	rate    int
	shared  bool                     // one handler for all members of a topic
	stays   bool                     // also without members
	sibling bool                     // the plugin has another process, on which its channels depend
	tree    supervisor.DynamicConfig // default intensity 3 in 5 s
	runtime supervisor.Options
}

func newServer(t testing.TB, o options) *server {
	if o.restart == supervisor.Permanent {
		o.restart = supervisor.Transient
	}
	if o.tree.Intensity == (supervisor.Intensity{}) {
		o.tree.Intensity = supervisor.Intensity{Max: 3, Within: 5 * time.Second}
	}
	s := &server{Endpoint: channels.NewEndpoint(o.limits), t: t, rt: supervisor.New(o.runtime)}
	s.plugin = &plugin{
		name: "rooms", tree: supervisor.NewDynamic(o.tree), gate: make(chan struct{}),
		stays: o.stays,
	}
	s.plugin.shared.Store(o.shared)
	v := s.plugin.version("v1", o.restart)
	v.Mailbox, v.Rate = o.mailbox, o.rate
	s.plugin.current.Store(v)
	if o.sibling {
		started := make(chan error, 1)
		s.process = s.rt.Spawn(supervisor.Spec{Actor: s.root(), Started: func(err error) { started <- err }})
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	} else {
		s.process = s.rt.Spawn(s.plugin.tree.Spec())
	}
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

// root is a plugin's tree: a process called sibling, and the channels after it.
func (s *server) root() supervisor.Actor {
	return supervisor.NewSupervisor(supervisor.Config{
		Strategy:  supervisor.RestForOne,
		Intensity: supervisor.Intensity{Max: 5, Within: time.Second},
		Children: []supervisor.ChildSpec{
			{ID: "sibling", Start: func() supervisor.Spec { return supervisor.Spec{Actor: (*sibling)(s)} }},
			{ID: "channels", Start: s.plugin.tree.Spec, Shutdown: time.Minute},
		},
	})
}

// sibling is a process that does nothing but end.
type sibling server

func (s *sibling) Init(p *supervisor.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = p
	return nil
}

func (*sibling) Handle(_ *supervisor.Process, msg any) error { return msg.(error) }

func (*sibling) Terminate(*supervisor.Process, error) {}

// crashSibling makes the channels' sibling crash.
func (s *server) crashSibling() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other.Post(errTrap)
}

// stop ends the plugin.
func (s *server) stop() {
	s.process.Stop(supervisor.Shutdown)
	<-s.process.Done()
	s.plugin.tree.Close(nil)
}

// close ends everything and checks that nothing is left.
func (s *server) close() {
	s.t.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	s.stop()
	s.rt.Wait()
	if stats := s.Stats(); stats.Sockets != 0 || stats.Channels != 0 || stats.Shared != 0 {
		s.t.Errorf("after the end there are %d sockets, %d channels, %d shared handlers", stats.Sockets, stats.Channels, stats.Shared)
	}
	if n := s.rt.Stats().Processes; n != 0 {
		s.t.Errorf("after the end there are %d processes", n)
	}
	if o, c := s.plugin.opened.Load(), s.plugin.closed.Load(); o != c {
		s.t.Errorf("%d guests were opened, %d closed", o, c)
	}
	if n := s.plugin.kept.Load(); n != 0 {
		s.t.Errorf("after the end %d bytes of broadcasts wait", n)
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

// runBoth runs a test with a handler for each join and with one for all. What one
// client sees of it is the same.
func runBoth(t *testing.T, o options, test func(*testing.T, *server)) {
	t.Helper()
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			o.shared = shared
			run(t, o, test)
		})
	}
}

func (s *server) connect() *client { return s.connectWith(channels.SocketOptions{}) }

// connectWith connects a client; the codec is V2 unless o says another.
func (s *server) connectWith(o channels.SocketOptions) *client {
	box := &outbox{}
	o.Out = box
	if o.Codec == nil {
		o.Codec = channels.V2
	}
	c := &client{Socket: s.NewSocket(o), outbox: box, t: s.t}
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

// wantJoins checks the joins and other notes of guests since the last time.
func (s *server) wantJoins(want ...string) {
	s.t.Helper()
	settle()
	s.plugin.mu.Lock()
	defer s.plugin.mu.Unlock()
	if !slices.Equal(s.plugin.joins, want) {
		s.t.Errorf("joins: %q, want %q", s.plugin.joins, want)
	}
	s.plugin.joins = nil
}

// client is a socket whose frames are recorded.
type client struct {
	*channels.Socket
	*outbox
	t     testing.TB
	joins []string // refs, if the test wants to know
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

// sendBinary gives binary frames to the socket.
func (c *client) sendBinary(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.Receive([]byte(f), true); err != nil {
			c.t.Fatalf("receive %q: %v", f, err)
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
	text := string(f.Data)
	if f.Binary {
		text = "binary " + text
	}
	o.frames = append(o.frames, text)
}

func (o *outbox) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames := o.frames
	o.frames = nil
	return frames
}
