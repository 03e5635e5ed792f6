package presence

import (
	"cmp"
	"iter"
)

// Replica is one life of one node. No two nodes may have the same name, and a
// node that starts again takes a larger incarnation than before, such as the
// time: its former life is then known to be over.
type Replica struct {
	Name        string
	Incarnation uint64
}

func (r Replica) compare(o Replica) int {
	return cmp.Or(cmp.Compare(r.Name, o.Name), cmp.Compare(r.Incarnation, o.Incarnation))
}

// Tag names for ever the Clock-th change of its replica, and the entry that this change
// added. Clocks begin at 1 and leave no number out.
type Tag struct {
	Replica Replica
	Clock   uint64
}

func (t Tag) compare(o Tag) int {
	return cmp.Or(t.Replica.compare(o.Replica), cmp.Compare(t.Clock, o.Clock))
}

// tags is the set of tags that a state has seen, by replica. A tag in it without an entry
// belongs to a removed entry, or to a removal.
type tags map[Replica]*clocks

func (ts tags) has(t Tag) bool {
	c := ts[t.Replica]
	return c != nil && c.has(t.Clock)
}

func (ts tags) of(r Replica) *clocks {
	c := ts[r]
	if c == nil {
		c = &clocks{}
		ts[r] = c
	}
	return c
}

// clocks is a set of clocks of one replica: a run up to upTo, and the cloud of the others. It
// takes memory only for the cloud. What is merged into has a run from 1 on, and a cloud of those that
// came out of order, all above upTo+1. What came by wire has a run behind after, which may be
// empty, and a cloud before that.
type clocks struct {
	after, upTo uint64
	cloud       map[uint64]struct{}
}

func (c *clocks) has(clock uint64) bool {
	if clock <= c.upTo && clock > c.after {
		return true
	}
	_, ok := c.cloud[clock]
	return ok
}

func (c *clocks) add(clock uint64) {
	switch {
	case clock <= c.upTo:
	case clock == c.upTo+1:
		c.upTo++
		c.compact()
	default:
		if c.cloud == nil {
			c.cloud = map[uint64]struct{}{}
		}
		c.cloud[clock] = struct{}{}
	}
}

// compact moves upTo over the next clocks if they are in the cloud.
func (c *clocks) compact() {
	for len(c.cloud) > 0 {
		if _, ok := c.cloud[c.upTo+1]; !ok {
			return
		}
		c.upTo++
		delete(c.cloud, c.upTo)
	}
}

// merge adds those of o. The run of c begins with 1.
func (c *clocks) merge(o *clocks) {
	switch {
	case o.upTo <= c.upTo:
	case o.after > c.upTo: // something between them has yet to come
		for clock := o.after + 1; clock <= o.upTo; clock++ {
			c.add(clock)
		}
	default:
		c.upTo = o.upTo
		for clock := range c.cloud {
			if clock <= c.upTo {
				delete(c.cloud, clock)
			}
		}
		c.compact()
	}
	for clock := range o.cloud {
		c.add(clock)
	}
}

func (c *clocks) len() uint64 { return c.upTo - c.after + uint64(len(c.cloud)) }

func (c *clocks) all() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for clock := c.after + 1; clock <= c.upTo; clock++ {
			if !yield(clock) {
				return
			}
		}
		for clock := range c.cloud {
			if !yield(clock) {
				return
			}
		}
	}
}
