package supervisor

// ChildInfo describes a child of a [Supervisor] at one moment.
type ChildInfo struct {
	ID       string
	Process  *Process // its life; nil while it does not run
	Restart  Restart
	Restarts int         // lives after the first
	Children []ChildInfo // if it is a Supervisor
	Members  int         // if it is a [Dynamic]: how many children it has
}

// Children describes the children in the order of their starts, with their own children.
// It may be called from any goroutine, whether the supervisor runs or not.
func (s *Supervisor) Children() []ChildInfo {
	s.mu.Lock()
	children := s.children
	s.mu.Unlock()
	infos := make([]ChildInfo, 0, len(children))
	for _, c := range children {
		infos = append(infos, c.info())
	}
	return infos
}

func (c *child) info() ChildInfo {
	info := ChildInfo{
		ID:       c.spec.ID,
		Process:  c.process.Load(),
		Restart:  c.spec.Restart,
		Restarts: max(0, int(c.lives.Load())-1),
	}
	if info.Process == nil {
		return info
	}
	switch actor := info.Process.actor.(type) {
	case *Supervisor:
		info.Children = actor.Children()
	case *Dynamic:
		info.Members = actor.Len()
	}
	return info
}

// setChildren is called by the supervisor's process. A list that was set changes at its
// end only.
func (s *Supervisor) setChildren(children []*child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.children = children
}
