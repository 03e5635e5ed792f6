package supervisor

import "context"

// Member describes a child of a [Dynamic] at one moment.
type Member struct {
	Child    Child
	Group    string
	Process  *Process // its life; nil between two
	Restarts int      // lives after the first
}

// Members describes the children in the order of their starts, but no more than
// limit: of a larger number, any. The Dynamic's process is asked, between two of its
// messages; ctx bounds the wait for it, also for one that does not run. After Close it is [ErrEnded].
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
	some := make([]*member, 0, min(l.limit, len(d.children)))
	for _, m := range d.children {
		if len(some) >= l.limit {
			break
		}
		some = append(some, m)
	}
	sortByStart(some)
	members := make([]Member, len(some))
	for i, m := range some {
		members[i] = Member{Child: m.child, Group: m.group.name, Process: m.process, Restarts: max(0, int(m.lives)-1)}
	}
	l.found <- members
}
