package channels_test

import (
	"fmt"
	"strings"
	"testing"

	"rtd/channels"
	"rtd/supervisor"
)

// TestReplyLater has guests answer a message while they handle another one.
func TestReplyLater(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c, other := s.connect().joined("room:a"), s.connect().joined("room:a", "room:b")
		for _, ref := range []string{`"2"`, `12345678901234567890123`, `"a:b \"\\\u00e9"`} {
			c.send(`["1",`+ref+`,"room:a","save",{}]`, `["1","3","room:a","echo",{}]`)
			c.want(ok("1", "3", "room:a"))
			s.plugin.latest().Send(told{"answer", `{"n":1}`}) // of another process, perhaps of another topic
			other.send(`["1","4","room:a","count",{}]`)
			settle()
			other.take()
			c.take()
			c.send(`["1","5","room:a","answer",{"n":2}]`)
			c.want(`["1",` + ref + `,"room:a","phx_reply",{"status":"ok","response":{"n":2}}]`)
		}
		// A message may be answered in its own event by its token, in binary, and
		// if nobody asked there is no token.
		c.send(`["1","6","room:a","answer itself",{}]`)
		c.want(ok("1", "6", "room:a"))
		c.send(`["1","7","room:a","save",{}]`)
		c.sendBinary(bin("1", "8", "room:a", "answer", "\x00"))
		c.want("binary \x01\x01\x01\x06\x0217room:aok\x00")
		c.send(`["1",null,"room:a","save",{}]`)
		settle()
		if token := s.plugin.savedToken(); token != "" {
			t.Errorf("token %q of a message that wants no reply", token)
		}
	})
}

// TestReplyToAnotherMember has a shared handler answer one member while it handles
// another one's message.
func TestReplyToAnotherMember(t *testing.T) {
	run(t, options{shared: true}, func(t *testing.T, s *server) {
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
		a.send(`["1","7","room:a","save",{}]`)
		settle()
		b.send(`["1","8","room:a","answer",{"n":1}]`)
		a.want(`["1","7","room:a","phx_reply",{"status":"ok","response":{"n":1}}]`)
		b.want()
		a.send(`["1","9","room:a","phx_leave",{}]`)
		settle()
		a.take()
		b.take()
		b.send(`["1","10","room:a","answer",{}]`, `["1","11","room:a","echo",{}]`)
		b.want(ok("1", "11", "room:a"))
		a.want()
	})
}

// TestLateReplyOfAReplacedChannel has tokens outlive the channel that got them.
func TestLateReplyOfAReplacedChannel(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","save",{}]`)
		settle()
		c.send(`["3","3","room:a","phx_join",{}]`)
		c.want(ok("3", "3", "room:a"), closed)
		c.send(`["3","4","room:a","answer",{}]`, `["3","5","room:a","echo",{}]`)
		c.want(ok("3", "5", "room:a"))
	})
	// A restart in place is the same channel for the client, who still waits.
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","save",{}]`, `["1","3","room:a","crash",{}]`)
		settle()
		c.take()
		c.send(`["1","4","room:a","answer",{}]`)
		c.want(ok("1", "2", "room:a"))
	})
}

func TestMadeUpTokens(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		c.send(`["1","2","room:a","save",{}]`)
		settle()
		valid := s.plugin.savedToken()
		names, ref, _ := strings.Cut(valid, ":")
		handler, member, _ := strings.Cut(names, ".")
		for _, token := range []string{
			"x", ":", ".:", names, names + ":", names + `:"2`, names + `:"2",0`, names + ":\"\xff\"", names + `:1e999`,
			handler + "0." + member + ":" + ref, "." + member + ":" + ref, "-1." + member + ":" + ref, ref,
		} {
			s.plugin.saveToken(token)
			c.send(`["1","3","room:a","answer",{}]`)
			c.want()
		}
		if s.plugin.shared.Load() {
			s.plugin.saveToken(handler + ".7:" + ref)
			c.send(`["1","3","room:a","answer",{}]`)
			c.want()
		}
		s.wantCrashes()
	})
}

// TestLateBinaryReplyThatCannotBeSent answers later in a form that the client
// cannot read, or beside a ref that is too long for it.
func TestLateBinaryReplyThatCannotBeSent(t *testing.T) {
	run(t, options{restart: supervisor.Temporary}, func(t *testing.T, s *server) {
		c := s.connectWith(channels.SocketOptions{Codec: channels.V1})
		c.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`, `{"topic":"room:a","event":"save","payload":{},"ref":"2"}`)
		settle()
		c.take()
		token := s.plugin.savedToken()
		d := s.connect().joined("room:a")
		d.send(`["1","` + strings.Repeat("x", 256) + `","room:a","save",{}]`)
		settle()
		d.sendBinary(bin("1", "3", "room:a", "answer", ""))
		d.want(crashed)
		s.plugin.saveToken(token) // is not d's
		d.joined("room:a").sendBinary(bin("1", "2", "room:a", "answer", ""))
		d.want()
	})
}

func TestStopWithLateReply(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		c := s.connect().joined("room:a")
		// It answers by the token and ends as by a crash: one answer is enough.
		c.send(`["1","2","room:a","answer and stop",{}]`)
		c.want(ok("1", "2", "room:a"))
		s.wantCrashes(`rooms v1 room:a answer and stop: because, restarts, 0`)
		c.send(fmt.Sprintf(`["1",%q,"room:a","stop","because"]`, "3"))
		c.want(said, fmt.Sprintf(crashedReply, "3"))
	})
}
