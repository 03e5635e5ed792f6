package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
)

const (
	beatEvery = 500 * time.Millisecond
	// goneAfter is how long a node that is down may come back and find its presences.
	goneAfter = time.Minute
	// stalled is how late this node may be itself before it does not judge others by what it has heard.
	stalled = time.Second
)

// Carrier takes frames from node to node: [rtd/host/bus.Mesh]. It may lose some; those of one subject from one node come in order.
type Carrier interface {
	// Publish sends a frame to all who listen to a subject. It does not keep it.
	Publish(subject string, data []byte) error
	// Listen begins to listen to subjects, for up to limit frames that wait.
	Listen(ctx context.Context, limit int, subjects ...string) (Listener, error)
}

// Listener has what was published.
type Listener interface {
	// Next waits for the next frame. An error that is not the end of ctx or of the listener says that some may be lost.
	Next(ctx context.Context) (subject string, data []byte, err error)
	Close()
}

// Presence is who is present, on all nodes: [rtd/channels/presence.Tracker].
type Presence interface {
	TakeChanges() []byte
	Snapshot() iter.Seq[[]byte]
	Merge(node string, piece []byte) error
	Down(node string)
	Up(node string)
	Gone(node string)
}

// Answer answers a question of another node. It may take its time, and ends with ctx.
type Answer func(ctx context.Context, from string, body []byte) ([]byte, error)

// Load is what a node has to do.
type Load struct {
	Connections int   `json:"connections"`
	Topics      int   `json:"topics"`
	Memory      int64 `json:"memory"` // resident, in bytes
}

// Options say what a node is made of.
type Options struct {
	Name     string // of the node, unique in the cluster: letters, digits, - and _
	Version  string // of rtd
	Carrier  Carrier
	Hub      *channels.Hub // the node connects it: nobody has subscribed to it yet
	Presence Presence      // nil: none is replicated
	// DownAfter is how long a node may be silent, or not hear this one. Default: 3 s.
	DownAfter time.Duration
	Load      func() Load       // nil: none is told
	Answers   map[string]Answer // by method
	Waits     map[string]Answer // those that wait most of their time: many can be under way
	// Late has the node order no topics before [Node.Order].
	Late bool
	// Disconnect disconnects sockets with an id here, when another node says so. It must not block.
	Disconnect func(id string)
	// Life is a number that grows from one start of a node to the next. Default: the time in nanoseconds.
	Life uint64
	Log  *slog.Logger // default: slog.Default()
}

// Node is this node, and what it knows of the others. Its methods may be called from any goroutine. It is the [channels.Remote] and
// [channels.Orderer] of its hub.
type Node struct {
	options   Options
	log       *slog.Logger
	life      uint64
	origin    string // this life of this node
	began     time.Time
	heard     *interests
	answers   map[string]Answer
	asks      asks
	ring      atomic.Pointer[ring]
	counts    counts
	toldLarge atomic.Int64  // when a broadcast that is too large was told of last, in nanoseconds since began
	opened    atomic.Uint64 // streams so far: a peer may know those of before it was away
	slots     [maxPeers]atomic.Pointer[peer]

	ctx      context.Context
	end      context.CancelFunc
	running  sync.WaitGroup
	changed  chan struct{} // presences have
	learners topics        // whose log is to be asked for
	givers   topics        // whose log is to be handed over
	giving   atomic.Bool   // one of them may be just that
	hurry    chan struct{} // a beat is to be sent at once

	orders sync.Mutex // guards late, and that it is said in order
	late   bool       // this node orders nothing

	turn   sync.Mutex // one thing at a time happens to the table and to the streams from peers; taken before mu
	mu     sync.Mutex
	peers  map[string]*peer
	absent map[string]*absence
	clash  string // why this node cannot take part; "": it can
	silent error  // why nothing can be sent; nil: it can
}

// absence is a node that is not there.
type absence struct {
	life    uint64
	version string
	since   time.Time
	left    bool // on purpose
	gone    bool // its presences are forgotten
}

// ErrName: the name of a node is none.
var ErrName = errors.New("a node's name has 1 to 64 letters, digits, - and _")

// CheckName returns [ErrName] if a name cannot be that of a node.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: %.80q", ErrName, name)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
	}
	return nil
}

