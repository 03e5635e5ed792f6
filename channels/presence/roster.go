package presence

import (
	"sync"
	"sync/atomic"
)

// roster has the people of one topic: its keys in the order in which they came, and the
// metas of each in order, as clients keep them. The cost of a change does not depend on
// their number. It is guarded by the mutex of its shard.
type roster struct {
	topic       string
	people      map[string]*person
	first, last *person
	metas       int
	version     uint64 // how often it has changed
	queue       queue
	reads       atomic.Uint64 // how often somebody may have seen its refs

	// The last list that was made, nil if it was dropped. The maker of a list takes this
	// mutex before the shard's.
	listing sync.Mutex
	list    []byte
	listed  uint64 // the version
}

// person is one key of a topic with its metas, at least one.
type person struct {
	key         string
	first, last *tracked
	prev, next  *person
	page        *page
}

// tracked is one meta of a person, and the place of its owner in the topic.
type tracked struct {
	person     *person // nil when it has left
	prev, next *tracked
	entry      *Entry
	charge     charge

	owner *owner // nil while it lingers, and of another node's entry; changed under the owner's mutex, too
	until int64  // it lingers, in nanoseconds since the tracker began

	// Guarded by the mutex of the owner.
	standing standing
	index    int // in owner.tracked
}

// lingers reports whether it is of this node, and waits for another owner. Then it is the first meta of its key.
func (x *tracked) lingers() bool { return x.owner == nil && x.until > 0 }

// standing says in which life of its owner an entry was tracked.
type standing uint8

const (
	current standing = iota // in the present one
	held                    // in an earlier one: it has to be tracked again
	kept                    // in an earlier one: it stays
)

// join adds x with its entry to the key, as the last of its metas.
func (r *roster) join(x *tracked, p *person) {
	if p.first == nil {
		r.people[p.key] = p
		if p.prev = r.last; p.prev != nil {
			p.prev.next = p
		} else {
			r.first = p
		}
		r.last = p
		r.lastPage().add(p)
	}
	x.person, x.prev, x.next = p, p.last, nil
	if x.prev != nil {
		x.prev.next = x
	} else {
		p.first = x
	}
	p.last = x
	r.metas++
	r.changed(p, x.entry, true)
}

// lastPage returns the page for the next person.
func (r *roster) lastPage() *page {
	if before := r.last.prev; before != nil && before.page.people < pageSize {
		return before.page
	}
	return &page{}
}

// leave takes x out, and its key if that has no other meta.
func (r *roster) leave(x *tracked) {
	p := x.person
	r.unchain(x)
	x.person = nil
	if p.first == nil {
		delete(r.people, p.key)
		p.page.remove(p)
		if p.prev != nil {
			p.prev.next = p.next
		} else {
			r.first = p.next
		}
		if p.next != nil {
			p.next.prev = p.prev
		} else {
			r.last = p.prev
		}
	}
	r.metas--
	r.changed(p, x.entry, false)
}

// replace gives x another entry, by which it becomes the last of its key.
func (r *roster) replace(x *tracked, e *Entry) {
	p := x.person
	r.changed(p, x.entry, false)
	r.unchain(x)
	if x.prev, x.next = p.last, nil; x.prev != nil {
		x.prev.next = x
	} else {
		p.first = x
	}
	p.last = x
	x.entry = e
	r.changed(p, e, true)
}

func (r *roster) unchain(x *tracked) {
	p := x.person
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		p.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		p.last = x.prev
	}
}

func (r *roster) changed(p *person, e *Entry, joined bool) {
	r.version++
	p.page.text = nil
	r.queue.add(e, joined, r.reads.Load())
}

// pages returns the texts of all pages, in order.
func (r *roster) pages() (texts [][]byte) {
	for p := r.first; p != nil; p = p.page.last.next {
		texts = append(texts, p.page.read())
	}
	r.reads.Add(1)
	return texts
}

// dropList lets go of a list that nobody will get again. Callers hold the shard's
// mutex; one that is being made stays.
func (r *roster) dropList() {
	if r.listing.TryLock() {
		if r.listed != r.version {
			r.list = nil
		}
		r.listing.Unlock()
	}
}

// get returns the metas of one key, or nil.
func (r *roster) get(key string) []byte {
	p := r.people[key]
	if p == nil {
		return nil
	}
	r.reads.Add(1)
	return p.append(nil)
}

func (p *person) append(b []byte) []byte {
	b = append(b, `{"metas":[`...)
	for x := p.first; x != nil; x = x.next {
		if x != p.first {
			b = append(b, ',')
		}
		b = append(b, x.entry.Meta...)
	}
	return append(b, `]}`...)
}
