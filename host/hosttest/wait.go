package hosttest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Patience bounds every wait. It is generous, for slow machines and the race
// detector; tests that pass do not wait that long.
const Patience = 2 * time.Minute

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	pause := time.Millisecond
	for end := time.Now().Add(Patience); !holds(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, Patience)
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// Within returns when f does, or fails the test if f fails or takes too long.
func Within(t testing.TB, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(Patience):
		t.Fatalf("%s takes longer than %v\n%s", what, Patience, stacks())
	}
}

// FirstError is the error of the first of many goroutines that had one.
type FirstError struct {
	mu  sync.Mutex
	err error
}

// Set keeps an error, if it is one and the first.
func (f *FirstError) Set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = cmp.Or(f.err, err)
}

// Get returns the error, if there was one.
func (f *FirstError) Get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// goroutines are those that a test's goroutine starts, and that they start, from [mark] on.
type goroutines struct{ id string }

const label = "rtd-test"

var marks atomic.Int64

// mark begins to label goroutines. Later ones of the same test are the next mark's.
func mark() goroutines {
	g := goroutines{strconv.FormatInt(marks.Add(1), 10)}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, g.id)))
	return g
}

// wantNone waits until all have ended that run code of rtd or of the connections that it serves.
func (g goroutines) wantNone(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		left := g.left()
		if left == "" {
			return
		}
		if time.Now().After(end) {
			t.Errorf("goroutines are left:\n%s", left)
			return
		}
	}
}

// left describes those that run, but for the tests' own.
func (g goroutines) left() string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	var left strings.Builder
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		ours := strings.Contains(record, "rtd/") || strings.Contains(record, "net/http.(*conn)") || strings.Contains(record, "coder/websocket")
		if ours && strings.Contains(record, fmt.Sprintf("%q:%q", label, g.id)) && !strings.Contains(record, "testing.tRunner") {
			left.WriteString(record + "\n\n")
		}
	}
	return left.String()
}

func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
