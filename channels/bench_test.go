package channels_test

import (
	"fmt"
	"runtime"
	"testing"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

var message = []byte(`["12","345","room:lobby","new_message",{"body":"Hello, everybody! What a day.","user":"somebody","n":12345}]`)

// forms are the three that a message has on the wire.
var forms = []struct {
	name   string
	codec  channels.Codec
	frame  []byte
	binary bool
}{
	{"v1", channels.V1, []byte(`{"topic":"room:lobby","event":"new_message","payload":{"body":"Hello, everybody! What a day.","user":"somebody","n":12345},"ref":"345"}`), false},
	{"v2", channels.V2, message, false},
	{"v2 binary", channels.V2, []byte(bin("12", "345", "room:lobby", "new_message", `{"body":"Hello, everybody! What a day.","user":"somebody","n":12345}`)), true},
}

func BenchmarkDecode(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			b.SetBytes(int64(len(form.frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := form.codec.Decode(form.frame, form.binary); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for kind, name := range []string{"reply", "push", "broadcast"} {
		for _, form := range forms {
			b.Run(form.name+" "+name, func(b *testing.B) {
				o := &channels.Outgoing{
					Kind: channels.OutgoingKind(kind), JoinRef: []byte(`"12"`), Ref: []byte(`"345"`), Topic: "room:lobby", Name: "new_message",
					Payload: []byte(`{"body":"Hello, everybody! What a day.","user":"somebody","n":12345}`), Binary: form.binary,
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := form.codec.Encode(o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// echo is the least of guests.
type echo struct{ effects [1]abi.Effect }

func (g *echo) Handle(e *abi.Event) ([]abi.Effect, error) {
	g.effects[0] = abi.Effect{Kind: abi.EffectReply, Name: "ok", Payload: e.Payload}
	return g.effects[:], nil
}

func (*echo) Release() {}

func (*echo) Message(any) (e abi.Event, ok bool) { return e, false }

func (*echo) Apply(*abi.Effect) {}

func (*echo) Wants(abi.Kind) bool { return false }

func (*echo) Adopt(channels.Guest)      {}
func (*echo) Commit([]abi.Effect) error { return nil }

func (*echo) Close(error) {}

// signal is an outbox that tells of each frame.
type signal chan struct{}

func (s signal) Send(channels.Frame) { s <- struct{}{} }

// benchClient is a socket of a server of its own.
type benchClient struct {
	*channels.Socket
	*server
}

func benchSocket(b *testing.B) (benchClient, signal) {
	s := newServer(b, options{})
	s.plugin.current.Store(&channels.Version{ID: "v", New: func(*supervisor.Process, string) (channels.Guest, error) {
		return &echo{}, nil
	}})
	got := make(signal, 10)
	socket := s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: got})
	b.Cleanup(func() { socket.Close(); s.stop(); s.rt.Wait() })
	return benchClient{socket, s}, got
}

// shareAll has one handler for all members of a topic.
func (c benchClient) shareAll() {
	now := c.plugin.Current()
	c.plugin.current.Store(&channels.Version{
		ID: now.ID, New: now.New, Scope: func(string) channels.Scope { return channels.PerTopic },
	})
}

func BenchmarkPushReply(b *testing.B) {
	socket, got := benchSocket(b)
	socket.Receive([]byte(`["1","1","room:a","phx_join",{}]`), false)
	<-got
	push := []byte(`["1","2","room:a","echo",{"body":"Hello, everybody! What a day.","user":"somebody","n":12345}]`)
	b.ReportAllocs()
	for b.Loop() {
		socket.Receive(push, false)
		<-got
	}
}

// BenchmarkSharedPushReply has one handler for all: who else is there costs
// nothing.
func BenchmarkSharedPushReply(b *testing.B) {
	for _, members := range []int{1, 10_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			socket, got := benchSocket(b)
			socket.shareAll()
			for range members - 1 {
				other := socket.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: nowhere{}})
				other.Receive([]byte(`["1","1","room:a","phx_join",{}]`), false)
				b.Cleanup(other.Close)
			}
			socket.Receive([]byte(`["1","1","room:a","phx_join",{}]`), false)
			<-got
			push := []byte(`["1","2","room:a","echo",{}]`)
			b.ReportAllocs()
			for b.Loop() {
				socket.Receive(push, false)
				<-got
			}
		})
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	socket, got := benchSocket(b)
	join, leave := []byte(`["1","1","room:a","phx_join",{}]`), []byte(`["1","2","room:a","phx_leave",{}]`)
	b.ReportAllocs()
	for b.Loop() {
		socket.Receive(join, false)
		<-got
		socket.Receive(leave, false)
		<-got
		<-got
	}
}

func BenchmarkCrashRestart(b *testing.B) {
	s := newServer(b, options{tree: supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1 << 30}}})
	s.Crashed = nil
	got := make(signal, 10)
	socket := s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: got})
	b.Cleanup(func() { socket.Close(); s.stop(); s.rt.Wait() })
	socket.Receive([]byte(`["1","1","room:a","phx_join",{}]`), false)
	<-got
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		socket.Receive(fmt.Appendf(nil, `["1","%d","room:a","crash",{}]`, n), false)
		<-got
	}
}

// BenchmarkIntercept gives a broadcast to 10,000 handlers in place of their
// clients. They take turns: there are no more goroutines than before.
func BenchmarkIntercept(b *testing.B) {
	const handlers = 10_000
	s := newServer(b, options{})
	s.plugin.current.Store(&channels.Version{ID: "v", New: func(*supervisor.Process, string) (channels.Guest, error) {
		return &interceptor{}, nil
	}})
	got := make(signal, handlers)
	for range handlers {
		socket := s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: got})
		socket.Receive([]byte(`["1","1","room:a","phx_join",{}]`), false)
		<-got
		b.Cleanup(socket.Close)
	}
	b.Cleanup(func() { s.stop(); s.rt.Wait() })
	b.ReportAllocs()
	most, before := 0, runtime.NumGoroutine()
	for b.Loop() {
		if err := s.Publish("room:a", "said", []byte(`{"n":1}`), false); err != nil {
			b.Fatal(err)
		}
		most = max(most, runtime.NumGoroutine()-before)
		for range handlers {
			<-got
		}
	}
	b.ReportMetric(float64(most), "more-goroutines")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*handlers), "ns/handler")
}

// interceptor pushes what it intercepts.
type interceptor struct{ echo }

func (g *interceptor) Handle(e *abi.Event) ([]abi.Effect, error) {
	g.effects[0] = abi.Effect{Kind: abi.EffectIntercept, Name: "said"}
	if e.Kind == abi.EventOut {
		g.effects[0] = abi.Effect{Kind: abi.EffectPush, Name: e.Name, Payload: e.Payload}
	}
	return g.effects[:], nil
}

// BenchmarkJoins has one socket join n topics and end. The time is of one join.
func BenchmarkJoins(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newServer(b, options{limits: channels.Limits{Joins: -1}})
			s.plugin.current.Store(&channels.Version{ID: "v", New: func(*supervisor.Process, string) (channels.Guest, error) {
				return &echo{}, nil
			}})
			b.Cleanup(func() { s.stop(); s.rt.Wait() })
			got := make(signal, n)
			for i := 0; b.Loop(); {
				socket := s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: got})
				for range n {
					i++
					socket.Receive(fmt.Appendf(nil, `["1","1","room:%d","phx_join",{}]`, i), false)
				}
				for range n {
					<-got
				}
				socket.Close()
				s.rt.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/join")
		})
	}
}
