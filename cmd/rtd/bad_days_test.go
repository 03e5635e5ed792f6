package main_test

import (
	"crypto/rand"
	encoding "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
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

// bus is the folder of the server's bus.
func (l *ledgers) bus() string { return filepath.Join(l.command.Dir, "guests", ".rtd", "bus") }

// stored has something done with what is stored, while no server runs.
func (l *ledgers) stored(do func(k *store.Keeper)) {
	l.t.Helper()
	b, err := bus.Open(bus.Options{Dir: l.bus()})
	if err != nil {
		l.t.Fatal(err)
	}
	defer b.Close()
	k := store.Open(b, store.Options{})
	defer k.Close()
	if err := k.Up(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	do(k)
}

// revision is what a list says of how often an actor has changed.
func (p *process) revision(t *testing.T, actor string) (n uint64) {
	t.Helper()
	output, code := p.asks(t, "state", "show", actor, "--json")
	var s struct{ Revision uint64 }
	if err := json.Unmarshal([]byte(output), &s); err != nil || code != 0 {
		t.Fatalf("%v: %s", err, output)
	}
	return s.Revision
}

// What was stored while the clock was an hour ahead waits for no hour: a timer of a moment rings, without anybody coming.
func TestClockAnHourBack(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	const moment = 50 * time.Millisecond
	if _, ok := l.once("ledger:0", "add", 1); !ok {
		t.Fatal("no entry")
	}
	rung := func(n int) func() bool {
		return func() bool {
			r, ok := l.once("ledger:0", "totals", 0)
			return ok && r.Rung == n
		}
	}
	hosttest.Eventually(t, "its own timer", rung(1))
	a := durable.Actor{Plugin: "ledger", Kind: durable.Topic, Name: "ledger:0"}
	var revision uint64
	p := l.again(func() {
		l.stored(func(k *store.Keeper) {
			s, err := k.Load(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			next, ahead := *s, time.Now().Add(time.Hour)
			next.Revision, next.At, next.Due = s.Revision+1, ahead, ahead.Add(moment)
			held := []byte("\x01\x08\x01\x05other")                                 // format, lists, one timer and its id,
			held = encoding.AppendVarint(held, next.Due.UnixNano())                 // when it is due,
			held = encoding.AppendUvarint(held, uint64(moment))                     // and that it was set to;
			next.Held = append(held, "\x00\x04ring\x00\x00\x00\x00\x00\x00\x00"...) // the other lists are empty
			if err := k.Commit(t.Context(), &durable.Commit{Actor: a, Last: s.Revision, State: &next}); err != nil {
				t.Fatal(err)
			}
			revision = next.Revision
		})
	})
	hosttest.Eventually(t, "the timer", func() bool { return p.revision(t, a.String()) > revision })
	if r, ok := l.once("ledger:0", "add", 2); !ok || r.N != 2 {
		t.Errorf("after that: %+v", r)
	}
	hosttest.Eventually(t, "all timers, and that one", rung(3))
}

// files are all files of a folder, with their contents, but for locks.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a later rtd has stored is refused in words, and stays as it is; everybody else is served. It goes on when that is taken back.
func TestFolderOfALaterRtd(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "[plugin.echo]\n", "echo")
	if _, ok := l.once("ledger:0", "add", 1); !ok {
		t.Fatal("no entry")
	}
	format := filepath.Join(l.bus(), "format.json")
	known, err := os.ReadFile(format)
	if err != nil {
		t.Fatal(err)
	}
	var before map[string]string
	p := l.again(func() {
		write(t, format, []byte(strings.Replace(string(known), `"format":1`, `"format":2`, 1)))
		before = files(t, l.bus())
	})
	c := p.join(t, "echo:a", "{}")
	c.WantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)
	if r, ok := l.once("ledger:0", "last", 0); ok {
		t.Errorf("it goes on: %+v", r)
	}
	const why = `has format 2, and this rtd knows up to 1; use the rtd that wrote it, or a later one`
	p.refuses(t, why, "state", "list", "ledger")
	p.wants(t, why, "bus", "status")
	if !p.says(why) {
		t.Error("the log does not say why")
	}
	c.Close()
	p = l.again(func() {
		if after := files(t, l.bus()); !maps.Equal(after, before) {
			t.Errorf("it has changed: %d files, before %d", len(after), len(before))
		}
		write(t, format, known)
	})
	if r, ok := l.once("ledger:0", "last", 0); !ok || r.N != 1 {
		t.Errorf("it does not go on: %+v", r)
	}
}

// A durable topic may have a long name. One of which the name is too long to be stored is refused in words, and concerns nobody else.
func TestLongTopics(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	topic := "ledger:" + strings.Repeat("x", 4000)
	if r, ok := l.once(topic, "add", 1); !ok {
		t.Fatalf("%+v", r)
	}
	for range 3 {
		c := hosttest.Connect(t, l.at.Load().url)
		if m, err := c.Join("ledger:"+strings.Repeat("x", 60_000), "{}"); err != nil || m.Status != "error" || string(m.Payload) != `{"reason":"too_large"}` {
			t.Errorf("a name of 60 KB: %s %s, %v", m.Status, m.Payload, err)
		}
		c.Close()
	}
	if p := l.at.Load(); !p.says("the name of an actor has 60007 bytes, and at most 4096 are kept") {
		t.Error("the log does not say why")
	}
	l.kill()
	if r, ok := l.once(topic, "add", 2); !ok || r.N != 2 {
		t.Errorf("after a kill: %+v", r)
	}
	p := l.at.Load()
	p.wants(t, `^ACTOR.*\nledger/topic:ledger:x+\S* .* stored +-\n$`, "state", "list", "ledger")
	p.wants(t, `(?m)^REVISION +\d+`, "state", "show", "ledger/topic:"+topic)
	p.wants(t, "begins anew", "state", "reset", "ledger/topic:"+topic, "--yes")
	if r, ok := l.once(topic, "add", 1); !ok || r.N != 1 {
		t.Errorf("after a reset: %+v", r)
	}
}

// An event that makes a state too large has not happened, and its client is told. Everybody else goes on, and so does the actor.
func TestOutgrown(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	p := l.again(func() { l.configure("max_restarts", "durable_state = 65536\nmax_restarts") })
	c := hosttest.Connect(t, p.url)
	c.Hear(func(hosttest.Message) {})
	c.MustJoin(t, "ledger:0", "{}")
	stored := 0
	for n := 0; ; n++ {
		w := &writer{who: noise(8000), topic: "ledger:0"}
		r, ok := w.ask(c, "add", 1)
		if ok && r.status == "ok" && n < 100 {
			stored++
			continue
		}
		if !ok || r.Reason != "too_large" || n < 3 {
			t.Fatalf("%d: %+v", n, r)
		}
		if r, ok := w.ask(c, "last", 0); !ok || r.N != 0 {
			t.Errorf("what was too large has happened: %+v", r)
		}
		break
	}
	if r, ok := l.once("ledger:1", "add", 1); !ok {
		t.Errorf("another topic: %+v", r)
	}
	c.Close()
	l.kill()
	hosttest.Eventually(t, "all that was acknowledged", func() bool {
		r, ok := l.once("ledger:0", "totals", 0)
		return ok && r.Total == stored && r.Sum == stored+1
	})
}

// noise is a text that cannot be made shorter.
func noise(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.Read(b) // which never fails
	return hex.EncodeToString(b)
}

// A process that runs goes on with what is imported, and begins anew after a reset: it does not end, nor crash.
func TestStateOfAProcessThatRuns(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	p := l.at.Load()
	const actor = "ledger/process:sum"
	sum := func(want int) {
		t.Helper()
		got := -1
		hosttest.Eventually(t, fmt.Sprintf("the sum %d", want), func() bool {
			if r, ok := l.once("ledger:0", "totals", 0); ok {
				got = r.Sum
			}
			return got == want
		})
	}
	add := func(n int) {
		t.Helper()
		if r, ok := l.once("ledger:0", "add", n); !ok {
			t.Fatalf("%d: %+v", n, r)
		}
	}
	add(1)
	add(2)
	sum(2)
	file := filepath.Join(t.TempDir(), "sum.json")
	p.wants(t, `^$`, "state", "export", actor, "-o", file)
	add(3)
	sum(3)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file+"-damaged", []byte(strings.Replace(string(text), `"held": "AQ`, `"held": "CQ`, 1)))
	p.refuses(t, "import a state of ledger/process:sum: what is held for the actor is damaged", "state", "import", actor, file+"-damaged")
	sum(3)
	p.wants(t, "imported", "state", "import", actor, file)
	sum(2)
	add(4)
	sum(3)
	p.wants(t, "begins anew", "state", "reset", actor, "--yes")
	sum(0)
	add(5)
	sum(1)
	l.kill()
	sum(1)
	if p.says("crashed") || p.says("level=ERROR") {
		t.Error("something has crashed")
	}
}

