package rtd_test

import (
	"errors"
	"testing"

	rtd "rtd/sdk/go"
)

type present struct {
	room
	last *rtd.Socket
}

func (p *present) Join(s *rtd.Socket, payload []byte) error {
	p.last = s
	if _, err := s.Presence().Track("ada", payload); err != nil {
		return err
	}
	s.PushPresence()
	return rtd.Presence("lobby").PushTo(s)
}

func TestPresence(t *testing.T) {
	h := rtd.NewHost(t)
	var p present
	rtd.Handle("room:*", func() rtd.Channel { return &p })
	h.Join("room:1", `{"n":1}`, "")
	h.Want(`track|ada|{"n":1}|room:1`, "present", "present|lobby")
	h.Join("room:2", `{}`, "7") // of a member
	h.Want("track|ada|{}|room:2|7", "present|||7", "present|lobby||7")

	lobby := rtd.Presence("lobby")
	h.Answer("presences", `{"ada":{"metas":[]}}`)
	if list, err := lobby.List(); err != nil || string(list) != `{"ada":{"metas":[]}}` {
		t.Errorf("list = %s, %v", list, err)
	}
	h.Want("presences|lobby")
	h.Answer("track", "r1")
	h.Answer("update", "r2")
	h.Answer("presence_count", rtd.Fields("2", "3"), rtd.Fields("many", "3"))
	first, err := lobby.Track("7", nil)
	ok(t, err)
	second, err := lobby.Update("7", []byte("{}"))
	ok(t, err)
	ok(t, lobby.Untrack("7"))
	keys, metas, err := lobby.Count()
	ok(t, err)
	if first != "r1" || second != "r2" || keys != 2 || metas != 3 {
		t.Errorf("got %q, %q, %d, %d", first, second, keys, metas)
	}
	h.Want("track|7||lobby", "update|7|{}|lobby", "untrack|7||lobby", "presence_count|lobby")
	if _, _, err := lobby.Count(); err == nil {
		t.Error("a count that is no number")
	}
	h.Want("presence_count|lobby")

	member := p.last
	_, err = member.Presence().Update("ada", nil)
	ok(t, err)
	_, err = lobby.Of(member).Track("ada", nil)
	ok(t, err)
	ok(t, lobby.Of(member).Untrack("ada"))
	h.Want("update|ada||room:2|7", "track|ada||lobby|7", "untrack|ada||lobby|7")

	h.Fail("track", rtd.ErrDenied, "")
	if _, err := lobby.Track("7", nil); !errors.Is(err, rtd.ErrDenied) {
		t.Errorf("err = %v", err)
	}
}
