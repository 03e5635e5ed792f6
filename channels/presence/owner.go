package presence

import "sync"

// owners is some of those who track something.
type owners struct {
	mu   sync.Mutex
	byID map[any]*owner
}

// owner is one of them: what it tracks, in all topics. It is there for as long
// as it tracks anything.
type owner struct{ tracked []*tracked }

// lock finds an owner, and locks against whatever else it does at the same time.
// The owner is a new one if it is not among os.
func (t *Tracker) lock(id any) (os *owners, o *owner) {
	os = t.ownersOf(id)
	os.mu.Lock()
	if o = os.byID[id]; o == nil {
		o = &owner{}
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
	if last == 0 {
		delete(os.byID, id)
	}
}
