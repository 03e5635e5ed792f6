package supervisor

// State is what a process does at the moment.
type State int

const (
	Starting State = iota // its Init has not returned
	Waiting               // for a message
	Ready                 // waits for its turn, or within it for a scheduler
	Running
	Blocked // waits for something else, in [Process.Block]
	Ended
)

var stateNames = []string{"starting", "waiting", "ready", "running", "blocked", "ended"}

func (s State) String() string { return wordOf(stateNames, int(s)) }

// Info describes a process at one moment.
type Info struct {
	PID      PID
	Parent   PID // 0 without one
	State    State
	Mailbox  int // messages that wait
	Links    int
	Monitors int // of others, by it
	Watchers int // monitors of it, by others
	Timers   int
	Names    []string // sorted
	TrapExit bool
	Restarts int // lives that its supervisor started before this one
	Usage
}

// Usage is what the code of a process has used, in units of its own.
type Usage struct {
	Reductions uint64 // work so far
	Memory     int64  // bytes now
}

// Meter is an [Actor] that knows its usage. Usage is called from any goroutine,
// also while other methods run, and must not block.
type Meter interface{ Usage() Usage }

// Info returns the figures of this moment. Only the numbers and the state remain of a
// process that has ended.
func (p *Process) Info() Info {
	info := Info{PID: p.pid, Restarts: int(p.restarts)}
	if p.parent != nil {
		info.Parent = p.parent.pid
	}
	if t := p.lockMadeTies(); t != nil {
		info.Links, info.Monitors, info.Watchers = len(t.links), len(t.monitors), len(t.watchers)
		info.Timers, info.Names, info.TrapExit = len(t.timers), t.allNames(), t.trap == trapAll
		t.unlock()
	}
	if info.State, info.Mailbox = p.state(); info.State == Ended {
		return Info{PID: info.PID, Parent: info.Parent, Restarts: info.Restarts, State: Ended}
	}
	if m, ok := p.actor.(Meter); ok {
		info.Usage = m.Usage()
	}
	return info
}

func (p *Process) state() (s State, waiting int) {
	m := p.box
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p.phase >= ended:
		return Ended, 0
	case p.stands.Load() == standsBlocked:
		s = Blocked
	case p.phase < alive:
		s = Starting
	case p.stands.Load() == standsQueued:
		s = Ready
	case p.running:
		s = Running
	case m.scheduled:
		s = Ready
	default:
		s = Waiting
	}
	return s, m.queue.len()
}
