package channels_test

import (
	"fmt"
	"testing"

	"rtd/channels"
	"rtd/channels/presence"
)

// What the effect present pushes, in its place among the others.
func TestPresent(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		ann := s.present(t, 1, "room:a", "ann")
		lobby := s.present(t, 2, "lobby", "bob")
		settle()

		c := s.connect()
		c.send(`["1","1","room:a","phx_join","present"]`)
		c.want(ok("1", "1", "room:a"), `["1",null,"room:a","presence_state",{`+ann+`}]`, `["1",null,"room:a","hello",{}]`)
		c.send(`["1","2","room:a","present","lobby"]`, `["1","3","room:a","present","nowhere"]`, `["1","3","room:a","present","others:1"]`)
		c.want(`["1",null,"room:a","presence_state",{`+lobby+`}]`, `["1",null,"room:a","presence_state",{}]`)

		first := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		first.send(`{"topic":"room:a","event":"phx_join","payload":"present","ref":"1"}`)
		first.want(`{"topic":"room:a","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}`,
			`{"topic":"room:a","event":"presence_state","payload":{`+ann+`},"ref":null}`,
			`{"topic":"room:a","event":"hello","payload":{},"ref":null}`)

		eve := s.present(t, 3, "room:a", "eve")
		diff := `"presence_diff",{"joins":{` + eve + `},"leaves":{}}]`
		c.want(`[null,null,"room:a",` + diff)
		first.want(`{"topic":"room:a","event":"presence_diff","payload":{"joins":{` + eve + `},"leaves":{}},"ref":null}`)
		c.send(`["1","4","room:a","present",""]`)
		c.want(`["1",null,"room:a","presence_state",{` + ann + "," + eve + `}]`)
		c.sendBinary("\x00\x01\x01\x06\x0715room:apresent")
		c.want(`["1",null,"room:a","presence_state",{` + ann + "," + eve + `}]`)

		refused := s.connect()
		refused.send(`["1","1","room:b","phx_join","present and refuse"]`)
		refused.want(`["1","1","room:b","phx_reply",{"status":"error","response":{}}]`)
	})
}

// A handler of all members shows it to the one at hand, or to the one it names.
func TestPresentToAMember(t *testing.T) {
	run(t, options{shared: true}, func(t *testing.T, s *server) {
		ann := s.present(t, 1, "room:a", "ann")
		settle() // nobody is there to be told
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
		state := `["1",null,"room:a","presence_state",{` + ann + `}]`
		b.send(`["1","2","room:a","present",""]`)
		b.want(state)
		b.send(`["1","3","room:a","present to","1"]`, `["1","4","room:a","present to","77"]`)
		b.want()
		a.want(state)
	})
}

// present makes an owner present and returns its text in a list.
func (s *server) present(t *testing.T, owner any, topic, key string) string {
	t.Helper()
	ref, err := s.Presence.Track(owner, topic, key, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`%q:{"metas":[{"phx_ref":%q}]}`, key, ref)
}

// Clients of two nodes see one list.
func TestPresentOnTwoNodes(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		other := channels.NewEndpoint(channels.Limits{})
		defer other.Presence.Close()
		connect := func(e *channels.Endpoint, name string) {
			if err := e.Presence.Connect(presence.Replica{Name: name, Incarnation: 1}, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		connect(s.Endpoint, "a")
		connect(other, "b")
		s.Presence.Up("b")
		ann := s.present(t, 1, "room:a", "ann")
		settle()
		c := s.connect()
		c.send(`["1","1","room:a","phx_join","present"]`)
		c.want(ok("1", "1", "room:a"), `["1",null,"room:a","presence_state",{`+ann+`}]`, `["1",null,"room:a","hello",{}]`)
		ref, err := other.Presence.Track(1, "room:a", "bob", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		bob := fmt.Sprintf(`"bob":{"metas":[{"phx_ref":%q}]}`, ref)
		if err := s.Presence.Merge("b", other.Presence.TakeChanges()); err != nil {
			t.Error(err)
		}
		c.want(`[null,null,"room:a","presence_diff",{"joins":{` + bob + `},"leaves":{}}]`)
		if _, err := other.Presence.Track(2, "room:a", "eve", []byte(`{"x":1e999}`)); err == nil {
			t.Error("a meta that clients cannot read was tracked")
		}
		c.send(`["1","2","room:a","present",""]`)
		c.want(`["1",null,"room:a","presence_state",{` + ann + "," + bob + `}]`)
		s.Presence.Down("b")
		c.want(`[null,null,"room:a","presence_diff",{"joins":{},"leaves":{` + bob + `}}]`)
	})
}
