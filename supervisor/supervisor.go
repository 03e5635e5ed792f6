package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrIntensity is the exit reason of a supervisor that gave up: more restarts
// than its [Intensity] allows. As in OTP it is a [Shutdown], so that a transient
// supervisor which gave up stays ended while a permanent one is restarted.
var ErrIntensity = ShutdownBecause("restart intensity reached")

const (
	defaultShutdown = 5 * time.Second

	// KillAtOnce as a child's Shutdown is OTP's brutal_kill.
	KillAtOnce time.Duration = -1
)

// ChildSpec declares a child of a [Supervisor].
type ChildSpec struct {
	// ID names the child among its siblings, for reports.
	ID string
	// Start returns the spec for the first start and for every restart, with an Actor
	// that no former life may still be using. The supervisor sets Parent and Started.
	Start   func() Spec
	Restart Restart
	// Shutdown is how long the child may take to end when asked to, after which
	// it is killed. Default 5 s; for a Supervisor or a Dynamic as long as its
	// own children may take.
	Shutdown time.Duration
}

// Config declares a [Supervisor].
type Config struct {
	Strategy  Strategy
	Intensity Intensity
	Children  []ChildSpec // started in this order, stopped in reverse
	// Report, if given, is called on the supervisor's process once for each
	// child that ended unasked, and for each restart that did not succeed. It
	// must not block.
	Report func(Report)
}

// Report tells of the end of a child, and of the supervisor's decision.
type Report struct {
	Child    string // its ID
	PID      PID    // 0 if it did not start
	Reason   error
	Decision Decision
}

// Decision is what follows the end of a child.
type Decision int

const (
	Ends     Decision = iota // it is not restarted, by its restart type
	Restarts                 // it is, with those that the strategy says
	GivesUp                  // it would be, but for the intensity
)

var decisionNames = []string{"ends", "restarts", "gives up"}

func (d Decision) String() string { return wordOf(decisionNames, int(d)) }

// Supervisor is a process that starts its children in order, restarts them as
// its strategy says, stops them in reverse, and gives up with [ErrIntensity].
// It follows OTP's supervisor; see the package documentation for where it
// differs. Spawn it as the Actor of a process; it may itself be a child.
//
// It ignores exit signals except its parent's and a kill: it does not end with other
// processes that are linked with it.
type Supervisor struct {
	config Config
	recent restarts

	mu       sync.Mutex // for others than its process, which alone changes them
	children []*child
}

type child struct {
	spec    ChildSpec
	process atomic.Pointer[Process] // nil while it does not run
	lives   atomic.Uint32
}

// NewSupervisor returns the actor, for one process at a time.
func NewSupervisor(c Config) *Supervisor { return &Supervisor{config: c} }

// Init starts the children. If one does not start, those before it are
// stopped and the supervisor ends.
func (s *Supervisor) Init(p *Process) error {
	p.setTrap(parentOnly)
	s.recent = nil
	s.setChildren(nil)
	for _, spec := range s.config.Children {
		c := &child{spec: spec}
		s.setChildren(append(s.children, c))
		if err := c.start(p); err != nil {
			if reason := p.StopReason(); reason != nil {
				return reason // asked to end while it waited
			}
			return fmt.Errorf("start child %s: %w", spec.ID, err) // Terminate stops the others
		}
	}
	return nil
}

// Handle takes the ends of children.
func (s *Supervisor) Handle(p *Process, msg any) error {
	exited, ok := msg.(Exited)
	if !ok || exited.Process == nil {
		return nil
	}
	for _, c := range s.children {
		if c.process.CompareAndSwap(exited.Process, nil) {
			return s.ended(p, c, exited)
		}
	}
	return nil // one that the supervisor stopped itself
}

// Terminate stops the children, the last first. The reason tells them what follows: a
// supervisor that is to be restarted, or that crashed, is likely to start them again.
func (s *Supervisor) Terminate(p *Process, reason error) {
	switch {
	case IsCrash(reason) || errors.Is(reason, ForRestart):
		reason = ForRestart
	case errors.Is(reason, ErrIntensity):
		reason = ErrIntensity
	default:
		reason = Shutdown
	}
	stopAll(p, s.children, reason)
}

