package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"rtd/host/app"
	"rtd/supervisor"
)

// reader is where the lines of a log go. It may stall.
type reader struct {
	stall chan struct{} // it takes nothing while this is open; nil: it does not stall

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	if r.stall != nil {
		<-r.stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// lines are the messages and causes of what was written.
func (r *reader) lines() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.text.String()) {
		_, line, _ = strings.Cut(line, "msg=")
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func crashLog(r *reader) *app.CrashLog {
	return app.NewCrashLog(slog.New(slog.NewTextHandler(r, nil)))
}

func crash(cause int) app.Crash {
	return app.Crash{Plugin: "p", Version: "v", Topic: "t", Event: "e", Reason: fmt.Errorf("cause %d", cause), Decision: supervisor.Restarts}
}

// Handlers and supervisors add crashes: they do not wait for the reader of the log, nor for a
// report. Crashes that come while nobody reads are bounded, and one line says how many have none.
func TestCrashesWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stall: make(chan struct{})}
		l := crashLog(r)
		told := 0
		l.Tell(func(app.Crash) { told++ })
		l.Add(crash(0))
		synctest.Wait() // its line is on its way
		const more = 3000
		for range more {
			l.Add(crash(1))
		}
		if c := l.Counts(); len(c) != 1 || c[0].Crashes != 1+more || c[0].Restarts != 1+more {
			t.Errorf("counts are %+v", c)
		}
		close(r.stall)
		l.Close()
		lines := r.lines()
		kept := told - 1
		if kept >= more || !slices.Contains(lines, fmt.Sprintf(`"crashes without a line" more=%d cause="they came faster than lines could be written"`, more-kept)) {
			t.Errorf("%d of %d crashes are told, and the lines are\n%s", kept, more, strings.Join(lines, "\n"))
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, fmt.Sprintf("more=%d", kept-10)) {
			t.Errorf("the last line is %s", last)
		}
	})
}

// A process that crashed and goes on has its lines behind that of its crash.
func TestLinesOfAProcessStayInOrder(t *testing.T) {
	r := &reader{}
	l := crashLog(r)
	defer l.Close()
	log := l.Log().With("topic", "t")
	for n := range 20 {
		l.Add(crash(n))
		log.Info(fmt.Sprint("life ", n))
		lines := r.lines()
		if len(lines) != 2*n+2 || !strings.Contains(lines[2*n], fmt.Sprintf(`cause="cause %d"`, n)) || !strings.Contains(lines[2*n+1], fmt.Sprint("life ", n)) {
			t.Fatalf("after crash %d the lines are\n%s", n, strings.Join(lines, "\n"))
		}
	}
}

// Nothing is lost at the end: Close waits for what was added, and what comes later is written at once.
func TestCrashLogCloses(t *testing.T) {
	r := &reader{}
	l := crashLog(r)
	for n := range 100 {
		l.Add(crash(n % 5))
	}
	l.Close()
	lines := r.lines()
	full, more := 0, 0
	for _, line := range lines {
		if strings.HasPrefix(line, `"channel crashed"`) {
			full++
		} else if strings.HasPrefix(line, `"crashed again for the same cause"`) && strings.Contains(line, "more=10") {
			more++
		}
	}
	if full != 50 || more != 5 {
		t.Errorf("%d and %d lines:\n%s", full, more, strings.Join(lines, "\n"))
	}
	l.Add(app.Crash{Plugin: "p", Process: "late", Reason: errors.New("late")})
	if last := r.lines()[len(r.lines())-1]; !strings.HasPrefix(last, `"process crashed" plugin=p`) {
		t.Errorf("the last line is %s", last)
	}
}

// What a crash costs the process that it ends, without its text.
func BenchmarkAdd(b *testing.B) {
	l := crashLog(&reader{})
	defer l.Close()
	c := crash(1)
	b.ReportAllocs()
	for b.Loop() {
		l.Add(c)
	}
}
