package channels_test

import (
	"fmt"
	"testing"

	"rtd/channels"
)

// first is the id of the first member that any handler of all has met.
func (s *server) first() string {
	s.plugin.mu.Lock()
	defer s.plugin.mu.Unlock()
	for _, ids := range s.plugin.ids {
		return (*ids)[0]
	}
	s.t.Error("no handler has met a member")
	return ""
}

// TestIdentitiesOfAnEarlierServer has guests keep a token and a member's id for longer than
// their server lives. In the next one, where all begins in the same way, they are nobody's.
func TestIdentitiesOfAnEarlierServer(t *testing.T) {
	for _, shared := range []bool{false, true} {
		token, member := "none yet", "nobody"
		for range 2 {
			run(t, options{shared: shared}, func(t *testing.T, s *server) {
				c := s.connect().joined("room:a")
				s.plugin.saveToken(token)
				c.send(`["1","2","room:a","answer",{}]`, fmt.Sprintf(`["1","3","room:a","echo",%q]`, member))
				c.want(fmt.Sprintf(`["1","3","room:a","phx_reply",{"status":"ok","response":%q}]`, member))
				if shared {
					c.send(fmt.Sprintf(`["1","4","room:a","tell",%q]`, member), `["1","5","room:a","tell","1"]`)
					c.want(`["1",null,"room:a","told",{}]`)
					member = s.first()
				}
				c.send(`["1","2","room:a","save",{}]`)
				settle()
				token = s.plugin.savedToken()
				s.wantCrashes()
			})
		}
	}
}

// TestMembersOfAnEarlierHandler has a topic's handler end and another one begin: the members
// of the former are none of the latter's, for pushes and for presence.
func TestMembersOfAnEarlierHandler(t *testing.T) {
	runShared(t, options{}, func(t *testing.T, s *server) {
		a := s.connect().joined("room:a")
		settle()
		former := s.first()
		a.send(`["1","2","room:a","phx_leave",{}]`)
		a.want(ok("1", "2", "room:a"), closed)
		b := s.connect().joined("room:a")
		b.send(fmt.Sprintf(`["1","3","room:a","tell",%q]`, former), `["1","4","room:a","tell","1"]`)
		b.want(`["1",null,"room:a","told",{}]`)
		handler := s.plugin.latest().Actor().(*channels.SharedChannel)
		if _, ok := handler.PresenceOwner(former); ok {
			t.Errorf("%s is a member", former)
		}
	})
}
