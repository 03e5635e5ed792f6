package supervisor

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Child is supervised by a [Dynamic]: one value, a pointer, over all of its
// lives, which never overlap. The methods below are called on the Dynamic's
// process between two lives, and must not block. (A child that had to be killed
// is the exception: its code may still run meanwhile.)
type Child interface {
	Actor
	// By embedding a [Membership].
	membership() *member
	// Mailbox is adopted by each life, so that its messages are kept. With nil each life
	// has a mailbox of its own.
	Mailbox() *Mailbox
	// Again says whether a life that ended with reason is followed by another,
	// usually by [Restart.Again].
	Again(reason error) bool
	// Exited gets the decision about the end of a life, unless the life was ended only to
	// be restarted with others. After [Ends] and [GivesUp] there is no further life;
	// every child gets exactly one of these two, even if its first life never began.
	Exited(reason error, d Decision)
}

// DynamicConfig declares a [Dynamic].
type DynamicConfig struct {
	Strategy  Strategy  // within a group
	Intensity Intensity // of each child
	Limit     int       // of requests to start that may wait; default 100,000
	// Shutdown is how long a child may take to end when asked to, after which it
	// is killed. When the Dynamic ends, it holds for all children together.
	// Default 5 s.
	Shutdown time.Duration
}

// Dynamic is a supervisor for children that come and go by the thousand: channel
// handlers. It differs from OTP's DynamicSupervisor in three ways. Children come in
// groups (a topic) and the strategy holds within a group, the order being that of their
// starts. The intensity is counted for each child alone: a child that crashes again and
// again ends alone, and the Dynamic itself never gives up.
//
// And its children outlive it. When its process ends with [ForRestart], with
// [ErrIntensity] or with a crash, the lives of its children end, but the children stay,
// with their order and their mailboxes; requests wait. The next process with this Dynamic
// begins a new life of each. If there is no next process, Close ends them. After any
// other end, such as [Shutdown], they have had their last Exited.
//
// It does not wait for a child's Init: children start concurrently, those of a group that
// restart together are spawned in order. The caller of Start hears from the child: its
// Init knows the process, and Exited the reason if the child was never started. Like a
// [Supervisor] it heeds the exit signals of its parent only.
//
// Its exported methods may be called from any goroutine and never block; Init,
// Handle and Terminate are for its process.
type Dynamic struct {
	box  *Mailbox
	size atomic.Int64

	// Owned by its process; between two, and in the end, by Close.
	config      DynamicConfig
	first, last *member           // in the order of their starts
	groups      map[string]*group // of those that are bound; nil while there are none
	bound       uint64            // so many have been

	mu     sync.Mutex
	owned  bool  // by a process, or by Close
	closed error // the reason given to Close
	left   []any // what it found in box
}

// Messages to a Dynamic.
type (
	startChild struct {
		child Child
		group string
	}
	stopChild struct {
		child  Child
		reason error
	}
	eachChild struct {
		f    func(Child)
		done func()
	}
	configure func(*DynamicConfig)
)

// NewDynamic returns the actor of a process.
func NewDynamic(c DynamicConfig) *Dynamic {
	if c.Limit <= 0 {
		c.Limit = 100_000
	}
	c.Shutdown = cmp.Or(c.Shutdown, defaultShutdown)
	return &Dynamic{
		box:    NewMailbox(c.Limit),
		config: c,
	}
}

// Spec returns the spec of a process with this Dynamic. Only one may run at a time.
func (d *Dynamic) Spec() Spec { return Spec{Actor: d, Mailbox: d.box} }

// Start starts a child in a group. It returns at once: [ErrFull] if too many starts wait,
// [ErrEnded] after Close. If it returns nil, the child will get its last Exited in the
// end. A child that has been started already is not started twice.
func (d *Dynamic) Start(c Child, group string) error {
	return d.box.Send(startChild{c, group})
}

// Stop ends a child for good with reason (nil: [Shutdown]), whatever its restart
// type. A child that is not there is ignored.
func (d *Dynamic) Stop(c Child, reason error) {
	if reason == nil {
		reason = Shutdown
	}
	d.box.Post(stopChild{c, reason})
}

// Each calls f for every child, on the Dynamic's process. Every child of an earlier Start
// is among them, unless it has ended. f must not block.
func (d *Dynamic) Each(f func(Child)) { d.EachThen(f, func() {}) }

