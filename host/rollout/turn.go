package rollout

import "sync"

// turn is the order in which the versions of one plugin come and go. The holder of
// deploying prepares the next version, which may take long: it compiles. The holder of
// changing makes a version current, or withdraws one, and writes that down; it waits for
// nothing of guests except their starts, and tries of their moves. Deploying is taken first. So a version that
// crashes is taken back while the next one compiles, and the record of a version always
// has its true state.
type turn struct {
	deploying sync.Mutex
	changing  sync.Mutex
	users     int // who hold it, or wait for it
}

// turns has the turn of every plugin that is being changed.
type turns struct {
	mu     sync.Mutex
	byName map[string]*turn
}

func (ts *turns) get(name string) *turn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byName[name]
	if t == nil {
		t = &turn{}
		ts.byName[name] = t
	}
	t.users++
	return t
}

func (ts *turns) put(name string, t *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(ts.byName, name)
	}
}

// begin has Close wait, before it unloads the plugins, until the caller calls
// s.underWay.Done. After Close it does nothing and returns false.
func (s *Set) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.underWay.Add(1)
	return true
}

// deploys runs f when no other deploy or removal of the plugin is under way. It reports
// whether it did: not after Close.
func (s *Set) deploys(name string, f func(t *turn)) bool {
	if !s.begin() {
		return false
	}
	defer s.underWay.Done()
	t := s.turns.get(name)
	defer s.turns.put(name, t)
	t.deploying.Lock()
	defer t.deploying.Unlock()
	f(t)
	return true
}

// changes runs f when nobody else changes which versions of the plugin are current. It
// reports whether it did: not after Close.
func (s *Set) changes(name string, f func()) bool {
	if !s.begin() {
		return false
	}
	defer s.underWay.Done()
	t := s.turns.get(name)
	defer s.turns.put(name, t)
	t.changing.Lock()
	defer t.changing.Unlock()
	f()
	return true
}
