package gateway

import (
	"context"
	"errors"
	"time"
)

// settling is how long a drain waits, at the most, for what has been taken to be handled.
const settling = time.Second

// Drain lets nobody in any more, and ends what there is: connections in batches, with 1012, then the sessions
// of long polling, then the requests. Those that are left when ctx ends are cut. It is called once.
func (g *Gateway) Drain(ctx context.Context) error {
	g.draining.Store(true)
	g.requests()
	conns := g.conns.close()
	g.log.Info("draining", "connections", len(conns), "grace", g.config.Server.Grace)
	g.closeSockets(ctx, conns)
	g.conns.wait(ctx)
	g.conns.kill()
	g.polls.Close()
	return g.closeHTTP(ctx)
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
		for _, c := range batch {
			c.takeNothing()
		}
		g.settle(ctx)
		for _, c := range batch {
			c.drain()
		}
		if len(conns) == 0 {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
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
