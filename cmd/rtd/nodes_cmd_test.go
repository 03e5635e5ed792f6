package main_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// Three processes are one cluster, of which one is killed, and removed.
func TestNodesCommands(t *testing.T) {
	t.Parallel()
	var addresses, seeds []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		addresses, seeds = append(addresses, l.Addr().String()), append(seeds, fmt.Sprintf("%q", l.Addr()))
	}
	var nodes []*process
	for i, name := range []string{"a", "b", "c"} {
		nodes = append(nodes, serve(t, fmt.Sprintf("[cluster]\nname = \"test\"\nnode = %q\nlisten = %q\nseeds = [%s]\ndown_after = \"1s\"\n",
			name, addresses[i], strings.Join(seeds, ", "))))
	}
	a, c := nodes[0], nodes[2]
	shows := func(what string, args ...string) {
		t.Helper()
		hosttest.Eventually(t, what, func() bool {
			output, _ := a.asks(t, append([]string{"nodes"}, args...)...)
			return strings.Contains(strings.Join(strings.Fields(output), " "), what)
		})
	}
	for _, row := range []string{"NODE STATE SINCE", "a self", "b there", "c there"} {
		shows(row)
	}
	shows(`"name": "b", "state": "there"`, "--json")
	a.refuses(t, `no node "c" is away`, "nodes", "remove", "c")
	a.wants(t, `(?s)NODE a\nPROCESS.*NODE b\nPROCESS.*NODE c\nPROCESS`, "ps", "--node", "all")
	a.wants(t, `^NODE b\nPROCESS`, "ps", "--node", "b")
	a.wants(t, `(?s)node is there +peer=[abc] .*node=[abc]\n.*node=[abc]\n`, "logs", "--node", "all")
	a.wants(t, `node is there +peer=[ab] .*node=c\n`, "logs", "--node", "c")
	a.refuses(t, "node is away: d", "ps", "--node", "d")
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	shows("c away")
	a.wants(t, "^c: removed\n$", "nodes", "remove", "c")
	a.refuses(t, `no node "c" is away`, "nodes", "remove", "c")
	if output, _ := a.asks(t, "nodes"); strings.Contains(output, "\nc ") {
		t.Errorf("it is listed:\n%s", output)
	}
	a.wants(t, "node removed .*peer=c .*node=a", "logs")
	alone := serve(t, "")
	alone.refuses(t, `no node of a cluster: its config has no \[cluster\]`, "nodes")
}
