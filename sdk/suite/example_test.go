package suite_test

import (
	"strconv"
	"strings"
	"testing"
)

// bareRooms runs the guest without an SDK of package abi.
var bareRooms = []scenario{
	{"without an SDK", func(t *testing.T, s *stack) {
		ada, bob := s.join(t, "bare:1", `{"any":"thing"}`), s.join(t, "bare:1", "{}")
		for n := 1; n <= 11; n++ {
			ada.replies(t, "say", `{"body":"hello"}`, `ok {"said":`+strconv.Itoa(n)+`}`)
			bob.hears(t, "say", `{"body":"hello"}`)
		}
		bob.replied(t, bob.sendBytes(t, "say", []byte("\x00\xff")), "say", `ok {"said":1}`)
		for range 11 {
			ada.hears(t, "say", `{"body":"hello"}`)
		}
		ada.hearsBytes(t, "say", []byte("\x00\xff"))
		ada.replies(t, "dance", "{}", `error {"reason":"crashed"}`)
		s.logged(t, "unknown event", `"topic":"bare:1"`)
		ada.replies(t, "say", "{}", `ok {"said":1}`)
		ada.replies(t, "say", `{"body":"`+strings.Repeat("x", 20<<10)+`"}`, `error {"reason":"too_large"}`)
		ada.replies(t, "say", "{}", `ok {"said":2}`)
	}},
}
