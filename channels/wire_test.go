package channels_test

import (
	"fmt"
	"testing"

	"rtd/channels"
	"rtd/supervisor"
)

// bin is a binary frame as clients send it.
func bin(joinRef, ref, topic, event, payload string) string {
	return fmt.Sprintf("\x00%c%c%c%c%s%s%s%s%s", len(joinRef), len(ref), len(topic), len(event), joinRef, ref, topic, event, payload)
}

func v1Reply(ref, topic, payload string) string {
	return fmt.Sprintf(`{"topic":%q,"event":"phx_reply","payload":%s,"ref":%s}`, topic, payload, ref)
}

const v1OK = `{"status":"ok","response":{}}`

// TestV1Client plays a client of the first version, which knows no join_ref.
func TestV1Client(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c, v2 := s.connectWith(channels.SocketOptions{Codec: channels.V1}), s.connect()
		c.send(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}`)
		c.want(v1Reply(`"1"`, "phoenix", v1OK))
		c.send(`{"topic":"room:a","event":"phx_join","payload":"greet","ref":"2"}`)
		c.want(
			v1Reply(`"2"`, "room:a", `{"status":"ok","response":{"you":"are in"}}`),
			`{"topic":"room:a","event":"hello","payload":{},"ref":null}`,
			`{"topic":"room:a","event":"new","payload":{},"ref":null}`,
		)
		v2.joined("room:a").send(`["1","2","room:a","say",{"n":1}]`)
		c.want(`{"topic":"room:a","event":"said","payload":{"n":1},"ref":null}`)
		v2.want(`[null,null,"room:a","said",{"n":1}]`)
		c.send(`{"topic":"room:a","event":"echo","payload":[1],"ref":3}`)
		c.want(v1Reply(`3`, "room:a", `{"status":"ok","response":[1]}`))
		c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"4"}`)
		c.want(v1Reply(`"4"`, "room:a", v1OK), `{"topic":"room:a","event":"phx_close","payload":{},"ref":null}`)
		c.send(`{"topic":"room:a","event":"phx_leave","payload":{},"ref":"5"}`)
		settle()
		v2.take()
		c.want(v1Reply(`"5"`, "room:a", v1OK), `{"topic":"room:a","event":"phx_close","payload":{},"ref":null}`)
		c.send(`{"topic":"room:a","event":"echo","payload":{},"ref":"6"}`)
		c.want(v1Reply(`"6"`, "room:a", `{"status":"error","response":{"reason":"unmatched topic"}}`))
		// One that has a join_ref finds it in the end of the channel.
		c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"7","join_ref":"7"}`,
			`{"topic":"room:a","event":"echo","payload":{},"ref":"8","join_ref":"6"}`, // stale
			`{"topic":"room:a","event":"stop","payload":"normal","ref":"9","join_ref":"7"}`)
		c.want(v1Reply(`"7"`, "room:a", v1OK), `{"topic":"room:a","event":"said","payload":{},"ref":null}`,
			`{"topic":"room:a","event":"phx_close","payload":{},"ref":"7"}`)
		settle()
		v2.take()
	})
}

func TestV1Crash(t *testing.T) {
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		c := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`,
			`{"topic":"room:a","event":"crash","payload":{},"ref":"2"}`)
		c.want(v1Reply(`"1"`, "room:a", v1OK), `{"topic":"room:a","event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1"}`)
	})
}

func TestBinaryBothWays(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		other := s.connect()
		other.sendBinary(bin("7", "7", "room:a", "phx_join", "\x00hello"))
		other.want(ok("7", "7", "room:a"))
		c.sendBinary(bin("1", "2", "room:a", "echo", "\x00\xff"))
		c.want("binary \x01\x01\x01\x06\x0212room:aok\x00\xff")
		c.sendBinary(bin("1", "3", "room:a", "push", ""))
		c.want("binary \x00\x01\x06\x061room:apushed")
		c.sendBinary(bin("1", "4", "room:a", "say", "\x01"))
		c.want("binary \x02\x06\x04room:asaid\x01")
		other.want("binary \x02\x06\x04room:asaid\x01")
		c.sendBinary(bin("1", "5", "room:a", "shout", "\x02"))
		other.want("binary \x02\x06\x07room:ashouted\x02")
		// Text is answered in binary, binary in text, and a topic mixes both in order.
		c.send(`["1","6","room:a","binary",{}]`)
		c.sendBinary(bin("1", "7", "room:a", "count", ""))
		c.send(`["1","8","room:a","push binary",{}]`)
		c.sendBinary(bin("1", "9", "room:a", "phx_leave", ""))
		settle()
		got := c.take()
		if len(got) != 5 || got[0] != "binary \x01\x01\x01\x06\x0216room:aok\x00\x01" || got[2] != "binary \x00\x01\x06\x061room:apushed\x00\x01" ||
			got[3] != ok("1", "9", "room:a") || got[4] != closed {
			t.Errorf("got %q", got)
		}
	})
}

