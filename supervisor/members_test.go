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

// Whoever is asked to end and waits for its turn is not late, however long others have the processor: it ends as it was asked to, and is not
// killed, which would be reported as a crash.
func TestStopWaitsForTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Second
		d := newCrowd(t, supervisor.DynamicConfig{Shutdown: patience})
		d.rt = newRuntime(t, supervisor.Options{Schedulers: 1, Slice: time.Hour})
		d.root = d.rt.Spawn(d.Spec())
		names := []string{"a1", "b1", "c1"}
		for _, name := range names {
			d.start(name, supervisor.Transient)
		}
		busy := d.rt.Spawn(supervisor.Spec{Actor: worker{}})
		synctest.Wait()
		busy.Post(time.Millisecond)
		synctest.Wait() // it has the only scheduler, so that these come in order:
		reason := supervisor.ShutdownBecause("asked")
		for _, name := range names {
			d.Stop(d.kids[name], reason)
		}
		again := d.rt.Spawn(supervisor.Spec{Actor: worker{}})
		again.Post(5 * patience)
		time.Sleep(4 * patience)
		synctest.Wait()
		if n := d.Len(); n != 3 {
			t.Errorf("%d children are left while another has the processor", n)
		}
		time.Sleep(2 * patience)
		synctest.Wait()
		for _, name := range names {
			if exits := d.kids[name].exits; len(exits) != 1 || !errors.Is(exits[0].reason, reason) {
				t.Errorf("%s ended with %v", name, exits)
			}
		}
		again.Stop(nil)
		busy.Stop(nil)
		d.end()
	})
}

// worker is at work for as long as a message says.
type worker struct{}

func (worker) Init(*supervisor.Process) error { return nil }
func (worker) Handle(_ *supervisor.Process, msg any) error {
	time.Sleep(msg.(time.Duration))
	return nil
}
func (worker) Terminate(*supervisor.Process, error) {}
