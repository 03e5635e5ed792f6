package store_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

// The checker: a child process has actors count, each commit with a post for a second actor, and says on a pipe what was acknowledged. It ends
// at any moment, and then all that was acknowledged must be there, and each post once: waiting, or in the sum of who took it.

// counters is how many actors count.
const counters = 20

// How the child behaves.
const (
	honest  = "honest"
	early   = "early"   // says that a commit is stored before it is
	notSync = "notsync" // has a bus that syncs later
	asleep  = "asleep"  // does nothing but open, and says how much memory that takes

	says      = "says"      // actors count, and say so in topics, as others do
	saysEarly = "saysearly" // says that a broadcast is stored before it is
)

const childDir, childMode = "RTD_TEST_STORE_DIR", "RTD_TEST_STORE_MODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := countForEver(dir, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func counter(i int) durable.Actor { return topic(fmt.Sprint("count:", i)) }
func sink(i int) durable.Actor    { return process(fmt.Sprint("sink:", i)) }

// sum is the state of who takes posts: how many it has taken.
func sum(s *durable.State) uint64 {
	if s == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(s.Guest)
}

// content is the state of a counter at a revision, of any length.
func content(revision uint64) []byte {
	guest := make([]byte, 8+revision*977%1500)
	for i := range guest {
		guest[i] = byte(revision)
	}
	binary.LittleEndian.PutUint64(guest, revision)
	return guest
}

// countForEver is the child.
func countForEver(dir, mode string) error {
	o := bus.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	if mode == notSync {
		o.SyncEvery = time.Hour
	}
	b, err := bus.Open(o)
	if err != nil {
		return err
	}
	k := store.Open(b, store.Options{CheckpointEvery: 30 * time.Millisecond, Log: o.Log})
	if err := k.Up(context.Background()); err != nil {
		return err
	}
	if mode == asleep {
		fmt.Println(rss())
		return errors.Join(k.Close(), b.Close())
	}
	if mode == says || mode == saysEarly {
		return sayForEver(k, mode)
	}
	failed := make(chan error, counters)
	for i := range counters {
		go func() { failed <- count(k, i, mode) }()
	}
	return <-failed
}

// count is one counter, and who takes its posts.
func count(k *store.Keeper, i int, mode string) error {
	ctx := context.Background()
	own, err := k.Load(ctx, counter(i))
	if err != nil && !errors.Is(err, durable.ErrNone) {
		return err
	}
	n := uint64(0)
	if own != nil {
		n = own.Revision
	}
	for ; ; n++ {
		id := durable.PostID{Born: uint64(i), Revision: n + 1}
		s := &durable.State{Revision: n + 1, Born: 1, At: time.Now(), Version: version, Snapshot: snapshot, Guest: content(n + 1)}
		if mode == early {
			fmt.Println(i, n+1)
		}
		if err := k.Commit(ctx, &durable.Commit{Actor: counter(i), Last: n, State: s, Posts: []durable.Post{{ID: id, To: sink(i)}}}); err != nil {
			return err
		}
		if mode != early {
			fmt.Println(i, n+1)
		}
		if n%5 != 4 {
			continue
		}
		waiting := k.Posts(sink(i))
		old, err := k.Load(ctx, sink(i))
		if err != nil && !errors.Is(err, durable.ErrNone) {
			return err
		}
		next := &durable.State{Revision: 1, Version: version, Snapshot: snapshot}
		if old != nil {
			next.Revision = old.Revision + 1
		}
		next.Guest = binary.LittleEndian.AppendUint64(nil, sum(old)+uint64(len(waiting)))
		c := &durable.Commit{Actor: sink(i), Last: next.Revision - 1, State: next}
		for _, p := range waiting {
			c.Took = append(c.Took, p.ID)
		}
		if err := k.Commit(ctx, c); err != nil {
			return err
		}
	}
}

// child is a process that counts.
type child struct {
	*exec.Cmd
	lines chan string
}

