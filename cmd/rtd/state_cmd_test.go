package main_test

import (
	"bytes"
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
	p.wants(t, `^ACTOR +REVISION +BYTES +CHANGED +DUE +VERSION +POSTS +STATE +REASON\n$`, "state", "list", "ledger")
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
	p.refuses(t, "no such plugin", "state", "list", "ledgers")

	file := filepath.Join(t.TempDir(), "state.json")
	p.wants(t, `^$`, "state", "export", actor, "-o", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	p.refuses(t, "a topic cannot go on as a process", "state", "import", "ledger/process:sum", file)
	p.refuses(t, "nothing is damaged", "state", "repair", "--yes")
	p.refuses(t, "no such actor is refused", "state", "repair", actor, "--yes")
	if _, code := p.asks(t, "state", "reset", actor); code != 2 {
		t.Errorf("reset without --yes: exit code %d", code)
	}
	// One that is awake, with a member, notices nothing but what is stored then.
	c := hosttest.Connect(t, p.url)
	c.Hear(func(hosttest.Message) {})
	c.MustJoin(t, "ledger:0", "{}")
	w := &writer{who: "ada", topic: "ledger:0"}
	next := func(n int) {
		t.Helper()
		if r, ok := w.ask(c, "add", n); !ok || r.status != "ok" || r.N != n {
			t.Errorf("add %d: %+v", n, r)
		}
	}
	next(4)
	p.wants(t, "begins anew", "state", "reset", actor, "--yes")
	next(1)
	p.wants(t, "imported", "state", "import", actor, file)
	next(4)
	c.Close()
}

// Damage on the disk: whom it concerns is refused, shown, and repaired or given up; the others go on. Where nobody knows whom it
// concerns, all wait, and go on by themselves after a repair. A bus that is gone is no new beginning.
func TestStateRepair(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	p := l.at.Load()
	ask := func(topic, event string, n int) (r ledgerReply, ok bool) {
		c := hosttest.Connect(t, l.at.Load().url)
		defer c.Close()
		c.Hear(func(hosttest.Message) {})
		if m, err := c.Join(topic, "{}"); err != nil || m.Status != "ok" {
			return r, false
		}
		r, ok = (&writer{who: "ada", topic: topic}).ask(c, event, n)
		return r, ok && r.status == "ok"
	}
	for _, topic := range []string{"ledger:0", "ledger:1"} {
		for n := range 3 {
			if _, ok := ask(topic, "add", n+1); !ok {
				t.Fatalf("%s: %d", topic, n+1)
			}
		}
	}
	bus := filepath.Join(l.command.Dir, "guests", ".rtd", "bus")
	streams := filepath.Join(bus, "alone", "jetstream", "$G", "streams")
	// again ends the server, and starts it after something has happened.
	again := func(happen func()) {
		t.Helper()
		p.signal(t)
		p.wait(t)
		happen()
		l.start()
		p = l.at.Load()
	}
	block := func(stream string) string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(streams, stream, "msgs", "*.blk"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		return files[len(files)-1]
	}
	const hurt = "ledger/topic:ledger:0"
	hosttest.Eventually(t, "the states in leaves", func() bool {
		text, err := os.ReadFile(block("rtd_store_durable"))
		return err == nil && bytes.Contains(text, []byte("ledger:0")) && bytes.Contains(text, []byte("ledger:1"))
	})
	again(func() {
		for _, stream := range []string{"rtd_store_durable", "rtd_log_durable-1"} { // timers may have come since it was in a leaf
			text, err := os.ReadFile(block(stream))
			if err != nil {
				t.Fatal(err)
			}
			if at := bytes.LastIndex(text, []byte("\x08ledger:0")) + 40; at >= 40 {
				text[at] ^= 1
			}
			write(t, block(stream), text)
		}
	})
	p.wants(t, `(?m)^ledger/topic:ledger:0 .* damaged +the state is damaged`, "state", "list", "ledger")
	p.wants(t, `(?m)^ledger/topic:ledger:1 .* stored +-$`, "state", "list", "ledger")
	if r, ok := ask("ledger:0", "last", 0); ok {
		t.Errorf("a damaged topic goes on with %+v", r)
	}
	if r, ok := ask("ledger:1", "last", 0); !ok || r.N != 3 {
		t.Errorf("another one has %+v", r)
	}
	p.wants(t, "begins anew", "state", "reset", hurt, "--yes")
	again(func() {})
	if r, ok := ask("ledger:0", "add", 1); !ok || r.N != 1 {
		t.Errorf("it begins anew with %+v", r)
	}

	again(func() {
		if err := os.RemoveAll(bus); err != nil {
			t.Fatal(err)
		}
	})
	if _, ok := ask("ledger:1", "last", 0); ok {
		t.Error("a bus that is gone is a new beginning")
	}
	p.refuses(t, `rtd state repair --yes, after which all actors begin anew`, "state", "list", "ledger")
	if _, code := p.asks(t, "state", "repair"); code != 2 {
		t.Errorf("repair without --yes: exit code %d", code)
	}
	p.wants(t, "repaired", "state", "repair", "--yes")
	hosttest.Eventually(t, "to begin anew", func() bool { _, ok := ask("ledger:1", "add", 1); return ok })
}
