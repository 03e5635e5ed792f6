package supervisor

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Membership is a child's place in a [Dynamic]: a [Child] embeds it. It belongs to the Dynamic, so that
// one of a million children takes no memory besides and no map has to find it. The zero value is
// ready for use. A child is in one Dynamic at a time.
type Membership struct{ m member }

func (s *Membership) membership() *member { return &s.m }

// member is a child of a [Dynamic].
type member struct {
	in         *Dynamic // nil if it is in none
	child      Child
	name       string  // of its group
	prev, next *member // all of the Dynamic, in the order of starts
	process    *Process
	bond       *bond   // nil while the Dynamic's strategy is one_for_one
	ending     *ending // nil for most
	lives      uint32
}

// ending has what is to be known of a member whose life ends, or has ended before. Most members
// have none.
type ending struct {
	killed   *Process    // the life before, if its code may still run
	overdue  *time.Timer // kills the life, which was asked to end
	stopping bool        // asked to end for its group's restart
	final    error       // asked to end for good
	recent   restarts
}

// bond is a member's place in its group.
type bond struct {
	group      *group
	number     uint64 // in the order of starts
	prev, next *member
}

// group has the children of one group, linked in the order of their starts, so that one
// of a hundred thousand leaves in no time.
type group struct {
	first, last *member
	stopping    int       // members asked to end, to be restarted together
	waiting     []*member // those without a life, which wait for the others to end
}

// ends returns what is to be known of the end, which is made if there is nothing yet.
func (m *member) ends() *ending {
	if m.ending == nil {
		m.ending = &ending{}
	}
	return m.ending
}

// final returns why the member was asked to end for good, if it was.
func (m *member) final() error {
	if m.ending == nil {
		return nil
	}
	return m.ending.final
}

// add makes a child a member, unless it is one.
func (d *Dynamic) add(c Child, name string) *member {
	m := c.membership()
	if m.in != nil {
		return nil
	}
	*m = member{in: d, child: c, name: name, prev: d.last}
	if d.last == nil {
		d.first = m
	} else {
		d.last.next = m
	}
	d.last = m
	d.size.Add(1)
	if d.config.Strategy != OneForOne {
		d.bind(m)
	}
	return m
}

// bind gives a member its place in its group. Members come in the order of their starts.
func (d *Dynamic) bind(m *member) {
	g := d.groups[m.name]
	if g == nil {
		g = &group{}
		put(&d.groups, m.name, g)
	}
	d.bound++
	m.bond = &bond{group: g, number: d.bound, prev: g.last}
	if g.last == nil {
		g.first = m
	} else {
		g.last.bond.next = m
	}
	g.last = m
}

// bindAll gives all members their places in groups, if the strategy now asks for them.
func (d *Dynamic) bindAll() {
	if d.config.Strategy == OneForOne {
		return
	}
	for m := range d.all {
		if m.bond == nil {
			d.bind(m)
		}
	}
}

// has returns the membership of a child that is a member, or nil.
func (d *Dynamic) has(c Child) *member {
	if m := c.membership(); m.in == d {
		return m
	}
	return nil
}

// living returns the member whose life a process is, or nil.
func (d *Dynamic) living(p *Process) *member {
	if c, ok := p.actor.(Child); ok {
		if m := d.has(c); m != nil && m.process == p {
			return m
		}
	}
	return nil
}

// all yields all members in the order of their starts. The one at hand may end meanwhile.
func (d *Dynamic) all(yield func(*member) bool) {
	for m := d.first; m != nil; {
		next := m.next
		if !yield(m) {
			return
		}
		m = next
	}
}

// inOrder returns all members in the order of their starts.
func (d *Dynamic) inOrder() []*member {
	return slices.AppendSeq(make([]*member, 0, d.Len()), d.all)
}

// begins starts a life of m, which waits for those of its siblings that have yet to end.
func (d *Dynamic) begins(p *Process, m *member) {
	if m.bond == nil {
		d.begin(p, m)
		return
	}
	m.bond.group.waiting = append(m.bond.group.waiting, m)
	d.beginWaiting(p, m.bond.group)
}

// beginWaiting starts lives of the waiting members of g, in order, unless siblings have
// yet to end.
func (d *Dynamic) beginWaiting(p *Process, g *group) {
	if g.stopping > 0 {
		return
	}
	slices.SortFunc(g.waiting, func(a, b *member) int { return cmp.Compare(a.bond.number, b.bond.number) })
	for _, m := range g.waiting {
		d.begin(p, m)
	}
	g.waiting = nil
}

