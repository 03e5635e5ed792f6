package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// again ends the server in order, has something happen, and starts it again.
func (l *ledgers) again(happen func()) *process {
	l.t.Helper()
	p := l.at.Load()
	p.signal(l.t)
	p.wait(l.t)
	happen()
	l.start()
	return l.at.Load()
}

// configure changes text of the config file.
func (l *ledgers) configure(old, text string) {
	l.t.Helper()
	file := filepath.Join(l.command.Dir, "rtd.toml")
	config, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(config), old) {
		l.t.Fatalf("%v: %s", err, config)
	}
	write(l.t, file, []byte(strings.Replace(string(config), old, text, 1)))
}

// once adds an entry, or asks for something else, on a connection of its own.
func (l *ledgers) once(topic, event string, n int) (r ledgerReply, ok bool) {
	l.t.Helper()
	c := hosttest.Connect(l.t, l.at.Load().url)
	defer c.Close()
	c.Hear(func(hosttest.Message) {})
	if m, err := c.Join(topic, "{}"); err != nil || m.Status != "ok" {
		return r, false
	}
	r, ok = (&writer{who: "ada", topic: topic}).ask(c, event, n)
	return r, ok && r.status == "ok"
}

// Of states that cannot go on in the config at hand it is shown why, and they go on when it is taken back.
func TestStateSaysWhyItIsRefused(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	if _, ok := l.once("ledger:0", "add", 1); !ok {
		t.Fatal("no entry")
	}
	const sum, topic = `^ACTOR.*\nledger/process:sum .* refused +`, `^ACTOR.*\nledger/topic:ledger:0 .* refused +`
	p := l.again(func() { l.configure("max_restarts", "memory = 34603008\nmax_restarts") })
	p.wants(t, sum+`its plugin does not run: .*start child sum`, "state", "list", "ledger", "--processes")
	p.wants(t, topic+`its plugin does not run: `, "state", "list", "ledger")
	p = l.again(func() { l.configure(`, "process:sum"`, "") })
	p.wants(t, topic+`the stored state cannot go on in this version or config`, "state", "list", "ledger")
	if r, ok := l.once("ledger:0", "last", 0); ok {
		t.Errorf("it goes on: %+v", r)
	}
	p.wants(t, `(?m)^STATE +refused\nREASON +the stored state cannot go on in this version or config: the old version does not`, "state", "show", "ledger/topic:ledger:0")
	p = l.again(func() {
		l.configure("memory = 34603008\n", "")
		l.configure(`"ledger:*"`, `"ledger:*", "process:sum"`)
	})
	p.wants(t, ` stored +-\n$`, "state", "list", "ledger")
	if r, ok := l.once("ledger:0", "last", 0); !ok || r.N != 1 {
		t.Errorf("it does not go on: %+v", r)
	}
}
