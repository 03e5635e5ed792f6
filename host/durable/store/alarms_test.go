package store

import (
	"testing"
	"time"

	"rtd/host/durable"
)

// A clock that is set back makes nobody wait for longer than was meant: not in the server that runs,
func TestClockSetBack(t *testing.T) {
	var k Keeper
	k.alarms.init()
	who, now := durable.Actor{Plugin: "p", Kind: durable.Topic, Name: "a"}, time.Now()
	k.alarms.set(who, now.Add(time.Minute))
	passed := func(d time.Duration) func(time.Time) time.Duration {
		return func(time.Time) time.Duration { return d }
	}
	k.due(now, passed(0))
	now = now.Add(time.Second - time.Hour)
	if due, wait := k.due(now, passed(time.Second)); len(due) > 0 || wait > lookAtClock {
		t.Errorf("due: %v, and looked at again in %v", due, wait)
	}
	for range 57 {
		now = now.Add(time.Second)
		if due, _ := k.due(now, passed(time.Second)); len(due) > 0 {
			t.Fatalf("it rings too soon, %v", now)
		}
	}
	now = now.Add(2 * time.Second)
	if due, _ := k.due(now, passed(2*time.Second)); len(due) != 1 {
		t.Error("it does not ring")
	}
}

// and not in the next one.
func TestClockSetBackBefore(t *testing.T) {
	now := time.Now()
	for _, test := range []struct{ at, due, least, most time.Duration }{
		{-time.Hour, time.Minute, time.Minute, time.Minute},
		{-time.Hour, -time.Minute, -time.Minute, -time.Minute},
		{time.Hour, time.Hour + time.Minute, time.Minute, 2 * time.Minute},
		{time.Hour, time.Minute, 0, time.Minute},
	} {
		s := &durable.State{At: now.Add(test.at), Due: now.Add(test.due)}
		if ahead := ringAt(s).Sub(now); ahead < test.least || ahead > test.most {
			t.Errorf("stored at %v, due in %v: rings in %v", test.at, test.due, ahead)
		}
	}
	if at := ringAt(&durable.State{At: now.Add(time.Hour)}); !at.IsZero() {
		t.Errorf("without a timer it rings at %v", at)
	}
}