// begin starts a life of m.
func (d *Dynamic) begin(p *Process, m *member) {
	spec := Spec{Actor: m.child, Mailbox: m.child.Mailbox(), Parent: p, restarts: m.lives}
	m.lives++
	if m.ending != nil {
		if spec.Mailbox == nil {
			spec.after = m.ending.killed // an adopted mailbox waits for it anyway
		}
		m.ending.killed = nil
	}
	m.process = p.group.rt.Spawn(spec)
}

// stop ends m for good.
func (d *Dynamic) stop(m *member, reason error) {
	switch {
	case m.final() != nil:
	case m.process != nil:
		m.ends().final = reason
		d.ask(m, reason)
	default: // between two lives
		if m.bond != nil {
			g := m.bond.group
			g.waiting = slices.DeleteFunc(g.waiting, func(w *member) bool { return w == m })
		}
		d.forget(m, reason, Ends)
	}
}

// ask asks m's life to end, and sees to it that it does.
func (d *Dynamic) ask(m *member, reason error) {
	m.process.Stop(reason)
	if e := m.ends(); e.overdue == nil {
		p := m.process
		e.overdue = time.AfterFunc(d.config.Shutdown, func() { p.killLate(d.config.Shutdown) })
	}
}

// ended decides what follows the end of m's life.
func (d *Dynamic) ended(p *Process, m *member, reason error) {
	b := m.bond
	again, crashed := d.lifeEnded(m, reason)
	if b == nil {
		if again {
			d.begin(p, m)
		}
		return
	}
	if again {
		b.group.waiting = append(b.group.waiting, m)
	}
	if crashed {
		d.stopAffected(m)
	}
	d.beginWaiting(p, b.group)
}

// lifeEnded notes the end of m's life, and says whether another one follows and
// whether m ended by itself, to be restarted with its siblings.
func (d *Dynamic) lifeEnded(m *member, reason error) (again, crashed bool) {
	if errors.Is(reason, Killed) {
		m.ends().killed = m.process
	}
	m.process = nil
	if e := m.ending; e != nil {
		if e.overdue != nil {
			e.overdue.Stop()
			e.overdue = nil
		}
		if e.stopping {
			e.stopping = false
			m.bond.group.stopping--
		}
	}
	switch {
	case m.final() != nil && IsCrash(reason):
		d.forget(m, reason, Ends) // a crash on the way out stays one
	case m.final() != nil:
		d.forget(m, m.final(), Ends)
	case errors.Is(reason, ForRestart):
		return true, false
	case !m.child.Again(reason):
		d.forget(m, reason, Ends)
	case !IsRepeated(reason) && !m.ends().recent.add(d.config.Intensity, time.Now()):
		d.forget(m, reason, GivesUp)
	default:
		m.child.Exited(reason, Restarts)
		return true, true
	}
	return false, false
}

// stopAffected asks the siblings that the strategy restarts with m to end, the
// last first.
func (d *Dynamic) stopAffected(m *member) {
	if d.config.Strategy == OneForOne {
		return
	}
	g := m.bond.group
	for sibling := g.last; sibling != nil; sibling = sibling.bond.prev {
		if sibling == m {
			if d.config.Strategy == RestForOne {
				return
			}
			continue
		}
		if sibling.process != nil && !sibling.ends().stopping {
			sibling.ending.stopping = true
			g.stopping++
			d.ask(sibling, ForRestart)
		}
	}
}

// forget forgets a child for good and tells it so.
func (d *Dynamic) forget(m *member, reason error, decision Decision) {
	child := m.child
	d.size.Add(-1)
	if m.prev == nil {
		d.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		d.last = m.prev
	} else {
		m.next.prev = m.prev
	}
	if m.bond != nil {
		d.unbind(m)
	}
	*m = member{}
	child.Exited(reason, decision)
}

// unbind takes a member out of its group.
func (d *Dynamic) unbind(m *member) {
	b := m.bond
	if b.prev == nil {
		b.group.first = b.next
	} else {
		b.prev.bond.next = b.next
	}
	if b.next == nil {
		b.group.last = b.prev
	} else {
		b.next.bond.prev = b.prev
	}
	if b.group.first == nil {
		delete(d.groups, m.name)
	}
}