// EachThen is Each, and calls done once: when f has been called for all, or on any
// goroutine if the Dynamic is closed before.
func (d *Dynamic) EachThen(f func(Child), done func()) {
	if d.box.Post(eachChild{f, done}) != nil {
		done()
	}
}

// Configure changes strategy and intensity from now on.
func (d *Dynamic) Configure(s Strategy, i Intensity) {
	d.box.Post(configure(func(c *DynamicConfig) { c.Strategy, c.Intensity = s, i }))
}

// Len is the number of children, those between two lives included.
func (d *Dynamic) Len() int { return int(d.size.Load()) }

// Close ends the Dynamic; call it when its process has ended for good. Further
// starts are refused. Children that are left, and those whose start still waited,
// get their last Exited with reason (nil: [Shutdown]): on the caller's goroutine,
// or later, if the process was killed and its code still runs.
func (d *Dynamic) Close(reason error) {
	if reason == nil {
		reason = Shutdown
	}
	left := d.box.Close()
	d.mu.Lock()
	d.closed = cmp.Or(d.closed, reason)
	d.left = append(d.left, left...)
	owned := d.owned
	d.owned = true
	d.mu.Unlock()
	if !owned {
		d.endAll()
	}
}

// endAll is the last act of a Dynamic that was closed.
func (d *Dynamic) endAll() {
	for _, msg := range d.left {
		switch msg := msg.(type) {
		case startChild:
			d.add(msg.child, msg.group)
		case stopChild:
			if m := d.has(msg.child); m != nil {
				m.ends().final = cmp.Or(m.final(), msg.reason)
			}
		case eachChild:
			msg.done()
		}
	}
	d.left = nil
	for _, m := range d.inOrder() {
		d.forget(m, cmp.Or(m.final(), d.closed), Ends)
	}
}

// Init begins with the children of the life before.
func (d *Dynamic) Init(p *Process) error {
	d.mu.Lock()
	closed := d.closed != nil
	d.owned = true
	d.mu.Unlock()
	if closed {
		return ErrEnded
	}
	p.setTrap(parentOnly)
	for _, g := range d.groups {
		g.stopping, g.waiting = 0, nil
	}
	for m := range d.all {
		if m.ending != nil {
			m.ending.stopping = false
		}
		d.begin(p, m)
	}
	return nil
}

// Handle takes requests and the ends of children.
func (d *Dynamic) Handle(p *Process, msg any) error {
	switch msg := msg.(type) {
	case startChild:
		if m := d.add(msg.child, msg.group); m != nil {
			d.begins(p, m)
		}
	case stopChild:
		if m := d.has(msg.child); m != nil {
			d.stop(m, msg.reason)
		}
	case Exited:
		if m := d.living(msg.Process); m != nil {
			d.ended(p, m, msg.Reason)
		}
	case eachChild:
		defer msg.done()
		for m := range d.all {
			msg.f(m.child)
		}
	case configure:
		msg(&d.config)
		d.bindAll()
	case listMembers:
		msg.answer(d)
	}
	return nil
}

// Terminate ends the lives of all children, and the children with them, unless
// they wait for a next process.
func (d *Dynamic) Terminate(p *Process, reason error) {
	defer d.disown()
	keep := IsCrash(reason) || errors.Is(reason, ForRestart) || errors.Is(reason, ErrIntensity)
	if keep {
		reason = ForRestart
	}
	members := d.inOrder()
	var lives []*Process
	for _, m := range slices.Backward(members) {
		if m.process != nil {
			lives = append(lives, m.process)
		}
	}
	p.Block(func() { stopWithin(d.config.Shutdown, p.Done(), reason, lives...) })
	for _, m := range members {
		if !keep {
			m.ends().final = cmp.Or(m.final(), reason)
		}
		switch {
		case m.process != nil:
			d.lifeEnded(m, m.process.Reason())
		case !keep:
			d.forget(m, m.final(), Ends)
		}
	}
}

// disown ends a process's ownership. If Close came first, this process ends all.
func (d *Dynamic) disown() {
	d.mu.Lock()
	d.owned = d.closed != nil
	closed := d.owned
	d.mu.Unlock()
	if closed {
		d.endAll()
	}
}
