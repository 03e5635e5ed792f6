package clustertest_test

import (
	"strings"
	"testing"

	"rtd/host/clustertest"
)

// Nodes are processes that can be killed, stopped, ended and started again.
func TestNodes(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Setup{Nodes: []string{"a", "b"}, Config: "[log]\nlevel = \"debug\"\n"})
	a, b := c.Node("a"), c.Node("b")
	if a.URL() == b.URL() || len(c.All()) != 2 || !strings.HasPrefix(a.Socket(), "ws://127.0.0.1:") {
		t.Errorf("%s, %s", a.URL(), b.URL())
	}
	if output, code := a.Command("plugins"); code != 0 {
		t.Errorf("code %d: %s", code, output)
	}
	at := a.URL()
	a.Kill()
	if _, _, err := a.Get("/readyz"); err == nil {
		t.Error("it answers after it was killed")
	}
	b.Ready()
	a.Start()
	if a.URL() != at {
		t.Errorf("it is at %s, and was at %s", a.URL(), at)
	}
	if code := b.End(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
