package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

// The checker of histories: actors of a child process count, say each number in a topic with the same commit, and somebody else says it again.
// After kill -9 the topic has all of it in order, once, at the offsets as ever: what the state says, and what was acknowledged.

// progress is what a child has acknowledged of a topic.
type progress struct {
	own, others uint64
	epoch       string
}

// sayForEver is the child.
func sayForEver(k *store.Keeper, mode string) error {
	failed := make(chan error, counters)
	for i := range counters {
		go func() { failed <- countAloud(k, i, mode) }()
	}
	return <-failed
}

func countAloud(k *store.Keeper, i int, mode string) error {
	ctx := context.Background()
	room := counter(i).Name
	past, err := k.OpenHistory(ctx, room, time.Hour)
	if err != nil {
		return err
	}
	fmt.Println(i, "epoch", past.Epoch)
	n := past.Last / 2
	commit := func(kind string, n uint64, c *durable.Commit) error {
		if mode == saysEarly {
			fmt.Println(i, kind, n)
		}
		c.Said = []*durable.Said{said(room, fmt.Sprint(kind, n))}
		if err := k.Commit(ctx, c); err != nil {
			return err
		}
		if mode != saysEarly {
			fmt.Println(i, kind, n)
		}
		return nil
	}
	if past.Last%2 == 1 { // it was killed between the two
		n++
		if err := commit("others", n, &durable.Commit{}); err != nil {
			return err
		}
	}
	for {
		n++
		s := &durable.State{Revision: n, Born: 1, At: time.Now(), Version: version, Snapshot: snapshot, Guest: content(n)}
		if err := commit("own", n, &durable.Commit{Actor: counter(i), Last: n - 1, State: s}); err != nil {
			return err
		}
		if err := commit("others", n, &durable.Commit{}); err != nil {
			return err
		}
	}
}

// hears notes what a child says until enough lines have come, or it has ended.
func (c *child) hears(t testing.TB, at *[counters]progress, enough int) {
	t.Helper()
	for range enough {
		var line string
		var open bool
		select {
		case line, open = <-c.lines:
		case <-time.After(patience):
			t.Fatal("the child says nothing")
		}
		if !open {
			return
		}
		if !strings.HasSuffix(line, "\n") {
			continue
		}
		var i int
		var kind, value string
		if _, err := fmt.Sscan(line, &i, &kind, &value); err != nil || i >= counters {
			t.Errorf("the child says %q", line)
			continue
		}
		p := &at[i]
		switch kind {
		case "epoch":
			if p.own > 0 && p.epoch != value {
				t.Errorf("topic %d had the epoch %s, and has %s", i, p.epoch, value)
			}
			p.epoch = value
		case "own":
			fmt.Sscan(value, &p.own)
		case "others":
			fmt.Sscan(value, &p.others)
		}
	}
}

// checkPasts reads everything back, and returns what is not as it was promised.
func checkPasts(t testing.TB, dir string, at *[counters]progress) (wrong []string) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := bus.Open(bus.Options{Dir: dir, Log: log})
	must(t, err)
	defer b.Close()
	k := store.Open(b, store.Options{Log: log, CheckpointEvery: seldom})
	defer k.Close()
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for i := range counters {
		past, err := k.OpenHistory(limited(t), counter(i).Name, time.Hour)
		if err != nil {
			return []string{err.Error()}
		}
		s, err := k.Load(limited(t), counter(i))
		if err != nil && !errors.Is(err, durable.ErrNone) {
			note("%v", err)
		}
		revision := uint64(0)
		if s != nil {
			revision = s.Revision
		}
		if at[i].epoch != "" && past.Epoch != at[i].epoch {
			note("topic %d had the epoch %s, and has %s", i, at[i].epoch, past.Epoch)
		}
		if uint64(len(past.Said)) != past.Last || (past.Last+1)/2 != revision {
			note("topic %d has %d messages of %d, and the state is at %d", i, len(past.Said), past.Last, revision)
		}
		for j, s := range past.Said {
			want := fmt.Sprint("own", j/2+1)
			if j%2 == 1 {
				want = fmt.Sprint("others", j/2+1)
			}
			if string(s.Payload) != want || s.Offset != uint64(j+1) || s.Epoch != past.Epoch {
				note("topic %d has %q at %d in the place of %q", i, s.Payload, s.Offset, want)
				break
			}
		}
		if own, others := (past.Last+1)/2, past.Last/2; own < at[i].own || own > at[i].own+1 || others < at[i].others || others > at[i].others+1 {
			note("topic %d has %d and %d, and %+v were acknowledged", i, own, others, at[i])
		}
	}
	return wrong
}

// killedAloud has a child that says what it counts, and kills it, again and again.
func killedAloud(t testing.TB, dir, mode string, times int) (wrong []string) {
	t.Helper()
	var at [counters]progress
	for n := 0; n < times && len(wrong) == 0; n++ {
		c := startChild(t, dir, mode)
		c.hears(t, &at, 3*counters)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		must(t, c.Process.Kill())
		c.hears(t, &at, 1<<30)
		_ = c.Wait() // it was killed
		wrong = checkPasts(t, dir, &at)
	}
	total := uint64(0)
	for _, p := range at {
		total += p.own + p.others
	}
	t.Logf("%s: %d broadcasts", mode, total)
	return wrong
}

// What was acknowledged is in the history after kill -9 at any moment, once and in order, and agrees with the states. RTD_TEST_KILLS says how often.
func TestKillOfWhoSays(t *testing.T) {
	t.Parallel()
	if wrong := killedAloud(t, t.TempDir(), says, number("RTD_TEST_KILLS", 3)); len(wrong) > 0 {
		t.Errorf("after kill -9: %s", strings.Join(wrong, "\n"))
	}
}

// The checker finds out who acknowledges a broadcast too early.
func TestKillOfWhoSaysEarly(t *testing.T) {
	t.Parallel()
	for range 30 {
		if len(killedAloud(t, t.TempDir(), saysEarly, 1)) > 0 {
			return
		}
	}
	t.Error("a child that acknowledges before it has stored passes")
}
