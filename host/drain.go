package host

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// drain ends all within the grace period.
func (s *Server) drain() error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Server.Grace)
	defer cancel()
	err := s.gateway.Drain(ctx)
	s.nodes.retire(ctx) // behind what its clients have said last
	err = errors.Join(err, s.release(ctx))
	s.log.Info("stopped", "after", time.Since(start).Round(time.Millisecond))
	return err
}

// release ends what New and Serve have begun. Guests that are still at work when ctx
// ends are left to their limits of time: nobody waits for what they do.
func (s *Server) release(ctx context.Context) error {
	defer s.crashes.close()
	var step atomic.Pointer[string] // that is waited for
	begin := func(what string) { step.Store(&what) }
	begin("guests are still at work")
	released := make(chan error, 1)
	go func() {
		s.plugins.Close()
		s.runtime.Wait()
		s.endArchive()
		begin("the bus is still being closed")
		err := errors.Join(s.durables.close(), s.nodes.close(), s.bus.close()) // when nobody has anything more to store
		begin("connections are still being closed, or plugins deployed")
		s.gateway.Close()
		s.running.Wait()
		begin("the sandbox is still being closed")
		s.endpoint.Presence.Close()
		if failed := s.engine.Close(context.Background()); failed != nil {
			err = errors.Join(err, fmt.Errorf("close sandbox: %w", failed))
		}
		released <- err
	}()
	select {
	case err := <-released:
		return err
	case <-ctx.Done():
		s.log.Warn(*step.Load()+"; leaving them, the grace period is over", "processes", s.runtime.Stats().Processes)
	}
	return nil
}