func TestBinaryJoinIsReplayedAsSuch(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.sendBinary(bin("1", "1", "room:a", "phx_join", "xyz"))
		c.send(`["1","2","room:a","crash",{}]`)
		c.want(ok("1", "1", "room:a"), fmt.Sprintf(crashedReply, "2"))
		s.wantJoins("xyz in binary", "xyz in binary replayed")
	})
}

func TestBinaryRefsAreStrings(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		for _, ref := range []string{`"7"`, `"<\"\\é"`, `"\u00e9\n"`} {
			name := map[string]string{`"7"`: "7", `"<\"\\é"`: `<"\é`, `"\u00e9\n"`: "é\n"}[ref]
			c.send(`[` + ref + `,"1","room:a","phx_join",{}]`)
			c.want(`[` + ref + `,"1","room:a","phx_reply",{"status":"ok","response":{}}]`)
			c.sendBinary(bin(name, "", "room:a", "fail", ""), bin("8", "2", "room:a", "fail", "")) // the second is stale
			c.want(`[` + ref + `,"","room:a","phx_reply",{"status":"error","response":{"reason":"no"}}]`)
			c.sendBinary(bin(name, "3", "room:a", "phx_leave", ""))
			settle()
			c.take()
		}
		// A number is no string, and an empty ref not null.
		c.send(`[7,7,"room:a","phx_join",{}]`)
		c.want(`[7,7,"room:a","phx_reply",{"status":"ok","response":{}}]`)
		c.sendBinary(bin("7", "8", "room:a", "echo", ""), bin("", "9", "room:a", "echo", ""))
		c.want()
		c.send(`[7,8,"room:a","push binary",{}]`)
		c.want("binary \x00\x01\x06\x067room:apushed\x00\x01")
	})
}

func TestBinaryToTopicNotJoined(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect()
		c.sendBinary(bin("1", "2", "room:a", "echo", "x"), bin("1", "3", "room:a", "phx_leave", ""),
			bin("", "4", "lobby", "phx_join", ""), bin("", "5", "phoenix", "heartbeat", ""))
		c.want(
			`[null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			ok("1", "3", "room:a"),
			`[null,"4","lobby","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			`[null,"5","phoenix","phx_reply",{"status":"ok","response":{}}]`,
		)
	})
}

