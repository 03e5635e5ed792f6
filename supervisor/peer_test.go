package supervisor_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

// peer is a process that notes what it is told of others, and obeys.
type peer struct {
	*supervisor.Process
	journal
	terminate func()
}

func newPeer(rt *supervisor.Runtime) *peer {
	a := &peer{}
	a.Process = rt.Spawn(supervisor.Spec{Actor: a, Limit: 4})
	return a
}

// peers must be called in a synctest bubble.
func peers(t *testing.T, n int) (*supervisor.Runtime, []*peer) {
	rt := newRuntime(t, supervisor.Options{})
	all := make([]*peer, n)
	for i := range all {
		all[i] = newPeer(rt)
	}
	t.Cleanup(func() {
		for _, p := range all {
			p.Kill()
		}
		rt.Wait()
		if n := rt.Stats().Processes; n != 0 {
			t.Errorf("%d processes left", n)
		}
	})
	synctest.Wait()
	return rt, all
}

func (a *peer) Init(*supervisor.Process) error { return nil }

func (a *peer) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case supervisor.Exit:
		a.add(fmt.Sprintf("exit of %d: %v", msg.From.PID(), msg.Reason))
	case supervisor.Down:
		a.add(fmt.Sprintf("down %d of %d: %v", msg.Ref, msg.Process.PID(), msg.Reason))
	case supervisor.Exited:
		a.add(fmt.Sprintf("exited %d: %v", msg.Process.PID(), msg.Reason))
	case string:
		a.add(msg)
	}
	return obey(p, msg)
}

func (a *peer) Terminate(*supervisor.Process, error) {
	if a.terminate != nil {
		a.terminate()
	}
}

// do lets the process call f and waits for what follows.
func (a *peer) do(f func()) {
	a.Send(func() error { f(); return nil })
	synctest.Wait()
}

// tell gives the process a message, such as a reason to end, and waits for what
// follows.
func (a *peer) tell(msg any) {
	a.Send(msg)
	synctest.Wait()
}
