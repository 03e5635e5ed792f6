package presence

import "sync"

// owners are some of the owners of entries.
type owners struct {
	mu   sync.Mutex
	byID map[any]*owner
}

// owner has the entries of one owner, in all topics. It exists for as long as it has any,
// tracked or aside.
type owner struct {
	id      any
	tracked []*tracked
	aside   *asides // nil for most
}

// asides are the entries that an owner has tracked and may not have now, see
// [Tracker.Suspend].
type asides struct{ list []aside }

func (o *owner) asides() []aside {
	if o.aside == nil {
		return nil
	}
	return o.aside.list
}

func (o *owner) setAsides(list []aside) {
	if o.aside = nil; len(list) > 0 {
		o.aside = &asides{list}
	}
}

// lock finds an owner and locks it. The owner is a new one if it is not among os.
func (t *Tracker) lock(id any) (os *owners, o *owner) {
	os = t.ownersOf(id)
	os.mu.Lock()
	if o = os.byID[id]; o == nil {
		o = &owner{id: id}
	}
	return os, o
}

func (os *owners) add(id any, o *owner, x *tracked) {
	if len(o.tracked) == 0 {
		os.byID[id] = o
	}
	x.index = len(o.tracked)
	o.tracked = append(o.tracked, x)
}

func (os *owners) remove(id any, o *owner, x *tracked) {
	last := len(o.tracked) - 1
	o.tracked[x.index] = o.tracked[last]
	o.tracked[x.index].index = x.index
	o.tracked[last] = nil
	o.tracked = o.tracked[:last]
	os.forget(id, o)
}

// forget drops an owner that has no entries.
func (os *owners) forget(id any, o *owner) {
	if len(o.tracked)+len(o.asides()) == 0 {
		delete(os.byID, id)
	}
}
