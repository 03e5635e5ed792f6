package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

// percentiles reports how long a benchmark's rounds took.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[min(len(took)*p/100, len(took)-1)].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}

// small is a state of 250 bytes, as a topic in C has it.
func small(revision uint64) *durable.State {
	guest := make([]byte, 250)
	binary.LittleEndian.PutUint64(guest, revision)
	return &durable.State{Revision: revision, Born: 1, At: time.Now(), Version: version, Snapshot: snapshot, Guest: guest}
}

// Committers of actors of their own, with checkpoints as they come.
func BenchmarkCommit(b *testing.B) {
	for _, committers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(committers), func(b *testing.B) {
			p := open(b, store.Options{CheckpointEvery: 5 * time.Second})
			b.ReportAllocs()
			b.ResetTimer()
			commitAll(b, p, committers, int64(b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(p.Status().Commits)/float64(p.Status().Groups), "commits/group")
		})
	}
	for _, pace := range []struct{ committers, each int }{{100, 200}, {1000, 50}} { // how long it takes at a rate, and not at the most there is
		b.Run(fmt.Sprintf("%d at %d per s", pace.committers, pace.committers*pace.each), func(b *testing.B) {
			p := open(b, store.Options{CheckpointEvery: 5 * time.Second})
			b.ResetTimer()
			commitPaced(b, p, pace.committers, time.Second/time.Duration(pace.each))
			b.ReportMetric(float64(p.Status().Commits)/b.Elapsed().Seconds(), "commits/s")
		})
	}
	b.Run("append", func(b *testing.B) { // the least that one commit can take: a record of as many bytes
		l, err := open(b, store.Options{}).b.Log(limited(b), "bare")
		must(b, err)
		data := make([]byte, 450)
		var took []time.Duration
		for last := uint64(0); b.Loop(); last++ {
			began := time.Now()
			_, err := l.Append(b.Context(), last, data)
			took = append(took, time.Since(began))
			must(b, err)
		}
		percentiles(b, took)
	})
}

func commitAll(b *testing.B, p *place, committers int, commits int64) {
	var left atomic.Int64
	left.Store(commits)
	all := make([][]time.Duration, committers)
	var group sync.WaitGroup
	for i := range committers {
		group.Go(func() {
			a := topic(fmt.Sprint("bench:", i))
			for last := uint64(0); left.Add(-1) >= 0; last++ {
				began := time.Now()
				if err := p.Commit(context.Background(), &durable.Commit{Actor: a, Last: last, State: small(last + 1)}); err != nil {
					b.Error(err)
					return
				}
				all[i] = append(all[i], time.Since(began))
			}
		})
	}
	group.Wait()
	percentiles(b, slices.Concat(all...))
}

// commitPaced has each committer commit once in a period, b.N in all. It counts from when a commit was due, also if the one before was late.
func commitPaced(b *testing.B, p *place, committers int, period time.Duration) {
	all := make([][]time.Duration, committers)
	began := time.Now()
	var group sync.WaitGroup
	for i := range committers {
		group.Go(func() {
			a := topic(fmt.Sprint("bench:", i))
			due := began.Add(period * time.Duration(i) / time.Duration(committers))
			for last := range uint64(b.N/committers + 1) {
				time.Sleep(time.Until(due))
				if err := p.Commit(context.Background(), &durable.Commit{Actor: a, Last: last, State: small(last + 1)}); err != nil {
					b.Error(err)
					return
				}
				all[i] = append(all[i], time.Since(due))
				due = due.Add(period)
			}
		})
	}
	group.Wait()
	percentiles(b, slices.Concat(all...))
}

// Waking one of 20,000 that sleep.
func BenchmarkLoad(b *testing.B) {
	p := open(b, store.Options{})
	const many = 20_000
	fill(b, p, many, 0, 1, time.Time{})
	p.checkpoint()
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		_, err := p.Load(b.Context(), topic(fmt.Sprintf("room:%07d", i*7919%many)))
		took = append(took, time.Since(began))
		must(b, err)
	}
	percentiles(b, took)
}

