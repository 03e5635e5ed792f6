package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"
)

// generator is the clients of one run. All of it belongs to the goroutine that
// called [Run]: scenarios read from top to bottom, and in between pump lets things
// happen.
type generator struct {
	ctx      context.Context
	o        Options
	start    time.Time
	protocol protocol
	sockets  sockets
	upgrade  handshake
	conns    []conn
	topics   topics
	bodies   bodies
	server   processes

	// heard and gone are what the scenario wants to know of; set before load begins.
	heard  func(i int, m message)
	gone   func(i int)
	noted  func(i int, m message) // what comes while topics are joined
	usable func(i int)
	again  func(i int, err error) // a connection was not to be had; nil: that ends the run

	open    int   // connections that are usable
	greeted int   // that ever were
	joins   int   // that were accepted
	refused error // the first connection or join that was not
	ending  bool  // what is under way is waited for, interrupted or not
	closing bool  // connections that end are no surprise
	beats   int   // heartbeats sent
	told    time.Duration
	status  func() string // of the progress line
	heap    uint64        // before there was any connection

	text, frame, payload []byte // being written
	result               Result
}

func newGenerator(ctx context.Context, o Options, at where) (*generator, error) {
	p, err := newProtocol(o.Protocol)
	if err != nil {
		return nil, err
	}
	extensions := ""
	if o.Deflate {
		extensions = "permessage-deflate"
	}
	g := &generator{
		ctx: ctx, o: o, start: time.Now(), protocol: p, server: o.PIDs,
		upgrade: newHandshake(at.host, at.target, extensions),
		topics:  newTopics(o.Topic), bodies: bodies{rand.Uint32N(1 << (4 * runDigits)), o.Body},
		heard: func(int, message) {}, gone: func(int) {}, status: func() string { return "" },
		noted: func(int, message) {}, usable: func(int) {},
		heap:   ownMemory(),
		result: Result{Scenario: o.Scenario, Protocol: o.Protocol, URL: o.URL, Connections: o.Connections},
	}
	n := o.Connections + o.publishers()
	g.conns = make([]conn, n)
	if g.sockets, err = newSockets(at.addresses, n, g); err != nil {
		return nil, err
	}
	return g, nil
}

// ownMemory is what this process has in use, without garbage.
func ownMemory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func (g *generator) now() time.Duration { return time.Since(g.start) }

// never is a time that pump does not wait for.
const never = time.Duration(math.MaxInt64)

var (
	errInterrupted = errors.New("interrupted")
	errSilent      = errors.New("the server says nothing more")
)

// pump lets things happen until step is done. Step is called between events, sends what
// is due, and says when it wants to be called next at the latest. If what progress
// counts stays the same for longer than patience, errSilent is returned; a server that
// only answers heartbeats makes none. A nil progress is no bound.
func (g *generator) pump(patience time.Duration, progress func() int, step func(now time.Duration) (next time.Duration, done bool)) error {
	count, since := -1, g.now()
	for {
		if g.ctx.Err() != nil && !g.ending {
			g.result.Interrupted = true
			return errInterrupted
		}
		now := g.now()
		next, done := step(now)
		if done {
			return nil
		}
		if progress != nil {
			if n := progress(); n != count {
				count, since = n, now
			} else if now-since > patience {
				return errSilent
			}
		}
		g.beat(now)
		g.tell(now)
		const longest = 50 * time.Millisecond // to notice the end of ctx
		if err := g.sockets.wait(min(next-now, longest)); err != nil {
			return err
		}
	}
}

// pause lets things happen for a while.
func (g *generator) pause(d time.Duration) error {
	end := g.now() + d
	return g.pump(0, nil, func(now time.Duration) (time.Duration, bool) { return end, now >= end })
}

// drain lets things happen until nothing is left under way, or what is left does not
// change any more. An interrupt does not stop it, for then whatever is under way would
// count as lost.
func (g *generator) drain(left func() int) error {
	g.ending = true
	defer func() { g.ending = false }()
	patience := g.o.Timeout
	if g.result.Interrupted {
		patience = min(patience, time.Second)
	}
	err := g.pump(patience, left, func(time.Duration) (time.Duration, bool) { return never, left() <= 0 })
	if errors.Is(err, errSilent) {
		return nil
	}
	return err
}

// beatInterval is how often each connection sends a heartbeat, as Phoenix's client does.
const beatInterval = 30 * time.Second

// beat sends the heartbeats that are due: each connection's turn comes once in an interval.
func (g *generator) beat(now time.Duration) {
	due := int(now.Seconds() / beatInterval.Seconds() * float64(len(g.conns)))
	for ; g.beats < due; g.beats++ {
		i := g.beats % len(g.conns)
		if c := &g.conns[i]; c.phase == usable {
			c.ref++
			g.send(i, g.protocol.heartbeat(g.text[:0], c.ref))
		}
	}
}

func (g *generator) tell(now time.Duration) {
	if g.o.Progress != nil && now-g.told >= time.Second {
		g.told = now
		g.o.Progress(fmt.Sprintf("%3.0fs  %d connections, %d joins  %s", now.Seconds(), g.open, g.joins, g.status()))
	}
}

// goodbye says that to the server, and waits a moment for its own, so that neither
// side is left with half a connection.
func (g *generator) goodbye() {
	g.ending, g.closing = true, true
	g.heard = func(int, message) {}
	for i := range g.conns {
		if g.conns[i].phase == usable {
			g.control(i, opClose, []byte{1000 >> 8, 1000 & 0xFF})
		}
	}
	end := g.now() + 3*time.Second
	g.pump(time.Second, func() int { return g.open }, func(now time.Duration) (time.Duration, bool) {
		return end, g.open == 0 || now > end
	}) // whether or not it answers
}