// TestWhatAClientCannotBeSent has guests send to clients what their frames have
// no form for. It is the handler's crash where the client has one of its own.
func TestWhatAClientCannotBeSent(t *testing.T) {
	v1 := channels.SocketOptions{Codec: channels.V1}
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		for _, event := range []string{"binary", "push binary"} {
			c := s.connectWith(v1)
			c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`, `{"topic":"room:a","event":"`+event+`","payload":{},"ref":"2"}`)
			c.want(v1Reply(`"1"`, "room:a", v1OK), `{"topic":"room:a","event":"phx_error","payload":{"reason":"channel_crash"},"ref":null}`)
		}
		c := s.connectWith(v1)
		c.send(`{"topic":"room:a","event":"phx_join","payload":"binary","ref":"1"}`)
		c.want(v1Reply(`"1"`, "room:a", `{"status":"error","response":{"reason":"join crashed"}}`))
		// A ref for which binary frames have no room.
		c = s.connect().joined("room:a")
		c.send(`["1",{},"room:a","binary",{}]`)
		c.want(crashed)
	})
	run(t, options{shared: true}, func(t *testing.T, s *server) {
		c, other := s.connectWith(v1), s.connect()
		c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
		other.joined("room:a")
		c.send(`{"topic":"room:a","event":"binary","payload":{},"ref":"2"}`, `{"topic":"room:a","event":"push binary","payload":{},"ref":"3"}`,
			`{"topic":"room:a","event":"count","payload":{},"ref":"4"}`)
		c.want(v1Reply(`"1"`, "room:a", v1OK), v1Reply(`"2"`, "room:a", `{"status":"error","response":{"reason":"crashed"}}`),
			v1Reply(`"4"`, "room:a", `{"status":"ok","response":3}`))
		s.wantCrashes() // others have no part in it
		if n := s.Stats().Undelivered; n != 2 {
			t.Errorf("%d undelivered, want 2", n)
		}
		// A join is taken back, and the guest told so.
		turnedAway := s.connectWith(v1)
		turnedAway.send(`{"topic":"room:a","event":"phx_join","payload":"binary","ref":"1"}`, `{"topic":"room:a","event":"echo","payload":{},"ref":"2"}`)
		turnedAway.want(v1Reply(`"1"`, "room:a", `{"status":"error","response":{"reason":"join crashed"}}`),
			v1Reply(`"2"`, "room:a", `{"status":"error","response":{"reason":"unmatched topic"}}`))
		turnedAway.send(`{"topic":"room:a","event":"phx_join","payload":"refuse in binary","ref":"3"}`)
		turnedAway.want(v1Reply(`"3"`, "room:a", `{"status":"error","response":{"reason":"join crashed"}}`))
		s.wantJoins(`{} as 1`, `{} as 2`, `"binary" as 3`, `3 join reply could not be sent`, `"refuse in binary" as 4`)
		other.want(`[null,null,"room:a","left",{"who":"3"}]`)
		settle()
		c.take()
	})
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c, other := s.connect().joined("room:a"), s.connectWith(v1)
		other.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
		settle()
		other.take()
		c.send(`["1","2","room:a","say binary",{}]`, `["1","3","room:a","say",{}]`)
		c.want("binary \x02\x06\x04room:asaid\x00\x01", said)
		other.want(`{"topic":"room:a","event":"said","payload":{},"ref":null}`)
		s.wantCrashes()
		if st := s.Stats(); st.Undelivered != 1 || st.Deliveries != 3 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestJoinLeaveJoinInQuickSuccession(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Transient, supervisor.Temporary} {
		runBoth(t, options{restart: restart, limits: channels.Limits{Joins: 1}}, func(t *testing.T, s *server) {
			c := s.connect()
			c.send(
				`["1","1","room:a","phx_join",{}]`,
				`["1","2","room:a","phx_leave",{}]`,
				`["3","3","room:a","phx_join",{}]`,
				`["1","4","room:a","phx_leave",{}]`, // of the first one: stale
				`["5","5","room:a","phx_join",{}]`,
				`["5","6","room:a","count",{}]`,
			)
			c.want(
				ok("1", "1", "room:a"),
				ok("1", "2", "room:a"), closed,
				ok("3", "3", "room:a"),
				ok("5", "5", "room:a"), `["3","3","room:a","phx_close",{}]`,
				`["5","6","room:a","phx_reply",{"status":"ok","response":1}]`,
			)
		})
	}
}

// TestServesSomeSockets has a mount that a plugin is not part of.
func TestServesSomeSockets(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		none := s.connectWith(channels.SocketOptions{Serves: func(p channels.Plugin) bool { return p != channels.Plugin(s.plugin) }})
		none.send(`["1","1","room:a","phx_join",{}]`)
		none.want(`[null,"1","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
		all := s.connectWith(channels.SocketOptions{Serves: func(p channels.Plugin) bool { return p == channels.Plugin(s.plugin) }})
		all.joined("room:a")
	})
}

func TestAssigns(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connectWith(channels.SocketOptions{Assigns: []byte(`{"user":1}`)}).joined("room:a")
		c.send(`["1","2","room:a","crash",{}]`)
		c.want(fmt.Sprintf(crashedReply, "2"))
		s.wantJoins(`{} with {"user":1}`, `{} with {"user":1} replayed`)
	})
	run(t, options{shared: true}, func(t *testing.T, s *server) {
		c := s.connectWith(channels.SocketOptions{Assigns: []byte(`{"user":1}`)}).joined("room:a", "room:b")
		s.connect().joined("room:a", "room:c").send(`["1","2","room:c","crash",{}]`)
		settle()
		s.wantJoins(`{} as 1 with {"user":1}`, `{} as 1 with {"user":1}`, `{} as 2`, `{} as 1`, `members 1 {}`) // nobody has any
		c.send(`["1","2","room:a","crash",{}]`)
		settle()
		c.take()
		s.wantJoins(`members 1 {} 2 {} with {"user":1} with `)
	})
}