// A checkpoint of 10,000 topics of 100,000.
func BenchmarkCheckpoint(b *testing.B) {
	p := open(b, store.Options{CheckpointBytes: 1 << 30})
	const many, each = 100_000, 10_000
	fill(b, p, many, 0, 1, time.Time{})
	p.checkpoint()
	revisions := make([]uint64, many)
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		var group sync.WaitGroup
		for w := range 500 {
			group.Go(func() {
				for n := w; n < each; n += 500 {
					i := (round*each + n*7) % many // each once in a round
					revisions[i]++
					must(b, p.Commit(context.Background(), &durable.Commit{Actor: topic(fmt.Sprintf("room:%07d", i)), Last: revisions[i], State: small(revisions[i] + 1)}))
				}
			})
		}
		group.Wait()
		b.StartTimer()
		must(b, p.Checkpoint(context.Background()))
	}
}

// fill commits topics with 250 bytes each, from a revision on, some times.
func fill(t testing.TB, p *place, many int, last uint64, times int, due time.Time) {
	t.Helper()
	const committers = 2000
	var group sync.WaitGroup
	var failed atomic.Value
	for w := range committers {
		group.Go(func() {
			for last := last; last < uint64(times); last++ {
				for i := w; i < many; i += committers {
					s := small(last + 1)
					s.Due = due
					if err := p.Commit(context.Background(), &durable.Commit{Actor: topic(fmt.Sprintf("room:%07d", i)), Last: last, State: s}); err != nil {
						failed.Store(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(err)
	}
}

// TestFigures says what sleeping topics cost. The number of them is in RTD_TEST_SLEEPING, by default so few that it tells little.
func TestFigures(t *testing.T) {
	many := number("RTD_TEST_SLEEPING", 3000)
	processes := many / 100
	dir := os.Getenv("RTD_TEST_SLEEPING_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	empty := resident(t, t.TempDir())
	sleeping := func(what string, p *place) {
		t.Helper()
		p.checkpoint()
		p.stop()
		t.Logf("%s: RSS %d B each, disk %d B each", what, (resident(t, dir)-empty)/int64(many), size(t, dir)/int64(many))
		p.start()
	}
	before := rss()
	p := openAt(t, bus.Options{Dir: dir}, store.Options{CheckpointEvery: 5 * time.Second})
	began := time.Now()
	fill(t, p, many, 0, 1, time.Time{})
	t.Logf("%d topics: %.0f commits/s, last checkpoint %v, leaves %d", many, float64(many)/time.Since(began).Seconds(), p.Status().Checkpoint, p.Status().Leaves)
	t.Logf("RSS with what is left of that: %d B each", (rss()-before)/int64(many))
	for i := range processes {
		p.put(process(fmt.Sprint(i)), 0, "process")
	}
	sleeping("without alarms", p)
	var took []time.Duration
	for i := range 2000 {
		began := time.Now()
		_, err := p.Load(t.Context(), topic(fmt.Sprintf("room:%07d", i*7919%many)))
		must(t, err)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("load: p50 %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
	p.stop()
	began = time.Now()
	p.start()
	n := 0
	for _, err := range p.Actors(t.Context(), "chat", durable.Process) {
		must(t, err)
		n++
	}
	if n != processes {
		t.Errorf("%d processes, and not %d", n, processes)
	}
	t.Logf("open, and %d processes: %v", processes, time.Since(began))

	last := 1 + number("RTD_TEST_UPDATES", 1)
	began = time.Now()
	fill(t, p, many, 1, last, time.Now().Add(100*time.Hour))
	t.Logf("%d updates: %.0f commits/s, last checkpoint %v", last-1, float64(many*(last-1))/time.Since(began).Seconds(), p.Status().Checkpoint)
	sleeping("with alarms, after the updates", p)
	if s := p.Status(); s.Plugins["chat"].Topics != many || s.Alarms != many {
		t.Errorf("%+v", s)
	}
	// With many of them in the log, as after a kill.
	fill(t, p, min(many, 100_000), uint64(last), last+1, time.Time{})
	p.stop()
	began = time.Now()
	p.start()
	t.Logf("open with up to %d in the log: %v", min(many, 100_000), time.Since(began))
}

// resident says how much memory a process has that opens a folder, and does nothing else.
func resident(t testing.TB, dir string) (bytes int64) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+asleep)
	text, err := c.Output()
	must(t, err)
	_, err = fmt.Sscan(string(text), &bytes)
	must(t, err)
	return bytes
}

// size is how many bytes the files of a folder take.
func size(t testing.TB, dir string) (n int64) {
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it may be gone
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	}))
	return n
}