// A bus whose folder is moved away takes no more events: nothing goes into files that are gone. It says so, and that no repair helps; when
// the folder is back all goes on, with all that was acknowledged.
func TestBusFolderIsAway(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "[plugin.echo]\n", "echo")
	p := l.at.Load()
	echo := p.join(t, "echo:a", "{}")
	if _, ok := l.once("ledger:0", "add", 1); !ok {
		t.Fatal("no entry")
	}
	if err := os.Rename(l.bus(), l.bus()+"-away"); err != nil {
		t.Fatal(err)
	}
	if r, ok := l.once("ledger:0", "add", 2); ok {
		t.Errorf("acknowledged without a folder: %+v", r)
	}
	echo.WantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)
	p.refuses(t, "the folder was removed while the server used it", "state", "repair", "--yes")
	p.wants(t, "(?s)STATE +down.*the folder was removed while the server used it", "bus", "status")
	if !p.says("the folder was removed while the server used it") {
		t.Error("the log does not say so")
	}
	if err := os.Rename(l.bus()+"-away", l.bus()); err != nil {
		t.Fatal(err)
	}
	n := 0
	hosttest.Eventually(t, "the topic", func() bool {
		r, ok := l.once("ledger:0", "last", 0)
		n = r.N
		return ok
	})
	if n < 1 || n > 2 { // of the second nobody knew
		t.Errorf("%d entries", n)
	}
	if r, ok := l.once("ledger:0", "add", n+1); !ok {
		t.Errorf("%+v", r)
	}
}