func startChild(t testing.TB, dir, mode string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0]), lines: make(chan string, 1<<20)}
	c.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	said := &lines{}
	c.Stderr = said
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	go func() {
		defer close(c.lines)
		in := bufio.NewReader(out)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				if text := said.String(); text != "" {
					t.Errorf("the child says: %s", text)
				}
				return
			}
			c.lines <- line
		}
	}()
	return c
}

// runs has the child run until it has acknowledged some, and then for a random time, and notes what it has acknowledged.
func (c *child) runs(t testing.TB, acknowledged *[counters]uint64) {
	t.Helper()
	for range counters {
		select {
		case line, open := <-c.lines:
			if !open {
				t.Fatal("the child has ended by itself")
			}
			note(t, acknowledged, line)
		case <-time.After(patience):
			t.Fatal("the child does not count")
		}
	}
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
}

// note notes what is acknowledged.
func note(t testing.TB, acknowledged *[counters]uint64, line string) {
	var i int
	var n uint64
	if _, err := fmt.Sscan(line, &i, &n); err != nil || i >= counters {
		t.Errorf("the child says %q", line)
		return
	}
	acknowledged[i] = n
}

// ends kills the child, and notes the rest.
func (c *child) ends(t testing.TB, acknowledged *[counters]uint64) {
	t.Helper()
	must(t, c.Process.Kill())
	for line := range c.lines {
		if strings.HasSuffix(line, "\n") {
			note(t, acknowledged, line)
		}
	}
	_ = c.Wait() // it was killed
}

// check reads everything back, and returns what is not as it was promised.
func check(t testing.TB, dir string, acknowledged *[counters]uint64) (wrong []string) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := bus.Open(bus.Options{Dir: dir, Log: log})
	must(t, err)
	defer b.Close()
	k := store.Open(b, store.Options{Log: log, CheckpointEvery: seldom})
	defer k.Close()
	ctx := limited(t)
	if err := k.Up(ctx); err != nil {
		return []string{err.Error()}
	}
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	load := func(a durable.Actor) *durable.State {
		s, err := k.Load(ctx, a)
		if err != nil && !errors.Is(err, durable.ErrNone) {
			note("%v: %v", a, err)
		}
		return s
	}
	for i := range counters {
		s := load(counter(i))
		n := uint64(0)
		if s != nil {
			if n = s.Revision; string(s.Guest) != string(content(n)) {
				note("%v at %d has another state", counter(i), n)
			}
		}
		if n != acknowledged[i] && n != acknowledged[i]+1 {
			note("%v is at %d, and %d were acknowledged", counter(i), n, acknowledged[i])
		}
		if taken, waiting := sum(load(sink(i))), uint64(len(k.Posts(sink(i)))); taken+waiting != n {
			note("%v has taken %d posts, %d wait, and %d were sent", sink(i), taken, waiting, n)
		}
		acknowledged[i] = n
	}
	return wrong
}

// killed has a child counting, and kills it, again and again; it returns what is wrong in the end.
func killed(t testing.TB, dir, mode string, times int) (wrong []string) {
	t.Helper()
	var acknowledged [counters]uint64
	for i := 0; i < times && len(wrong) == 0; i++ {
		c := startChild(t, dir, mode)
		c.runs(t, &acknowledged)
		c.ends(t, &acknowledged)
		wrong = check(t, dir, &acknowledged)
	}
	total := uint64(0)
	for _, n := range acknowledged {
		total += n
	}
	t.Logf("%s: %d commits", mode, total)
	return wrong
}

// What was acknowledged is there after kill -9 at any moment. RTD_TEST_KILLS says how often.
func TestKill(t *testing.T) {
	t.Parallel()
	if wrong := killed(t, t.TempDir(), honest, number("RTD_TEST_KILLS", 3)); len(wrong) > 0 {
		t.Errorf("after kill -9: %s", strings.Join(wrong, "\n"))
	}
}

// The checker finds out who acknowledges too early.
func TestKillOfWhoIsEarly(t *testing.T) {
	t.Parallel()
	for range 30 {
		if len(killed(t, t.TempDir(), early, 1)) > 0 {
			return
		}
	}
	t.Error("a child that acknowledges before it has stored passes")
}
