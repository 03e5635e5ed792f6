package supervisor

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Child is supervised by a [Dynamic]: one value, a pointer, over all of its
// lives, which never overlap. The methods below are called on the Dynamic's
// process between two lives, and must not block. (A child that had to be killed
// is the exception: its code may still run meanwhile.)
type Child interface {
	Actor
	// Mailbox is adopted by each life, so that what waits in it is kept.
	Mailbox() *Mailbox
	// Again says whether a life that ended with reason is followed by another,
	// usually by [Restart.Again].
	Again(reason error) bool
	// Exited tells what follows the end of a life, unless it was ended only to
	// be restarted with its group. After [Ends] and [GivesUp] there is no
	// further life; every child gets exactly one of these, even if its first
	// life never began.
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
// handlers. It differs from OTP's DynamicSupervisor in two ways. Children come in
// groups (a topic) and the strategy holds within a group, the order being that of
// their starts. And the intensity is counted for each child alone, so that one
// which crashes again and again ends without troubling others; the Dynamic
// itself never gives up.
//
// It does not wait for a child's Init: children start concurrently, those of a
// group that restart together are spawned in order. Its exported methods may be
// called from any goroutine and never block; Init, Handle and Terminate are for
// its process.
type Dynamic struct {
	box *Mailbox

	// Owned by its process.
	config   DynamicConfig
	groups   map[string]*group
	children map[Child]*member
	lives    map[*Process]*member
	started  uint64
}

// group is the children of one name, linked in the order of their starts, so
// that one of a hundred thousand leaves in no time.
type group struct {
	name        string
	first, last *member
	stopping    int       // members asked to end, to be restarted together
	waiting     []*member // those without a life, which wait for the others to end
}

type member struct {
	child      Child
	number     uint64 // in the order of starts
	group      *group
	prev, next *member
	process    *Process    // its life; nil while it waits for the next
	overdue    *time.Timer // kills it, once it was asked to end
	stopping   bool        // asked to end for its group's restart
	final      error       // asked to end for good
	recent     restarts
}

// endForGroup is the exit reason of a child that ends to be restarted with
// its group.
var endForGroup = ShutdownBecause("restarted with its group")

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
	eachChild func(Child)
	configure func(*DynamicConfig)
)

// NewDynamic returns the actor of a process.
func NewDynamic(c DynamicConfig) *Dynamic {
	if c.Limit <= 0 {
		c.Limit = 100_000
	}
	c.Shutdown = cmp.Or(c.Shutdown, defaultShutdown)
	return &Dynamic{box: NewMailbox(c.Limit), config: c}
}

// Spec is what to spawn: one process at a time.
func (d *Dynamic) Spec() Spec { return Spec{Actor: d, Mailbox: d.box} }

// Start starts a child in a group. It returns at once: [ErrFull] if too many
// starts wait, [ErrEnded] after Close. If it returns nil, the child will get its
// last Exited in the end. A child that is there already is not started twice.
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

// Each calls f for every child there is, on the Dynamic's process. Every child
// of an earlier Start is among them, unless it has ended. f must not block.
func (d *Dynamic) Each(f func(Child)) { d.box.Post(eachChild(f)) }

// Configure changes strategy and intensity from now on.
func (d *Dynamic) Configure(s Strategy, i Intensity) {
	d.box.Post(configure(func(c *DynamicConfig) { c.Strategy, c.Intensity = s, i }))
}

// Close refuses further starts; call it when the Dynamic's process has ended for
// good. Children whose start still waited get their Exited on the caller's
// goroutine.
func (d *Dynamic) Close() {
	for _, msg := range d.box.Close() {
		if start, ok := msg.(startChild); ok {
			start.child.Exited(Shutdown, Ends)
		}
	}
}

// Init begins without children.
func (d *Dynamic) Init(*Process) error {
	d.groups = map[string]*group{}
	d.children = map[Child]*member{}
	d.lives = map[*Process]*member{}
	return nil
}

// Handle takes requests and the ends of children.
func (d *Dynamic) Handle(p *Process, msg any) error {
	switch msg := msg.(type) {
	case startChild:
		d.start(p, msg.child, msg.group)
	case stopChild:
		if m := d.children[msg.child]; m != nil {
			d.stop(m, msg.reason)
		}
	case Exited:
		if m := d.lives[msg.Process]; m != nil {
			d.ended(p, m, msg.Reason)
		}
	case eachChild:
		for c := range d.children {
			msg(c)
		}
	case configure:
		msg(&d.config)
	}
	return nil
}

