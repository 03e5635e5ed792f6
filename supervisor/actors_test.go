package supervisor_test

import (
	"slices"
	"sync"
	"testing"

	"rtd/supervisor"
)

// funcs is an actor made of functions; nil ones do nothing.
type funcs struct {
	init      func(p *supervisor.Process) error
	handle    func(p *supervisor.Process, msg any) error
	terminate func(p *supervisor.Process, reason error)
}

func (f *funcs) Init(p *supervisor.Process) error {
	if f.init == nil {
		return nil
	}
	return f.init(p)
}

func (f *funcs) Handle(p *supervisor.Process, msg any) error {
	if f.handle == nil {
		return nil
	}
	return f.handle(p, msg)
}

func (f *funcs) Terminate(p *supervisor.Process, reason error) {
	if f.terminate != nil {
		f.terminate(p, reason)
	}
}

// obey does what the message says: it returns an error, or calls a function.
func obey(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case error:
		return msg
	case func() error:
		return msg()
	case func(*supervisor.Process) error:
		return msg(p)
	}
	return nil
}

// hang is a message that keeps a process, but no scheduler, until gate is closed.
func hang(gate <-chan struct{}, reason error) func(*supervisor.Process) error {
	return func(p *supervisor.Process) error {
		p.Block(func() { <-gate })
		return reason
	}
}

// kid is a Child made of functions that keeps what it was told.
type kid struct {
	funcs
	supervisor.Membership
	box     *supervisor.Mailbox
	restart supervisor.Restart

	mu     sync.Mutex
	exits  []exit
	exited func(exit)
}

type exit struct {
	reason   error
	decision supervisor.Decision
}

func newKid(r supervisor.Restart) *kid {
	return &kid{funcs: funcs{handle: obey}, box: supervisor.NewMailbox(0), restart: r}
}

func (k *kid) Mailbox() *supervisor.Mailbox { return k.box }

func (k *kid) Again(reason error) bool { return k.restart.Again(reason) }

func (k *kid) Exited(reason error, d supervisor.Decision) {
	k.mu.Lock()
	k.exits = append(k.exits, exit{reason, d})
	k.mu.Unlock()
	if k.exited != nil {
		k.exited(exit{reason, d})
	}
}

func (k *kid) told() []exit {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.exits)
}

// journal is a list of what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// take returns what was added since the last take.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := j.take(); !slices.Equal(got, want) {
		t.Errorf("happened %q\nexpected %q", got, want)
	}
}

// newRuntime returns a runtime that leaves nothing behind when the test ends.
func newRuntime(t testing.TB, o supervisor.Options) *supervisor.Runtime {
	t.Helper()
	rt := supervisor.New(o)
	t.Cleanup(rt.Wait)
	return rt
}