func (s *Supervisor) ended(p *Process, c *child, exited Exited) error {
	report := Report{Child: c.spec.ID, PID: exited.Process.PID(), Reason: exited.Reason}
	if c.spec.Restart.Again(exited.Reason) {
		return s.restart(p, c, report)
	}
	s.report(report) // it ends
	return nil
}

// restart starts c and the affected siblings anew. A child that does not start counts as
// a further restart, until the intensity is reached.
func (s *Supervisor) restart(p *Process, c *child, report Report) error {
	for {
		report.Decision = Restarts
		if !IsRepeated(report.Reason) && !s.recent.add(s.config.Intensity, time.Now()) {
			report.Decision = GivesUp
		}
		s.report(report)
		if report.Decision == GivesUp {
			return ErrIntensity
		}
		failed, err := s.restartOnce(p, c)
		if err == nil {
			return nil
		}
		if reason := p.StopReason(); reason != nil {
			return reason // asked to end while it waited
		}
		c, report = failed, Report{Child: failed.spec.ID, Reason: err}
	}
}

// restartOnce stops the children that c's end affects, and starts them in order. It
// returns the first that does not start.
func (s *Supervisor) restartOnce(p *Process, c *child) (failed *child, err error) {
	group := slices.Clone(s.affected(c))
	stopAll(p, group, ForRestart)
	for _, sibling := range group {
		if sibling.spec.Restart == Temporary {
			s.setChildren(slices.DeleteFunc(slices.Clone(s.children), func(c *child) bool { return c == sibling }))
			continue
		}
		if err := sibling.start(p); err != nil {
			return sibling, err
		}
	}
	return nil, nil
}

// affected returns the children that are restarted when c has crashed, in the
// order of their start.
func (s *Supervisor) affected(c *child) []*child {
	i := slices.Index(s.children, c)
	switch s.config.Strategy {
	case OneForAll:
		return s.children
	case RestForOne:
		return s.children[i:]
	}
	return s.children[i : i+1]
}

func (s *Supervisor) report(r Report) {
	if s.config.Report != nil {
		s.config.Report(r)
	}
}

// start spawns the child under p and waits for its Init, or until p is asked to
// end.
func (c *child) start(p *Process) error {
	if reason := p.StopReason(); reason != nil {
		return reason
	}
	var spec Spec
	if err := guard(func() error { spec = c.spec.Start(); return nil }); err != nil {
		return err
	}
	started := make(chan error, 1)
	spec.Parent = p
	spec.Started = func(err error) { started <- err }
	spec.restarts = c.lives.Add(1) - 1
	process := p.group.rt.Spawn(spec)
	c.process.Store(process)
	var err error
	p.Block(func() {
		select {
		case err = <-started:
		case <-p.Stopping():
			c.stop(p, process, Shutdown)
			err = process.Reason()
		}
	})
	if err != nil {
		c.process.Store(nil)
	}
	return err
}

// stop asks the child to end, in its time, and kills it if p is killed.
func (c *child) stop(p, process *Process, reason error) {
	patience := defaultShutdown
	switch process.actor.(type) {
	case *Supervisor, *Dynamic:
		patience = math.MaxInt64
	}
	stopWithin(cmp.Or(c.spec.Shutdown, patience), p.Done(), reason, process)
}

// stopAll stops the children that run, the last first.
func stopAll(p *Process, children []*child, reason error) {
	for _, c := range slices.Backward(children) {
		if process := c.process.Load(); process != nil {
			p.Block(func() { c.stop(p, process, reason) })
			c.process.Store(nil)
		}
	}
}

// stopWithin asks processes to end, and kills those that take longer than
// patience, or until hurry is closed. It returns when all have ended.
func stopWithin(patience time.Duration, hurry <-chan struct{}, reason error, processes ...*Process) {
	if patience > 0 {
		for _, p := range processes {
			p.Stop(reason)
		}
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	late := patience <= 0
	for _, p := range processes {
		if !late {
			ended := false
			for waits := true; waits; {
				waits = false
				select {
				case <-p.Done():
					ended = true
				case <-timer.C:
					if waits = p.waitsForTurn(); waits { // it is not late: others have the processor
						timer.Reset(patience)
					}
				case <-hurry:
				}
			}
			if ended {
				continue
			}
			late = true
		}
		p.Kill() // a no-op if it has ended
		<-p.Done()
	}
}
