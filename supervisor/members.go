package supervisor

import "context"

// Member describes a child of a [Dynamic] at one moment.
type Member struct {
	Child    Child
	Group    string
	Process  *Process // its life; nil between two
	Restarts int      // lives after the first
}

// Members describes the children in the order of their starts; if there are more than
// limit, the first of them. It asks the Dynamic's process, between two of its messages,
// and waits for it until ctx ends, also if none runs. After Close it fails with
// [ErrEnded].
func (d *Dynamic) Members(ctx context.Context, limit int) ([]Member, error) {
	found := make(chan []Member, 1)
	if err := d.box.Post(listMembers{limit, found}); err != nil {
		return nil, err
	}
	select {
	case members := <-found:
		return members, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listMembers is a message to a Dynamic.
type listMembers struct {
	limit int
	found chan<- []Member // has room
}

func (l listMembers) answer(d *Dynamic) {
	members := make([]Member, 0, min(l.limit, d.Len()))
	for m := range d.all {
		if len(members) >= l.limit {
			break
		}
		members = append(members, Member{Child: m.child, Group: m.name, Process: m.process, Restarts: max(0, int(m.lives)-1)})
	}
	l.found <- members
}
