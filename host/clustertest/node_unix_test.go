//go:build unix

package clustertest_test

import (
	"testing"
	"time"

	"rtd/host/clustertest"
)

// A node that stands still answers when it goes on.
func TestStop(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Setup{Nodes: []string{"a"}})
	a := c.Node("a")
	a.Stop()
	answered := make(chan error, 1)
	go func() {
		_, _, err := a.Get("/healthz")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("it answers while it stands still: %v", err)
	case <-time.After(100 * time.Millisecond):
		a.Cont()
		must(t, <-answered)
	}
}
