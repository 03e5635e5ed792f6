package main_test

import "testing"

func TestBusStatus(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	p.wants(t, `^STATE +off\n$`, "bus", "status")
	p.wants(t, `"state": "off"`, "bus", "status", "--json")
	p.wants(t, `"writes": {}`, "bus", "status", "--json") // as for a bus that nobody has written to
}
