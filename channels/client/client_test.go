package client_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"rtd/channels"
	"rtd/channels/client"
)

func anything(client.Message) bool { return true }

// A client reads whatever the server writes, in text and in binary.
func TestDecode(t *testing.T) {
	for _, test := range []struct {
		kind channels.OutgoingKind
		want client.Message
	}{
		{channels.Push, client.Message{JoinRef: "1", Topic: "a", Event: "said", Payload: []byte(`{"x":1}`)}},
		{channels.Reply, client.Message{JoinRef: "1", Ref: "7", Topic: "a", Event: "phx_reply", Status: "error", Payload: []byte(`{"y":2}`)}},
		{channels.Broadcast, client.Message{Topic: "a", Event: "said", Payload: []byte(`null`)}},
		{channels.Push, client.Message{JoinRef: "1", Topic: "ä", Event: "said", Payload: []byte{0, 1, 2}, Binary: true}},
		{channels.Reply, client.Message{JoinRef: "1", Ref: "7", Topic: "a", Event: "phx_reply", Status: "ok", Payload: []byte{3}, Binary: true}},
		{channels.Broadcast, client.Message{Topic: "a", Event: "said", Payload: []byte{}, Binary: true}},
	} {
		o := channels.Outgoing{Kind: test.kind, Topic: test.want.Topic, Name: test.want.Event, Payload: test.want.Payload, Binary: test.want.Binary}
		if test.kind != channels.Broadcast {
			o.JoinRef = []byte(`"1"`)
		}
		if test.kind == channels.Reply {
			o.Ref, o.Name = []byte(`"7"`), test.want.Status
		}
		f, err := channels.V2.Encode(&o)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.Decode(f.Data, f.Binary); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v, %v, want %+v", got, err, test.want)
		}
	}
}

// The server reads what a client writes, whatever its names are.
func TestPush(t *testing.T) {
	var got channels.Message
	c := client.New(func(frame []byte, binary bool) (err error) {
		got, err = channels.V2.Decode(frame, binary)
		return err
	})
	want := func(joinRef, ref, topic, event, payload string, binary bool) {
		t.Helper()
		is := [...]string{string(got.JoinRef), string(got.Ref), got.Topic, got.Event, string(got.Payload)}
		if want := [...]string{joinRef, ref, topic, event, payload}; is != want || got.Binary != binary {
			t.Errorf("%q, binary %v; want %q, %v", is, got.Binary, want, binary)
		}
	}
	c.Push("phoenix", "heartbeat", []byte("{}"))
	want(``, `"1"`, "phoenix", "heartbeat", "{}", false)
	const odd = "\"<ä\u2028\\\x00"
	c.Push(odd, "phx_join", []byte(`{"a": 1}`))
	want(`"2"`, `"2"`, odd, "phx_join", `{"a": 1}`, false)
	if ref, err := c.PushBinary(odd, odd, []byte("\xff")); ref != "3" || err != nil {
		t.Errorf("ref %s, %v", ref, err)
	}
	want(`"2"`, `"3"`, odd, odd, "\xff", true)
	if c.JoinRef(odd) != "2" || c.JoinRef("phoenix") != "" {
		t.Errorf("join refs %q, %q", c.JoinRef(odd), c.JoinRef("phoenix"))
	}
	if _, err := c.PushBinary(strings.Repeat("x", 256), "", nil); err == nil {
		t.Error("a name of 256 bytes fits a binary frame")
	}
	if _, err := c.Push("a", "b", []byte("{")); !errors.Is(err, channels.ErrDecode) {
		t.Errorf("what the transport says: %v", err)
	}
}

// Take finds what is wanted in any order, and leaves the rest in order.
func TestTake(t *testing.T) {
	c := client.New(nil)
	for _, event := range []string{"a", "b", "c", "d"} {
		c.Receive([]byte(`[null,null,"t","`+event+`",{}]`), false)
	}
	for _, want := range []string{"c", "a", "b"} {
		if m, err := c.Take(t.Context(), func(m client.Message) bool { return m.Event == want }); err != nil || m.Event != want {
			t.Errorf("took %v, %v, want %s", m, err, want)
		}
	}
	if unread, dropped := c.Unread(); len(unread) != 1 || unread[0].Event != "d" || dropped != 0 {
		t.Errorf("left are %v and %d", unread, dropped)
	}
	waiting := make(chan client.Message)
	go func() {
		m, _ := c.Take(context.Background(), func(m client.Message) bool { return m.Answers("1") })
		waiting <- m
	}()
	var heard []string
	c.Hear(func(m client.Message) { heard = append(heard, m.Event) })
	c.Receive([]byte("nonsense"), false)
	c.Receive([]byte(`["1","1","t","phx_reply",{"status":"ok","response":{}}]`), false)
	if m := <-waiting; m.String() != "ok {}" {
		t.Errorf("the reply is %v", m)
	}
	if !reflect.DeepEqual(heard, []string{client.Malformed}) {
		t.Errorf("heard %q", heard)
	}
	c.End()
	if m, err := c.Take(t.Context(), anything); err != nil || m.Event != "d" {
		t.Errorf("after the end: %v, %v", m, err)
	}
	if _, err := c.Take(t.Context(), anything); !errors.Is(err, client.ErrEnded) {
		t.Errorf("after the last: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.New(nil).Take(ctx, anything); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
}

// What nobody takes is bounded, and counted.
func TestUnreadIsBounded(t *testing.T) {
	c := client.New(nil)
	frame := []byte("\x02\x01\x01tex")
	for range 100_001 {
		c.Receive(frame, true)
	}
	if unread, dropped := c.Unread(); len(unread) != 100_000 || dropped != 1 {
		t.Errorf("%d unread, %d dropped", len(unread), dropped)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`["1","2","a","phx_reply",{"status":"ok","response":{}}]`), false)
	f.Add([]byte("\x01\x01\x01\x01\x0212aokx"), true)
	f.Add([]byte("\x02\x01\x01tex"), true)
	f.Fuzz(func(t *testing.T, frame []byte, binary bool) {
		m, err := client.Decode(frame, binary)
		if err == nil && m.Binary != binary || err != nil && !reflect.DeepEqual(m, client.Message{}) {
			t.Errorf("%q becomes %+v, %v", frame, m, err)
		}
	})
}
