package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// eventReconnect is the event of topic phoenix that says when to come back: in "after" milliseconds.
const eventReconnect = "reconnect"

// settling is how long a drain waits, at the most, for what has been taken to be handled.
const settling = time.Second

// Drain lets nobody in any more, and ends what there is: connections in batches, with 1012, then the sessions
// of long polling, then the requests. With server.drain_spread both end one by one. Those that are left when ctx ends are cut. It is called once.
func (g *Gateway) Drain(ctx context.Context) error {
	g.draining.Store(true)
	conns := g.conns.close()
	g.log.Info("draining", "connections", len(conns), "grace", g.config.Server.Grace)
	if spread := min(g.config.Server.DrainSpread, g.config.Server.Grace/2); spread > 0 {
		g.spread(ctx, spread, conns) // polls are answered until then
		g.requests()
	} else {
		g.requests()
		g.closeSockets(ctx, conns)
	}
	g.conns.wait(ctx)
	g.conns.kill()
	g.polls.Close()
	return g.closeHTTP(ctx)
}

// leaver is a connection, or a session of long polling, whose client is to come back elsewhere.
type leaver interface {
	tell(event string, payload []byte)
	takeNothing()
	drain()
}

const (
	// noticed is how long before its end a client is told of it, at the most: a poll takes a round trip.
	noticed = time.Second
	// stride is how often a drain goes on that is spread.
	stride = 50 * time.Millisecond
)

// spread ends connections and sessions evenly within d. Some time before, each client is told when to come back: evenly over another d, which
// begins when the last one has been closed. Until its turn it is served. What it has sent by then is handled and answered, as in closeSockets.
func (g *Gateway) spread(ctx context.Context, d time.Duration, conns []*conn) {
	all := make([]leaver, 0, len(conns))
	for _, c := range conns {
		all = append(all, c)
	}
	for _, h := range g.polls.Shut() {
		all = append(all, polledLeaver{h})
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	notice := min(noticed, d/4)
	n, told, closed := len(all), 0, 0
	begin := time.Now()
	// due is how many have had their turn after a time: the first at once, the last after d-notice.
	due := func(after time.Duration) int {
		if n == 1 || after >= d-notice {
			return n
		}
		return min(n, 1+int(float64(n-1)*float64(after)/float64(d-notice)))
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	tick := time.NewTicker(stride)
	defer tick.Stop()
	for closed < n {
		now := time.Since(begin)
		to := due(now)
		for ; told < to; told++ {
			back := d + rand.N(stride) // from its turn, so that clients come back as evenly as they are told
			all[told].tell(eventReconnect, fmt.Appendf(nil, `{"after":%d}`, back.Milliseconds()))
		}
		if now >= notice {
			to := due(now - notice)
			if batch := all[closed:to]; len(batch) > 0 {
				ending.Go(func() { end(ctx, g, batch) }) // which may take a while under traffic; the others' turn comes all the same
			}
			closed = to
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			begin = begin.Add(-d) // it is everybody's turn
		}
	}
}

// closeSockets closes connections in batches, so that their clients do not all
// come back at once. A socket is served until its batch's turn. From then on it
// takes nothing more. Frames that the batch has taken are handled and answered before the
// first of them closes: otherwise one member could have a message acknowledged
// that another never gets.
func (g *Gateway) closeSockets(ctx context.Context, conns []*conn) {
	size := g.batchSize(len(conns))
	for {
		batch := conns[:min(size, len(conns))]
		conns = conns[len(batch):]
		next := time.After(g.config.Server.DrainInterval)
		end(ctx, g, batch)
		if len(conns) == 0 {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
}

// end ends a batch: what it has sent by now is handled and answered before.
func end[L leaver](ctx context.Context, g *Gateway, batch []L) {
	for _, l := range batch {
		l.takeNothing()
	}
	g.settle(ctx)
	for _, l := range batch {
		l.drain()
	}
}

// batchSize is how many of n connections are closed at a time: as configured, or
// as many as it takes for the last of them to be closed when half of the grace
// period is over.
func (g *Gateway) batchSize(n int) int {
	c := &g.config.Server
	if c.DrainInterval == 0 {
		return max(n, 1)
	}
	rounds := int(c.Grace/2/c.DrainInterval) + 1
	return max(c.DrainBatch, (n+rounds-1)/rounds)
}

// settle waits until no process has anything to do.
func (g *Gateway) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(settling, g.config.Server.Grace/2))
	defer cancel()
	quiet := make(chan struct{})
	go func() { g.settled(); close(quiet) }() // it returns when the plugins have ended
	select {
	case <-quiet:
	case <-ctx.Done():
	}
}

// closeHTTP lets requests end that are being handled, until ctx does. Visitors whose
// request does not come do not hold it up.
func (g *Gateway) closeHTTP(ctx context.Context) error {
	late := time.AfterFunc(min(settling, g.config.Server.Grace/2), func() { g.gate.CloseWaiting() })
	defer late.Stop()
	err := g.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("requests are still being answered; closing them, the grace period is over", "requests", g.gate.Len())
		err = g.http.Close()
	}
	g.gate.Wait()
	return err
}
