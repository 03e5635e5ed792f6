package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// settling is how long a drain waits, at the most, for what has been taken to be handled.
const settling = time.Second

// drain ends all within the grace period.
func (s *Server) drain(web *http.Server) error {
	start := time.Now()
	s.draining.Store(true)
	conns := s.conns.close()
	s.log.Info("draining", "connections", len(conns), "grace", s.config.Server.Grace)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Server.Grace)
	defer cancel()

	s.closeSockets(ctx, conns)
	s.conns.wait(ctx)
	s.conns.kill()
	s.polls.Close()
	err := web.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = web.Close()
	}
	err = errors.Join(err, s.release(ctx))
	s.log.Info("stopped", "after", time.Since(start).Round(time.Millisecond))
	return err
}

// closeSockets closes connections in batches, so that their clients do not all
// come back at once. A socket is served until its batch's turn. From then on it
// takes nothing more. What the batch has taken is handled and answered before the
// first of them closes: otherwise one member could have a message acknowledged
// that another never gets.
func (s *Server) closeSockets(ctx context.Context, conns []*conn) {
	size := s.batchSize(len(conns))
	for {
		batch := conns[:min(size, len(conns))]
		conns = conns[len(batch):]
		next := time.After(s.config.Server.DrainInterval)
		for _, c := range batch {
			c.takeNothing()
		}
		s.settle(ctx)
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
func (s *Server) batchSize(n int) int {
	c := &s.config.Server
	if c.DrainInterval == 0 {
		return max(n, 1)
	}
	rounds := int(c.Grace/2/c.DrainInterval) + 1
	return max(c.DrainBatch, (n+rounds-1)/rounds)
}

// settle waits until no process has anything to do.
func (s *Server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(settling, s.config.Server.Grace/2))
	defer cancel()
	quiet := make(chan struct{})
	go func() { s.runtime.Wait(); close(quiet) }() // release waits for the same
	select {
	case <-quiet:
	case <-ctx.Done():
	}
}

// release ends what New and Serve have begun. Guests that are still at work when ctx
// ends are left to their deadlines: nobody waits for what they do.
func (s *Server) release(ctx context.Context) error {
	defer s.closeCrashReports()
	released := make(chan error, 1)
	go func() {
		s.plugins.Close()
		s.runtime.Wait()
		s.writers.stop()
		s.running.Wait()
		s.poller.Close()
		s.endpoint.Presence.Close()
		released <- s.engine.Close(context.Background())
	}()
	select {
	case err := <-released:
		if err != nil {
			return fmt.Errorf("close sandbox: %w", err)
		}
	case <-ctx.Done():
		s.log.Warn("guests are still at work; leaving them, the grace period is over")
	}
	return nil
}