// New returns a node that is not yet part of its cluster.
func New(o Options) (*Node, error) {
	if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	if o.DownAfter == 0 {
		o.DownAfter = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	n := &Node{options: o, log: o.Log, began: time.Now(), heard: newInterests(), changed: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		peers: map[string]*peer{}, absent: map[string]*absence{}, late: o.Late}
	if n.life = o.Life; n.life == 0 {
		n.life = uint64(n.began.UnixNano())
	}
	n.origin = fmt.Sprintf("%s@%d", o.Name, n.life)
	n.ctx, n.end = context.WithCancel(context.Background())
	n.learners, n.givers = newTopics(), newTopics()
	n.answers = map[string]Answer{methodRead: n.answerRead, methodRelease: n.answerRelease}
	maps.Copy(n.answers, o.Answers)
	n.turnRing()
	o.Hub.Sequence(n)
	o.Hub.Connect(n)
	return n, nil
}

// Start has the node take part, as soon as the carrier works. Close ends it.
func (n *Node) Start() {
	n.running.Go(func() { n.listen(1<<12, n.takeBeat, subjectBeats) })
	n.running.Go(func() { n.listen(1<<16, n.takeFrame, subjectNode+n.options.Name) })
	n.running.Go(n.pulse)
	n.running.Go(n.give)
	n.running.Go(n.judgeAll)
	for range learning {
		n.running.Go(n.learn)
	}
	if n.options.Presence != nil {
		n.running.Go(n.tellChanges)
	}
}

// Close leaves the cluster: others know at once.
func (n *Node) Close() {
	n.end()
	n.running.Wait()
	n.publish(subjectBeats, n.beat(true).encode())
}

func (n *Node) uptime(now time.Time) int64 { return now.Sub(n.began).Nanoseconds() }

// Life is a number of this life of the node: larger than those before.
func (n *Node) Life() uint64 { return n.life }

// Met waits until another node is there, and all others of which that knows, or ctx ends.
func (n *Node) Met(ctx context.Context) {
	for !n.met() && rest(ctx, 20*time.Millisecond) {
	}
}

func (n *Node) met() bool {
	there := map[string]bool{n.options.Name: true}
	r := n.ring.Load()
	for _, p := range slices.Concat(r.nodes, r.late) {
		if p.peer != nil {
			there[p.peer.name] = true
		}
	}
	for _, p := range n.peerList() {
		p.mu.Lock()
		hears := p.hears
		p.mu.Unlock()
		for _, name := range append(slices.Clone(hears), p.name) {
			if !there[name] {
				return false
			}
		}
	}
	return len(there) > 1
}

// publish sends a frame, if that is possible: what has to come is sent again by others than this function.
func (n *Node) publish(subject string, data []byte) {
	err := n.options.Carrier.Publish(subject, data)
	if err == nil {
		n.counts.frames.Add(1)
	}
	n.mu.Lock()
	n.silent = err // each failure is told by the carrier
	n.mu.Unlock()
}

// listen calls take with all that comes for subjects, until the node ends.
func (n *Node) listen(limit int, take func([]byte), subjects ...string) {
	for n.ctx.Err() == nil {
		l, err := n.options.Carrier.Listen(n.ctx, limit, subjects...)
		if err != nil {
			rest(n.ctx, beatEvery)
			continue
		}
		for {
			_, data, err := l.Next(n.ctx)
			if err == nil {
				take(data)
				continue
			}
			if n.ctx.Err() != nil || errors.Is(err, ErrCarrierClosed) {
				break
			}
			n.counts.losses.Add(1)
		}
		l.Close()
		rest(n.ctx, beatEvery)
	}
}

// ErrCarrierClosed is what [Listener].Next returns when nothing will come any more.
var ErrCarrierClosed = errors.New("carrier closed")

// rest waits, and returns false if ctx ends meanwhile.
func rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pulse beats.
func (n *Node) pulse() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		n.publish(subjectBeats, n.beat(false).encode())
		select {
		case <-tick.C:
		case <-n.hurry:
		case <-n.ctx.Done():
			return
		}
	}
}

// judgeAll judges those who do not beat. It waits for what peers have sent, as pulse must not.
func (n *Node) judgeAll() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		now := time.Now()
		if now.Sub(last) < beatEvery+stalled {
			n.judge(now)
		}
		last = now
	}
}

// beat is what this node says of itself now.
func (n *Node) beat(leaving bool) *beat {
	now := time.Now()
	b := &beat{Wire: wireVersion, Node: n.options.Name, Life: n.life, Version: n.options.Version, Up: n.uptime(now), Leaving: leaving, Peers: map[string]heard{}}
	if n.options.Load != nil {
		b.Load = n.options.Load()
	}
	for _, p := range n.peerList() {
		b.Peers[p.name] = p.heardNow(now)
	}
	return b
}

func (n *Node) peerList() []*peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*peer, 0, len(n.peers))
	for _, p := range n.peers {
		list = append(list, p)
	}
	return list
}

