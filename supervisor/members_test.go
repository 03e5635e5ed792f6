package supervisor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{}, "a1", "b1", "a2")
		members, err := d.Members(t.Context(), 10)
		if err != nil || len(members) != 3 {
			t.Fatalf("%d members, %v", len(members), err)
		}
		for i, want := range []string{"a1", "b1", "a2"} {
			m := members[i]
			if m.Child != d.kids[want] || m.Group != want[:1] || m.Restarts != 0 || m.Process.Info().State != supervisor.Waiting {
				t.Errorf("member %d is %+v, want %s", i, m, want)
			}
		}
		if some, err := d.Members(t.Context(), 2); len(some) != 2 || err != nil {
			t.Errorf("%d members of 2, %v", len(some), err)
		}
	})
}

// Nobody waits for a Dynamic without a process for longer than they want.
func TestMembersOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := supervisor.NewDynamic(supervisor.DynamicConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Members(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a process: %v", err)
		}
		d.Close(nil)
		if _, err := d.Members(t.Context(), 1); !errors.Is(err, supervisor.ErrEnded) {
			t.Errorf("closed: %v", err)
		}
	})
}
