package bus

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// MeshStatus is the state of a mesh, as those see it who operate it.
type MeshStatus struct {
	Embedded bool
	Where    string    // where it listens, or the URL
	Cause    error     // why it does not work; nil: it does
	Since    time.Time // when that began
	Server   string    // version of the server, if it was ever reached
	Routes   []Route

	Reconnects uint64 // times that the connection to the server was made again
	Published  uint64 // messages
	Received   uint64
	Losses     uint64 // times that an inbox was told of lost messages
}

// meshCounts are what has happened.
type meshCounts struct {
	reconnects, published, received, losses atomic.Uint64
}

// Status returns the state of the mesh. It does not wait.
func (m *Mesh) Status() MeshStatus {
	s, c := m.state.Load(), &m.counts
	where := m.at
	if at := m.Address(); at != "" {
		where = at
	}
	return MeshStatus{
		Embedded: m.hub != nil, Where: where, Cause: s.cause, Since: s.since, Server: m.conn.ConnectedServerVersion(), Routes: m.Routes(),
		Reconnects: c.reconnects.Load(), Published: c.published.Load(), Received: c.received.Load(), Losses: c.losses.Load(),
	}
}

// Routes returns the connections to other nodes, one to each, by their names. There are none with an existing server.
func (m *Mesh) Routes() []Route {
	if m.hub == nil {
		return nil
	}
	list := m.hub.routes()
	slices.SortFunc(list, func(a, b Route) int { return cmp.Compare(a.Node, b.Node) })
	return list
}