// judge ends peers that are silent, or do not hear this node, and forgets those that are away for long.
func (n *Node) judge(now time.Time) {
	n.turn.Lock()
	defer n.turn.Unlock()
	for _, p := range n.peerList() {
		p.mu.Lock()
		silent, deaf := now.Sub(p.heardAt) > n.options.DownAfter, now.Sub(p.hearsAt) > n.options.DownAfter
		p.mu.Unlock()
		switch {
		case silent:
			n.drop(p, false, "silent for "+n.options.DownAfter.String())
		case deaf:
			n.drop(p, false, "it does not hear this node")
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, a := range n.absent {
		if !a.gone && now.Sub(a.since) > goneAfter {
			a.gone = true
			if n.options.Presence != nil {
				n.options.Presence.Gone(name)
			}
		}
	}
}

// takeBeat takes what a node says of itself.
func (n *Node) takeBeat(text []byte) {
	b, err := parseBeat(text)
	if err != nil {
		n.counts.malformed.Add(1)
		return
	}
	if b.Node == n.options.Name {
		n.namesake(b.Life)
		return
	}
	now := time.Now()
	n.turn.Lock()
	defer n.turn.Unlock()
	p := n.peer(b.Node)
	if p != nil && p.life != b.Life {
		if b.Life < p.life {
			return // of a life that is over
		}
		n.drop(p, false, "it was started anew")
		p = nil
	}
	switch {
	case b.Leaving && p != nil:
		n.drop(p, true, "")
		return
	case b.Leaving:
		return
	case p == nil:
		if p = n.meet(&b, now); p == nil {
			return
		}
		select { // it is to hear of this node at once
		case n.hurry <- struct{}{}:
		default:
		}
	}
	if p.beat(&b, now) {
		n.link(p)
	}
}

func (n *Node) peer(name string) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers[name]
}

// namesake is called with each beat of a node of this name.
func (n *Node) namesake(life uint64) {
	if life == n.life {
		return
	}
	n.mu.Lock()
	told := n.clash != ""
	n.clash = fmt.Sprintf("another node is called %q as well: give each node a name of its own (cluster.node)", n.options.Name)
	n.mu.Unlock()
	if !told {
		n.log.Error("node name is taken", "peer", n.options.Name, "cause", "another node says that it has this name; give each node a name of its own (cluster.node)")
	}
}

// meet returns a new peer. It is nil if there are too many.
func (n *Node) meet(b *beat, now time.Time) *peer {
	for slot := range n.slots {
		if n.slots[slot].Load() != nil {
			continue
		}
		p := n.newPeer(b.Node, b.Life, slot, now)
		n.slots[slot].Store(p)
		n.mu.Lock()
		n.peers[b.Node] = p
		n.mu.Unlock()
		return p
	}
	n.counts.refused.Add(1)
	if n.counts.refused.Load() == 1 {
		n.log.Error("node is not taken in: this one has the most peers that are possible", "peer", b.Node, "peers", maxPeers)
	}
	return nil
}

// link begins the stream to a peer, if it has not begun.
func (n *Node) link(p *peer) {
	p.mu.Lock()
	linked := p.linked
	if p.linked = true; !linked {
		p.since = time.Now()
	}
	p.mu.Unlock()
	if linked {
		return
	}
	n.mu.Lock()
	back := n.absent[p.name]
	delete(n.absent, p.name)
	n.mu.Unlock()
	n.log.Info("node is there", "peer", p.name, "version", p.versionNow(), "again", back != nil)
	if back != nil {
		n.options.Hub.Missed()
	}
	n.running.Go(p.write)
}

// drop ends what there is between this node and a peer. Callers hold turn.
func (n *Node) drop(p *peer, left bool, why string) {
	p.mu.Lock()
	linked := p.linked
	p.linked, p.out = false, nil
	p.mu.Unlock()
	p.end()
	n.slots[p.slot].CompareAndSwap(p, nil)
	n.heard.void(p.slot)
	n.asks.lost(p)
	defer n.turnRing()
	n.mu.Lock()
	delete(n.peers, p.name)
	if linked || n.absent[p.name] == nil {
		n.absent[p.name] = &absence{life: p.life, version: p.version, since: time.Now(), left: left, gone: left}
	}
	n.forgetAbsent()
	n.mu.Unlock()
	if n.options.Presence != nil {
		if n.options.Presence.Down(p.name); left {
			n.options.Presence.Gone(p.name)
		}
	}
	switch {
	case !linked:
	case left:
		n.log.Info("node has left", "peer", p.name)
	default:
		n.log.Warn("node is away", "peer", p.name, "cause", why)
	}
}

// maxAbsent is how many nodes that are away are listed.
const maxAbsent = 256

// forgetAbsent bounds how many are listed. Callers hold mu.
func (n *Node) forgetAbsent() {
	for len(n.absent) > maxAbsent {
		oldest := ""
		for name, a := range n.absent {
			if oldest == "" || a.since.Before(n.absent[oldest].since) {
				oldest = name
			}
		}
		delete(n.absent, oldest)
	}
}

// synced is called when a peer has told all that it has.
func (n *Node) synced(p *peer) {
	n.turnRing()
	if n.options.Presence != nil {
		n.options.Presence.Up(p.name)
	}
}

// takeFrame takes a frame for this node.
func (n *Node) takeFrame(data []byte) {
	h, rest, err := parseHeader(data)
	if err != nil {
		n.counts.malformed.Add(1)
		return
	}
	n.turn.Lock()
	defer n.turn.Unlock()
	p := n.peer(h.from)
	switch {
	case p == nil, p.life != h.life, h.to != n.life: // of another life
	case h.kind == frameState:
		p.told(h)
	default:
		p.frame(h, rest)
	}
}
