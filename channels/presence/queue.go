package presence

// queue has the changes of one topic that are to be broadcast, oldest first. A batch
// becomes one diff: changes that come while the one before is broadcast go out together.
// Clients apply the joins of a diff before its leaves, so that one entry cannot do both
// in one; the second opens another batch.
//
// If there are as many batches as may wait, the last one takes all that follow, and of
// several changes to one entry the latest counts. An entry that has come and gone is
// dropped from it altogether, if the topic has not been read in between and so nobody can
// know of it. The queue is then bounded by the entries that were broadcast or read, and
// not by the number of changes. An entry of a node that comes up again has been broadcast
// before, and is not dropped so if its join takes the place of its leave.
type queue struct {
	batches []map[Tag]change
	running bool // an announcer takes from it
	crowded bool // what nobody has seen is not worth a diff to so many
}

type change struct {
	entry  *Entry
	joined bool
	reads  uint64 // of the topic, when the entry joined
	known  bool   // it is in place of a leave: somebody has the entry
}

// maxBatches is how many batches may wait; in a crowded topic it is one.
const maxBatches = 16

func (q *queue) add(e *Entry, joined bool, reads uint64) {
	c := change{entry: e, joined: joined, reads: reads}
	if len(q.batches) == 0 {
		q.batches = append(q.batches, map[Tag]change{e.Tag: c})
		return
	}
	last := q.batches[len(q.batches)-1]
	before, twice := last[e.Tag]
	switch {
	case !twice:
		last[e.Tag] = c
	case len(q.batches) < maxBatches && !q.crowded:
		q.batches = append(q.batches, map[Tag]change{e.Tag: c})
	case before.joined && before.reads == reads && !before.known:
		delete(last, e.Tag)
	default:
		c.known = before.known || !before.joined
		last[e.Tag] = c
	}
}

// take empties the queue.
func (q *queue) take() []map[Tag]change {
	batches := q.batches
	q.batches = nil
	return batches
}

func diffOf(batch map[Tag]change) (d Diff) {
	for _, c := range batch {
		if c.joined {
			d.Joins = append(d.Joins, c.entry)
		} else {
			d.Leaves = append(d.Leaves, c.entry)
		}
	}
	return d.sorted()
}
