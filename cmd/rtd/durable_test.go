package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// kills is how often a server is killed at random: RTD_TEST_KILLS of the environment, or a few times.
func kills(t *testing.T) int {
	text := os.Getenv("RTD_TEST_KILLS")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ledgers is a server with the guest ledger, whose topics and process are durable, and which is killed now and then.
type ledgers struct {
	t       *testing.T
	command *exec.Cmd
	at      atomic.Pointer[process]
	stop    chan struct{}
}

const durableLedger = `
[plugin.ledger]
durable = ["ledger:*", "process:sum"]
max_restarts = 1000
`

// newLedgers starts one, with these plugins besides.
func newLedgers(t *testing.T, config string, besides ...string) *ledgers {
	l := prepareLedgers(t, config, besides...)
	l.start()
	return l
}

// prepareLedgers is newLedgers before the start.
func prepareLedgers(t *testing.T, config string, besides ...string) *ledgers {
	l := &ledgers{t: t, command: server(t, durableLedger+config), stop: make(chan struct{})}
	guests := filepath.Join(l.command.Dir, "guests")
	if !slices.Contains(besides, "echo") {
		if err := os.Remove(filepath.Join(guests, "echo.wasm")); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(guests, "ledger.wasm"), sandboxtest.BuildGo(t, "rtd/host/testdata/ledger"))
	return l
}

func (l *ledgers) start() {
	cmd := exec.Command(l.command.Path, l.command.Args[1:]...)
	cmd.Dir, cmd.Env = l.command.Dir, l.command.Env
	p := &process{cmd: cmd, done: make(chan struct{})}
	p.start(l.t)
	l.at.Store(p)
}

// kill kills the server as a power cut would, and starts it again.
func (l *ledgers) kill() {
	p := l.at.Load()
	if err := p.cmd.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	p.wait(l.t)
	l.start()
}

// writer adds entries to a topic, and counts what was acknowledged.
type writer struct {
	who, topic string
	acked      int // the last entry that was acknowledged
}

type ledgerReply struct {
	status                    string
	Reason                    string
	N, Last, Total, Rung, Sum int
}

// ask sends an event and waits for its answer. ok is false if none came: the server was killed.
func (w *writer) ask(c *hosttest.Client, event string, n int) (r ledgerReply, ok bool) {
	m, err := c.Call(w.topic, event, fmt.Sprintf(`{"who":%q,"n":%d}`, w.who, n))
	if err != nil {
		return r, false
	}
	r.status = m.Status
	return r, json.Unmarshal(m.Payload, &r) == nil
}

// run adds entries until the end. Each time that it has lost the server it asks what is there: the last entry that was
// acknowledged, or the one behind it, which was on its way.
func (w *writer) run(l *ledgers) error {
	for {
		select {
		case <-l.stop:
			return nil
		default:
		}
		if err := w.session(l); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *writer) session(l *ledgers) error {
	c, err := hosttest.Dial(l.at.Load().url, nil)
	if err != nil {
		return nil // it is not there yet
	}
	defer c.Close()
	c.Hear(func(hosttest.Message) {}) // what others add
	if m, err := c.Join(w.topic, "{}"); err != nil || m.Status != "ok" {
		return nil
	}
	r, ok := w.ask(c, "last", 0)
	if !ok || r.status != "ok" {
		return nil
	}
	if r.N < w.acked || r.N > w.acked+1 {
		return fmt.Errorf("%s of %s: %d entries are there, %d were acknowledged", w.who, w.topic, r.N, w.acked)
	}
	w.acked = r.N
	for {
		select {
		case <-l.stop:
			return nil
		default:
		}
		r, ok := w.ask(c, "add", w.acked+1)
		switch {
		case !ok:
			return nil
		case r.status == "ok" && r.N == w.acked+1:
			w.acked++
		case r.Last > 0 || r.status == "ok":
			return fmt.Errorf("%s of %s adds %d: %+v", w.who, w.topic, w.acked+1, r)
		default:
			return nil // unavailable, crashed: it has not happened, or that shows
		}
		if rand.IntN(50) == 0 {
			if _, ok := w.ask(c, "crash", 0); !ok {
				return nil
			}
		}
	}
}

// counting has twelve writers add entries while misfortune comes to the server, so often, and returns what is wrong in the end: whatever was
// acknowledged has to be there, and nothing twice: entries, timers, and messages to another process.
func (l *ledgers) counting(times int, misfortune func()) error {
	var writers []*writer
	var running sync.WaitGroup
	var failed hosttest.FirstError
	for n := range 12 {
		w := &writer{who: fmt.Sprint("w", n), topic: fmt.Sprint("ledger:", n%3)}
		writers = append(writers, w)
		running.Go(func() { failed.Set(w.run(l)) })
	}
	for range times {
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		misfortune()
		if failed.Get() != nil {
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	close(l.stop)
	running.Wait()
	if err := failed.Get(); err != nil {
		return err
	}
	acked := 0
	for _, w := range writers {
		acked += w.acked
	}
	totals := func() (total, rung, sum int) {
		for n := range 3 {
			r, ok := l.once(fmt.Sprint("ledger:", n), "totals", 0)
			if !ok {
				return 0, 0, -1
			}
			total, rung, sum = total+r.Total, rung+r.Rung, r.Sum
		}
		return total, rung, sum
	}
	total, rung, sum := totals()
	for late := time.Now().Add(hosttest.Patience); total != rung || total != sum; total, rung, sum = totals() {
		if time.Now().After(late) {
			return fmt.Errorf("of %d entries that are there %d timers and %d messages came; %d were acknowledged", total, rung, sum, acked)
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Logf("%d entries, %d acknowledged", total, acked)
	if total < acked || total > acked+len(writers) {
		return fmt.Errorf("%d entries are there, %d were acknowledged to %d writers", total, acked, len(writers))
	}
	return nil
}

// Whatever was acknowledged is there after the server was killed, and guests have crashed.
func TestWhatWasAcknowledgedIsThere(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	if err := l.counting(kills(t), l.kill); err != nil {
		t.Fatal(err)
	}
}

// A bus that does not work at the start holds up nobody who does not need it, and durable plugins run as soon as it works. Until then their clients
// hear that they are unavailable, and not that there is no such topic.
func TestBusAwayAtTheStart(t *testing.T) {
	t.Parallel()
	command := server(t, durableLedger+"[bus]\ndir = \"bus\"\n")
	guest, wasm := filepath.Join(command.Dir, "guests", "ledger.wasm"), sandboxtest.BuildGo(t, "rtd/host/testdata/ledger")
	write(t, guest, wasm)
	inTheWay := filepath.Join(command.Dir, "bus")
	write(t, inTheWay, nil) // a file, and no folder
	p := &process{cmd: command, done: make(chan struct{})}
	p.start(t)
	c := p.join(t, "echo:a", "{}")
	answers := func(want string) func() bool {
		return func() bool {
			m, err := c.Join("ledger:0", "{}")
			if err != nil {
				t.Fatal(err)
			}
			return strings.HasPrefix(m.Status+" "+string(m.Payload), want)
		}
	}
	if !answers(`error {"reason":"unavailable"}`)() {
		t.Error("the topic is not unavailable while its plugin waits")
	}
	if p.says("what is stored is being read") || !p.says("bus: not a directory") {
		t.Error("the log does not say why it waits")
	}
	if err := os.Remove(guest); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "a plugin that is gone", answers(`error {"reason":"unmatched topic"}`))
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	write(t, guest, wasm)
	hosttest.Eventually(t, "the durable topic", answers("ok"))
}

// A message at which its receiver crashes is set aside. It is there after the server was killed, is tried again by hand, and
// comes to its end once.
func TestSetAsideIsRetried(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	w := &writer{topic: "ledger:0"}
	push := func(event string) (r ledgerReply) {
		c := hosttest.Connect(t, l.at.Load().url)
		defer c.Close()
		c.MustJoin(t, w.topic, "{}")
		r, ok := w.ask(c, event, 0)
		if !ok || r.status != "ok" {
			t.Fatalf("%s: %+v", event, r)
		}
		return r
	}
	command := func(args ...string) (string, int) {
		cmd := rtd(t, append(append([]string{"crash"}, args...), "--config", "rtd.toml", "--plugins", "guests")...)
		cmd.Dir = l.command.Dir
		return run(cmd)
	}
	line := regexp.MustCompile(`(?m)^(\S+) .* message +ledger/process:sum +poison .*poisoned`)
	listed := func() (ids []string) {
		output, code := command("list")
		if code != 0 {
			t.Fatalf("crash list: %s", output)
		}
		for _, m := range line.FindAllStringSubmatch(output, -1) {
			ids = append(ids, m[1])
		}
		return ids
	}
	push("poison")
	push("poison")
	hosttest.Eventually(t, "both to be set aside", func() bool { return len(listed()) == 2 })
	ids := listed()
	l.kill()
	if after := listed(); !slices.Equal(after, ids) {
		t.Fatalf("after a kill %q are set aside, and %q were", after, ids)
	}
	if output, code := command("retry", ids[0]); code != 1 || !strings.Contains(output, "crashed again") {
		t.Errorf("a retry that crashes: %d, %s", code, output)
	}
	push("antidote")
	before := push("totals").Sum
	hosttest.Eventually(t, "the retry", func() bool { // when the antidote has come
		output, code := command("retry", ids[0])
		return code == 0 && strings.Contains(output, "is done")
	})
	l.kill()
	if got := push("totals").Sum; got != before+1000 {
		t.Errorf("the sum is %d after the retry, and was %d", got, before)
	}
	if output, code := command("drop", ids[1]); code != 0 || !strings.Contains(output, "is thrown away") {
		t.Errorf("drop: %d, %s", code, output)
	}
	if output, code := command("retry", ids[0]); code != 1 || !strings.Contains(output, "nothing is set aside by the id") {
		t.Errorf("a second retry: %d, %s", code, output)
	}
	if left := listed(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
