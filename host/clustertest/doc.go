// Package clustertest is for tests of several nodes: a network between them that can be cut, slowed and mended, and nodes that are processes of their own.
//
//	node a ── seeds of a ──► Net ──► node b           Cut, CutOneWay, Break, Delay, Lose, Heal
//	       ◄──────────────── Net ◄── seeds of b ──
//
//	c := clustertest.Start(t, clustertest.Setup{Nodes: []string{"a", "b", "c"}, Plugins: plugins})
//	c.Cut("a", "b")
//	c.Node("c").Kill()
//	c.Heal()
//	c.Node("c").Start()
//
// Each node reaches each other one by an address of its own, so the network knows who speaks to whom, encrypted or not. A cut is one of packets: connections
// stay as they are, and nothing comes through, as with a cable that is pulled. Nodes tell others of their own address, which nobody must reach
// past the network: have them advertise [Nowhere].
package clustertest
