package process

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"
)

func everything() *held {
	return &held{
		TrapExit: true, Module: "counter", Under: "pool", Args: []byte("args"), Binary: true,
		Timers: []heldTimer{
			{ID: "1.abcdefg", Due: time.Unix(1, 2), After: time.Second, Payload: []byte("ring")},
			{ID: "2.abcdefg", Due: time.Unix(-1, 0), After: time.Hour, Binary: true, Payload: []byte{}},
		},
		Monitors: []heldTie{{"3.abcdefg", "#4.abcdefg"}}, Links: []string{"#5.abcdefg"}, Asked: []string{"6.abcdefg"},
		Subscriptions: []string{"news"}, Intercepts: []string{"said"}, Names: []string{"ada"},
		Presences: []heldPresence{{"room", "ada", []byte(`{"n":1}`)}},
	}
}

// The bytes of format 1 stay as they are: there are states on disks.
func TestHeldIsStoredAsItWas(t *testing.T) {
	for name, c := range map[string]struct {
		held   *held
		stored string
	}{
		"nothing":    {&held{}, "0100"},
		"everything": {everything(), "010f07636f756e746572046172677304706f6f6c0209312e6162636465666784a8d6b9078094ebdc03000472696e6709322e61626364656667ffa7d6b90780c0e285e36801000109332e616263646566670a23342e61626364656667010a23352e616263646566670109362e6162636465666701046e65777301047361696401036164610104726f6f6d03616461077b226e223a317d"},
	} {
		b := c.held.append(nil)
		if got := hex.EncodeToString(b); got != c.stored {
			t.Errorf("%s is %s, was %s", name, got, c.stored)
		}
		got, err := parseHeld(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, c.held) {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}

// Whatever bytes there are, they are read as something that is written as they are, or refused.
func FuzzHeld(f *testing.F) {
	f.Add((&held{}).append(nil))
	f.Add(everything().append(nil))
	f.Add([]byte{heldFormat + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeld(b)
		if err != nil {
			return
		}
		again, err := parseHeld(h.append(nil))
		if err != nil {
			t.Fatalf("%x is refused after it was read and written: %v", b, err)
		}
		if !bytes.Equal(again.append(nil), h.append(nil)) {
			t.Errorf("%x is read as %+v and then as %+v", b, h, again)
		}
	})
}
