package cluster

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Member is a node of the cluster, as this one sees it.
type Member struct {
	Name    string
	State   State
	Since   time.Time // of State
	Version string
	Life    uint64
	Load    Load
	Trip    time.Duration // there and back; 0: not known
	Waiting int           // bytes that wait for it here
	Cause   string        // why this node cannot take part
}

// State is what a node is to this one.
type State string

const (
	Self    State = "self"
	Joining State = "joining" // it is heard of, and has not told all that it has
	There   State = "there"
	Away    State = "away" // it is not heard any more
	Left    State = "left" // it has said so
)

// Members lists the nodes by name: this one, those that are there, and those that were.
func (n *Node) Members() []Member {
	self := Member{Name: n.options.Name, State: Self, Since: n.began, Version: n.options.Version, Life: n.life}
	if n.options.Load != nil {
		self.Load = n.options.Load()
	}
	n.mu.Lock()
	self.Cause = n.clash
	if n.silent != nil && self.Cause == "" {
		self.Cause = n.silent.Error()
	}
	list := []Member{self}
	for name, a := range n.absent {
		if n.peers[name] != nil {
			continue
		}
		m := Member{Name: name, State: Away, Since: a.since, Version: a.version, Life: a.life}
		if a.left {
			m.State = Left
		}
		list = append(list, m)
	}
	n.mu.Unlock()
	for _, p := range n.peerList() {
		list = append(list, p.member())
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// waiting is how many bytes wait for the peer.
func (p *peer) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return 0
	}
	return p.out.bytes
}

func (p *peer) member() Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := Member{Name: p.name, State: Joining, Since: p.since, Version: p.version, Life: p.life, Load: p.load, Trip: p.trip}
	if p.linked && p.in.synced {
		m.State = There
	}
	if p.out != nil {
		m.Waiting = p.out.bytes
	}
	return m
}

// Forget takes a node off the list that is not there. It returns false if there is none.
func (n *Node) Forget(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.absent[name]
	if a == nil {
		return false
	}
	if delete(n.absent, name); !a.gone && n.options.Presence != nil {
		n.options.Presence.Gone(name)
	}
	return true
}

// Stats are what has happened since the node began.
type Stats struct {
	Frames    uint64 // sent
	Received  uint64 // messages
	Relayed   uint64 // broadcasts that were sent to other nodes
	TooLarge  uint64 // broadcasts that were not
	Unsent    uint64 // broadcasts to be ordered, or ordered, whose node had just gone
	Asked     uint64 // times that something was missing
	Repeated  uint64 // times that frames were sent again
	Losses    uint64 // times that the carrier said that it lost some
	Overflows uint64 // times that a node did not keep up
	Gaps      uint64 // times that messages of another node were lost for good
	Malformed uint64 // frames and beats
	Refused   uint64 // beats of nodes for which there is no room
}

type counts struct {
	frames, received, relayed, tooLarge, unsent, asked, repeated, losses, overflows, gaps, malformed, refused atomic.Uint64
}

// Stats returns the node's counts.
func (n *Node) Stats() Stats {
	c := &n.counts
	return Stats{c.frames.Load(), c.received.Load(), c.relayed.Load(), c.tooLarge.Load(), c.unsent.Load(), c.asked.Load(), c.repeated.Load(), c.losses.Load(),
		c.overflows.Load(), c.gaps.Load(), c.malformed.Load(), c.refused.Load()}
}
