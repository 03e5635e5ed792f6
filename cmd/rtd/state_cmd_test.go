package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"rtd/host/hosttest"
)

// A state is shown, taken out, given up, and put in again; the actor goes on with what is stored, running or not.
func TestStateCommands(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	p := l.at.Load()
	p.wants(t, `^ACTOR +REVISION +BYTES +CHANGED +DUE +VERSION +POSTS\n$`, "state", "list", "ledger")
	add := func(n int) ledgerReply {
		t.Helper()
		c := hosttest.Connect(t, p.url)
		defer c.Close()
		c.Hear(func(hosttest.Message) {})
		if m, err := c.Join("ledger:0", "{}"); err != nil || m.Status != "ok" { // its guest has lost its state just now
			return ledgerReply{}
		}
		r, ok := (&writer{who: "ada", topic: "ledger:0"}).ask(c, "add", n)
		if !ok {
			t.Fatal("no answer")
		}
		return r
	}
	for n := range 3 {
		if r := add(n + 1); r.status != "ok" {
			t.Fatalf("%d: %+v", n+1, r)
		}
	}
	const actor = "ledger/topic:ledger:0"
	p.wants(t, `(?m)^ledger/topic:ledger:0 +\d+ `, "state", "list", "ledger", "--prefix", "ledger:")
	p.wants(t, `(?m)^ledger/process:sum +\d+ `, "state", "list", "ledger", "--processes")
	p.wants(t, `^\[\]\n$`, "state", "list", "ledger", "--prefix", "other", "--json")
	p.wants(t, `(?m)^VERSION +[0-9a-f]{64}$`, "state", "show", actor)
	p.wants(t, `"snapshot": "[0-9a-f]{64}"`, "state", "show", actor, "--json")
	p.refuses(t, "no such actor", "state", "show", actor+"0")
	p.refuses(t, "names no durable actor", "state", "show", "ledger:0")

	file := filepath.Join(t.TempDir(), "state.json")
	p.wants(t, `^$`, "state", "export", actor, "-o", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	if _, code := p.asks(t, "state", "reset", actor); code != 2 {
		t.Errorf("reset without --yes: exit code %d", code)
	}
	p.wants(t, "begins anew", "state", "reset", actor, "--yes")
	hosttest.Eventually(t, "to begin anew", func() bool { return add(1).status == "ok" })
	p.wants(t, "imported", "state", "import", actor, file)
	hosttest.Eventually(t, "to go on", func() bool { return add(4).status == "ok" })
}
