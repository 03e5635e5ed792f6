package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/logs"
)

// reader is where lines go. It may stall, and fail.
type reader struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes []int
	room   int           // bytes until it fails; negative: without end
	err    error         // then
	stall  chan struct{} // it takes nothing while this is open; nil: it does not stall
}

func (r *reader) Write(p []byte) (int, error) {
	if r.stall != nil {
		<-r.stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if r.room >= 0 {
		n = min(n, r.room)
		r.room -= n
	}
	r.text.Write(p[:n])
	r.writes = append(r.writes, n)
	if n < len(p) {
		return n, r.err
	}
	return n, nil
}

func (r *reader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

func line(n, size int) []byte {
	text := fmt.Sprintf("line %d ", n)
	return []byte(text + strings.Repeat("x", size-len(text)-1) + "\n")
}

func TestLinesComeWholeAndInOrder(t *testing.T) {
	r := &reader{room: -1}
	s := logs.Open(r, logs.Options{})
	var want bytes.Buffer
	for i := range 1000 {
		text := line(i, 20+i%300)
		if i%100 == 0 {
			text = line(i, 10_000)
		}
		want.Write(text)
		if n, err := s.Write(text); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if !s.Close(time.Minute) {
		t.Fatal("not flushed")
	}
	if r.text.String() != want.String() {
		t.Error("other lines were written")
	}
	end := 0
	for _, n := range r.writes {
		end += n
		if want.Bytes()[end-1] != '\n' {
			t.Fatal("a line was cut")
		}
		if n > 4<<10 && n != 10_000 {
			t.Errorf("a piece of %d bytes", n)
		}
	}
	if s.Lost() != 0 {
		t.Errorf("%d lines lost", s.Lost())
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		options logs.Options
		want    string
	}{
		{logs.Options{}, `level=INFO msg=hello to=you`},
		{logs.Options{JSON: true}, `"level":"INFO","msg":"hello","to":"you"}`},
		{logs.Options{Level: slog.LevelError}, ""},
	} {
		r := &reader{room: -1}
		s := logs.Open(r, c.options)
		slog.New(s.Handler()).Info("hello", "to", "you")
		s.Close(time.Minute)
		if got := r.text.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: %s", c.options, got)
		}
	}
}

// A reader that takes nothing stops nobody. When it goes on it is told, in the right
// place, how many lines it misses.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: -1, stall: make(chan struct{})}
		s := logs.Open(r, logs.Options{Queue: 1000, JSON: true})
		s.Write(line(0, 100))
		synctest.Wait() // it is on its way
		for i := range 30 {
			s.Write(line(i+1, 100))
		}
		if s.Lost() != 20 {
			t.Errorf("%d lines lost", s.Lost())
		}
		close(r.stall)
		synctest.Wait()
		s.Write(line(99, 100))
		if !s.Close(time.Minute) {
			t.Error("not flushed")
		}
		got := r.lines()
		if len(got) != 13 || !strings.HasPrefix(got[10], "line 10 ") || !strings.HasPrefix(got[12], "line 99 ") {
			t.Fatalf("%q", got)
		}
		if !strings.Contains(got[11], `"level":"WARN","msg":"log lines lost","lines":20,"cause":"they came faster`) {
			t.Error(got[11])
		}
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: -1, stall: make(chan struct{})}
		s := logs.Open(r, logs.Options{})
		s.Write(line(0, 100))
		begin := time.Now()
		if s.Close(time.Second) {
			t.Error("it says that all is written")
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		s.Write(line(1, 100)) // dropped
		close(r.stall)
		synctest.Wait()
		if got := r.lines(); !strings.HasPrefix(got[0], "line 0 ") || strings.Contains(r.text.String(), "line 1 ") {
			t.Errorf("%q", got)
		}
	})
}

// A full disk costs the lines that do not fit, and no more. What comes when there is
// room again begins on a line of its own.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: 150, err: syscall.ENOSPC}
		s := logs.Open(r, logs.Options{})
		for i := range 5 {
			s.Write(line(i, 100))
			synctest.Wait()
		}
		r.mu.Lock()
		writes := len(r.writes)
		r.room = -1
		r.mu.Unlock()
		if writes > 10 {
			t.Errorf("%d attempts to write", writes)
		}
		s.Write(line(5, 100))
		if !s.Close(time.Minute) {
			t.Error("not flushed")
		}
		got := r.lines()
		if len(got) != 4 || len(got[1]) != 50 || !strings.HasPrefix(got[3], "line 5 ") {
			t.Fatalf("%q", got)
		}
		if !strings.Contains(got[2], "lines=4") || !strings.Contains(got[2], "no space left") {
			t.Error(got[2])
		}
		if s.Lost() != 4 {
			t.Errorf("%d lines lost", s.Lost())
		}
	})
}

func TestReaderGone(t *testing.T) {
	in, out := io.Pipe()
	in.CloseWithError(errors.New("broken pipe"))
	s := logs.Open(out, logs.Options{})
	for i := range 100 {
		s.Write(line(i, 100))
	}
	if s.Close(time.Minute) {
		t.Error("it says that all is written")
	}
	if s.Lost() != 100 {
		t.Errorf("%d lines lost", s.Lost())
	}
}

// Writers at the same time mix no lines, and none is counted twice.
func TestManyWriters(t *testing.T) {
	r := &reader{room: -1}
	s := logs.Open(r, logs.Options{Queue: 10_000})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				s.Write(line(i, 100))
			}
		})
	}
	all.Wait()
	if !s.Close(time.Minute) {
		t.Error("not flushed")
	}
	written := uint64(0)
	for _, text := range r.lines() {
		switch {
		case strings.HasPrefix(text, "line "):
			written++
		case !strings.Contains(text, "log lines lost"):
			t.Fatal(text)
		}
	}
	if written+s.Lost() != 8000 {
		t.Errorf("%d written, %d lost", written, s.Lost())
	}
}

func TestNoAllocations(t *testing.T) {
	s := logs.Open(io.Discard, logs.Options{})
	defer s.Close(time.Minute)
	text := line(0, 200)
	for range 1000 {
		s.Write(text)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Write(text) }); n > 1 {
		t.Errorf("%v allocations per line", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	s := logs.Open(io.Discard, logs.Options{})
	defer s.Close(time.Minute)
	log := slog.New(s.Handler())
	b.ReportAllocs()
	for b.Loop() {
		log.Info("guest", "plugin", "chat", "text", "hello")
	}
}