// Terminate ends all children with the reason of the Dynamic's own end, or
// [Shutdown] if that is a crash.
func (d *Dynamic) Terminate(p *Process, reason error) {
	if IsCrash(reason) {
		reason = Shutdown
	}
	lives := slices.Collect(maps.Keys(d.lives))
	p.Block(func() { stopWithin(d.config.Shutdown, p.Done(), reason, lives...) })
	for child, m := range d.children {
		last := reason
		if m.process != nil {
			m.forgetOverdue()
			last = m.process.Reason()
		}
		m.final = cmp.Or(m.final, reason)
		child.Exited(m.finalReason(last), Ends)
	}
	d.groups, d.children, d.lives = nil, nil, nil
}

func (d *Dynamic) start(p *Process, c Child, name string) {
	if d.children[c] != nil {
		return
	}
	g := d.groups[name]
	if g == nil {
		g = &group{name: name}
		d.groups[name] = g
	}
	d.started++
	m := &member{child: c, number: d.started, group: g}
	g.add(m)
	d.children[c] = m
	g.waiting = append(g.waiting, m)
	d.beginWaiting(p, g)
}

// beginWaiting starts lives of those that wait in g, in order, unless siblings
// have yet to end.
func (d *Dynamic) beginWaiting(p *Process, g *group) {
	if g.stopping > 0 {
		return
	}
	slices.SortFunc(g.waiting, func(a, b *member) int { return cmp.Compare(a.number, b.number) })
	for _, m := range g.waiting {
		m.process = p.rt.Spawn(Spec{Actor: m.child, Mailbox: m.child.Mailbox(), Parent: p})
		d.lives[m.process] = m
	}
	g.waiting = nil
}

// stop ends m for good.
func (d *Dynamic) stop(m *member, reason error) {
	switch {
	case m.final != nil:
	case m.process != nil:
		m.final = reason
		d.ask(m, reason)
	default: // between two lives
		m.group.waiting = slices.DeleteFunc(m.group.waiting, func(w *member) bool { return w == m })
		d.end(m, reason, Ends)
	}
}

// ask asks m's life to end, and sees to it that it does.
func (d *Dynamic) ask(m *member, reason error) {
	m.process.Stop(reason)
	if m.overdue == nil {
		m.overdue = time.AfterFunc(d.config.Shutdown, m.process.Kill)
	}
}

func (m *member) forgetOverdue() {
	if m.overdue != nil {
		m.overdue.Stop()
		m.overdue = nil
	}
}

// ended decides what follows the end of m's life.
func (d *Dynamic) ended(p *Process, m *member, reason error) {
	delete(d.lives, m.process)
	m.process = nil
	m.forgetOverdue()
	g := m.group
	if m.stopping {
		m.stopping = false
		g.stopping--
	}
	switch {
	case m.final != nil:
		d.end(m, m.finalReason(reason), Ends)
	case reason == endForGroup:
		g.waiting = append(g.waiting, m)
	case !m.child.Again(reason):
		d.end(m, reason, Ends)
	case !m.recent.add(d.config.Intensity, time.Now()):
		d.end(m, reason, GivesUp)
	default:
		m.child.Exited(reason, Restarts)
		g.waiting = append(g.waiting, m)
		d.stopAffected(m)
	}
	d.beginWaiting(p, g)
}

// finalReason is why m ended for good, given the exit reason of its last life: a
// crash on the way out stays one, otherwise what was asked for counts.
func (m *member) finalReason(reason error) error {
	if m.final != nil && !IsCrash(reason) {
		return m.final
	}
	return reason
}

// stopAffected asks the siblings that the strategy restarts with m to end, the
// last first.
func (d *Dynamic) stopAffected(m *member) {
	if d.config.Strategy == OneForOne {
		return
	}
	for sibling := m.group.last; sibling != nil; sibling = sibling.prev {
		if sibling == m {
			if d.config.Strategy == RestForOne {
				return
			}
			continue
		}
		if sibling.process != nil && !sibling.stopping {
			sibling.stopping = true
			m.group.stopping++
			d.ask(sibling, endForGroup)
		}
	}
}

// end forgets a child for good and tells it so.
func (d *Dynamic) end(m *member, reason error, decision Decision) {
	delete(d.children, m.child)
	m.group.remove(m)
	if m.group.first == nil {
		delete(d.groups, m.group.name)
	}
	m.child.Exited(reason, decision)
}

func (g *group) add(m *member) {
	m.prev = g.last
	if g.last == nil {
		g.first = m
	} else {
		g.last.next = m
	}
	g.last = m
}

func (g *group) remove(m *member) {
	if m.prev == nil {
		g.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		g.last = m.prev
	} else {
		m.next.prev = m.prev
	}
}
