package logs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	queueBytes = 1 << 20  // that wait, by default
	pieceBytes = 4 << 10  // written at once: what a pipe takes as a whole (PIPE_BUF of Linux)
	keptBytes  = 64 << 10 // of a buffer that stays for the next lines
)

// Options configure a [Sink].
type Options struct {
	JSON  bool         // an object on each line, in place of slog's text
	Level slog.Leveler // of what is taken; default: info
	Queue int          // bytes of lines that wait; default 1 MiB. As many again may be on their way
}

// Sink takes lines to a writer, and nobody waits for it. Its methods may be called
// from any goroutine. Close it.
type Sink struct {
	out     io.Writer
	queue   int
	handler slog.Handler

	mu      sync.Mutex
	news    sync.Cond // something is to be written, or the sink is closed
	waiting []byte    // lines
	failing bool      // the last write did; the next one waits for a line
	untold  uint64    // lines that are lost, since the last notice of it
	cause   error     // why; nil if there was no room
	lost    uint64    // lines that are lost
	closed  bool
	ended   chan struct{} // closed when the goroutine has ended

	// Of the goroutine.
	spare   []byte       // for lines that will wait
	cut     bool         // the last line was written in part
	notice  bytes.Buffer // what notices writes
	notices slog.Handler // in the form of the other lines
}

// Open returns a sink that writes to out, and begins its goroutine. Only the sink may use
// out from now on.
func Open(out io.Writer, o Options) *Sink {
	form := func(to io.Writer, level slog.Leveler) slog.Handler {
		options := &slog.HandlerOptions{Level: level}
		if o.JSON {
			return slog.NewJSONHandler(to, options)
		}
		return slog.NewTextHandler(to, options)
	}
	s := &Sink{out: out, queue: cmp.Or(o.Queue, queueBytes), ended: make(chan struct{})}
	s.news.L = &s.mu
	s.handler = form(s, o.Level)
	s.notices = form(&s.notice, nil)
	go s.run()
	return s
}

// Handler returns the handler that writes log lines to the sink.
func (s *Sink) Handler() slog.Handler { return s.handler }

// Lost returns how many lines were dropped or could not be written.
func (s *Sink) Lost() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Write queues a copy of text, which is one or more whole lines. It never waits and
// never fails.
func (s *Sink) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.waiting)+len(text) > s.queue {
		s.lose(text, nil)
	} else {
		s.waiting = append(s.waiting, text...)
	}
	s.news.Signal()
	return len(text), nil
}

// lose counts lines that nobody will read. Callers hold mu.
func (s *Sink) lose(text []byte, cause error) {
	n := uint64(max(1, bytes.Count(text, []byte("\n"))))
	s.untold += n
	s.lost += n
	s.cause = cause
}

// Close waits until the queued lines are written, for at most the given time, and
// reports whether all of them were. Later lines are dropped. A write that does not
// come back is left to the end of the process.
func (s *Sink) Close(within time.Duration) (flushed bool) {
	s.mu.Lock()
	s.closed = true
	s.news.Signal()
	s.mu.Unlock()
	over := time.NewTimer(within)
	defer over.Stop()
	select {
	case <-s.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.untold == 0
	case <-over.C:
		return false
	}
}

// run writes the queued lines, until the sink is closed.
func (s *Sink) run() {
	defer close(s.ended)
	for {
		text, untold, cause, ok := s.next()
		if !ok {
			return
		}
		if rest, untold, err := s.deliver(text, untold, cause); err != nil {
			s.restore(rest, untold, err)
			continue
		}
		if cap(text) <= keptBytes {
			s.spare = text[:0]
		}
	}
}

// next waits for lines, or for lost lines to report. ok is false when there will be no
// more.
func (s *Sink) next() (text []byte, untold uint64, cause error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && (s.untold == 0 || s.failing) {
		if s.closed {
			return nil, 0, nil, false
		}
		s.news.Wait()
	}
	text, untold, cause = s.waiting, s.untold, s.cause
	s.waiting, s.spare = s.spare, nil
	s.untold, s.cause, s.failing = 0, nil, false
	return text, untold, cause, true
}

// deliver writes lines, and reports lost ones in their place: lines that could not be
// written came before, lines without room after. It returns the lines and reports that it
// could not write.
func (s *Sink) deliver(text []byte, untold uint64, cause error) ([]byte, uint64, error) {
	before, after := untold, uint64(0)
	if cause == nil {
		before, after = 0, untold
	}
	if err := s.tell(before, cause); err != nil {
		return text, untold, err
	}
	if rest, err := s.writeAll(text); err != nil {
		return rest, after, err
	}
	return nil, after, s.tell(after, cause)
}

// restore counts lines that could not be written, and those that could not be reported.
func (s *Sink) restore(text []byte, untold uint64, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.untold += untold
	if len(text) > 0 {
		s.lose(text, cause)
	}
	s.cause, s.failing = cause, true
}

// tell writes a line about lines that are lost, if there are any.
func (s *Sink) tell(lines uint64, cause error) error {
	if lines == 0 {
		return nil
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines lost", 0)
	r.Add("lines", lines)
	if cause == nil {
		cause = errSlow
	}
	r.Add("cause", cause)
	s.notice.Reset()
	_ = s.notices.Handle(context.Background(), r) // into memory
	return s.write(s.notice.Bytes())
}

var errSlow = errors.New("they came faster than the reader of the log took them")

// writeAll writes lines in pieces, and returns those that could not be written.
func (s *Sink) writeAll(text []byte) (rest []byte, err error) {
	for len(text) > 0 {
		n := min(len(text), pieceBytes)
		if end := bytes.LastIndexByte(text[:n], '\n'); end >= 0 {
			n = end + 1
		} else if end := bytes.IndexByte(text, '\n'); end >= 0 { // a line that is larger than a piece
			n = end + 1
		} else {
			n = len(text)
		}
		if err := s.write(text[:n]); err != nil {
			return text, err
		}
		text = text[n:]
	}
	return nil, nil
}

// write writes a piece, on a line of its own.
func (s *Sink) write(piece []byte) error {
	if s.cut {
		if _, err := s.out.Write([]byte("\n")); err != nil {
			return err
		}
		s.cut = false
	}
	n, err := s.out.Write(piece)
	s.cut = n > 0 && n < len(piece) && piece[n-1] != '\n'
	return err
}
