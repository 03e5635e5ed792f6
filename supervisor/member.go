package supervisor

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// group is the children of one name, linked in the order of their starts, so
// that one of a hundred thousand leaves in no time.
type group struct {
	name        string
	first, last *member
	stopping    int       // members asked to end, to be restarted together
	waiting     []*member // those without a life, which wait for the others to end
}

// member is what a [Dynamic] knows of a child.
type member struct {
	child      Child
	number     uint64 // in the order of starts
	group      *group
	prev, next *member
	process    *Process    // its life; nil while it waits for the next
	killed     *Process    // the life before, if its code may still run
	overdue    *time.Timer // kills it, once it was asked to end
	stopping   bool        // asked to end for its group's restart
	final      error       // asked to end for good
	lives      uint32
	recent     restarts
}

// add makes a child a member, unless it is one.
func (d *Dynamic) add(c Child, name string) *member {
	if d.children[c] != nil {
		return nil
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
	d.size.Add(1)
	return m
}

// inOrder returns all members in the order of their starts.
func (d *Dynamic) inOrder() []*member {
	members := make([]*member, 0, len(d.children))
	for _, m := range d.children {
		members = append(members, m)
	}
	sortByStart(members)
	return members
}

func sortByStart(members []*member) {
	slices.SortFunc(members, func(a, b *member) int { return cmp.Compare(a.number, b.number) })
}

// beginWaiting starts lives of those that wait in g, in order, unless siblings
// have yet to end.
func (d *Dynamic) beginWaiting(p *Process, g *group) {
	if g.stopping > 0 {
		return
	}
	sortByStart(g.waiting)
	for _, m := range g.waiting {
		d.begin(p, m)
	}
	g.waiting = nil
}

// begin starts a life of m.
func (d *Dynamic) begin(p *Process, m *member) {
	spec := Spec{Actor: m.child, Mailbox: m.child.Mailbox(), Parent: p, restarts: m.lives}
	m.lives++
	if spec.Mailbox == nil {
		spec.after = m.killed // an adopted mailbox waits for it anyway
	}
	m.killed = nil
	m.process = p.group.rt.Spawn(spec)
	d.lives[m.process] = m
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

// ended decides what follows the end of m's life.
func (d *Dynamic) ended(p *Process, m *member, reason error) {
	g := m.group
	again, crashed := d.lifeEnded(m, reason)
	if again {
		g.waiting = append(g.waiting, m)
	}
	if crashed {
		d.stopAffected(m)
	}
	d.beginWaiting(p, g)
}

// lifeEnded notes the end of m's life, and says whether another one follows and
// whether m ended by itself, to be restarted with its siblings.
func (d *Dynamic) lifeEnded(m *member, reason error) (again, crashed bool) {
	delete(d.lives, m.process)
	if errors.Is(reason, Killed) {
		m.killed = m.process
	}
	m.process = nil
	if m.overdue != nil {
		m.overdue.Stop()
		m.overdue = nil
	}
	if m.stopping {
		m.stopping = false
		m.group.stopping--
	}
	switch {
	case m.final != nil && IsCrash(reason):
		d.end(m, reason, Ends) // a crash on the way out stays one
	case m.final != nil:
		d.end(m, m.final, Ends)
	case errors.Is(reason, ForRestart):
		return true, false
	case !m.child.Again(reason):
		d.end(m, reason, Ends)
	case !m.recent.add(d.config.Intensity, time.Now()):
		d.end(m, reason, GivesUp)
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
			d.ask(sibling, ForRestart)
		}
	}
}

// end forgets a child for good and tells it so.
func (d *Dynamic) end(m *member, reason error, decision Decision) {
	delete(d.children, m.child)
	d.size.Add(-1)
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
