package rtd_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	rtd "rtd/sdk/go"
)

func TestKeepHistory(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.KeepHistory("room:*", rtd.Keep{})
	rtd.KeepHistory("lobby", rtd.Keep{Messages: 100, Bytes: 1 << 20, Age: time.Hour})
	rtd.KeepHistory("short", rtd.Keep{Age: time.Nanosecond})
	h.Start("{}")
	h.Want("history|room:*", `history|lobby||{"messages":100,"bytes":1048576,"age":3600000}`, `history|short||{"age":1}`)
}

func TestHistory(t *testing.T) {
	h := rtd.NewHost(t)
	first := rtd.PastMessage{Offset: 5, UnixMS: 1700000000000, Event: "said", Payload: []byte(`{"n":1}`)}
	large := rtd.PastMessage{Offset: 6, UnixMS: 1700000000001, Event: "bytes", Payload: []byte(strings.Repeat("x", 5000)), Binary: true}
	fields := []string{"abcdefghij:6", "5", "5", "1700000000000", "said", `{"n":1}`, "", "6", "1700000000001", "bytes", string(large.Payload), "binary"}
	h.Answer("history", rtd.Fields(fields...), rtd.Fields("abcdefghij:0", "1"), rtd.Fields(fields...)[:60])
	page, err := rtd.History("room:1", 4, 2)
	ok(t, err)
	rtd.Self() // whose answer comes in the same place
	if want := (rtd.HistoryPage{Position: "abcdefghij:6", Oldest: 5, Messages: []rtd.PastMessage{first, large}}); !reflect.DeepEqual(page, want) {
		t.Errorf("page = %+v", page)
	}
	page, err = rtd.History("", 0, 0)
	ok(t, err)
	if !reflect.DeepEqual(page, rtd.HistoryPage{Position: "abcdefghij:0", Oldest: 1}) {
		t.Errorf("page = %+v", page)
	}
	h.Want("history|room:1||4|2", "self", "history||||0")
	if _, err := rtd.History("", 0, 1000); err != nil { // of bytes that are cut, there is what there is
		t.Error(err)
	}
	h.Fail("history", rtd.ErrNoHistory, "")
	_, err = rtd.History("room:1", 0, 1)
	if !errors.Is(err, rtd.ErrNoHistory) || !strings.Contains(err.Error(), "history room:1: the topic has no history") {
		t.Errorf("err = %v", err)
	}
	h.Fail("history", rtd.ErrDenied, "")
	if _, err = rtd.History("other", 0, 1); !errors.Is(err, rtd.ErrDenied) || !strings.Contains(err.Error(), "grants in the server's config") {
		t.Errorf("err = %v", err)
	}
}
