package bus

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// health is whether a bus or a mesh works, and since when.
type health struct {
	what string // "bus" or "mesh", for people, as is at
	at   string
	log  *slog.Logger

	state atomic.Pointer[state]

	changing sync.Mutex
	changed  chan struct{} // closed at the next change of state
}

// state is whether it works.
type state struct {
	since time.Time
	cause error           // nil: it does
	holds context.Context // ended with the state
	leave context.CancelFunc
}

func newHealth(what, at string, log *slog.Logger) *health {
	h := &health{what: what, at: at, log: log, changed: make(chan struct{})}
	h.state.Store(newState(ErrStarting))
	return h
}

func newState(cause error) *state {
	holds, leave := context.WithCancel(context.Background())
	return &state{since: time.Now(), cause: cause, holds: holds, leave: leave}
}

// up waits until it works. If ctx ends before, the error says why it does not.
func (h *health) up(ctx context.Context) error {
	for {
		h.changing.Lock()
		changed := h.changed
		h.changing.Unlock()
		s := h.state.Load()
		if s.cause == nil || errors.Is(s.cause, ErrClosed) {
			return s.cause
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return because(ErrDown, s.cause)
		}
	}
}

// err returns why it does not work, or nil.
func (h *health) err() error {
	if s := h.state.Load(); s.cause != nil {
		return because(ErrDown, s.cause)
	}
	return nil
}

// enter changes the state. What is under way in the one before ends.
func (h *health) enter(cause error) {
	h.changing.Lock()
	defer h.changing.Unlock()
	was := h.state.Load()
	if errors.Is(was.cause, ErrClosed) || cause == nil && was.cause == nil || cause != nil && was.cause != nil && alike(cause, was.cause) {
		return
	}
	now := newState(cause)
	if cause != nil && was.cause != nil {
		now.since = was.since // it does not work for another reason, but as long
	}
	h.state.Store(now)
	was.leave()
	close(h.changed)
	h.changed = make(chan struct{})
	switch {
	case errors.Is(cause, ErrClosed):
	case cause == nil:
		h.log.Info(h.what+" works", "at", h.at, "after", time.Since(was.since).Round(time.Millisecond))
	default:
		h.log.Warn(h.what+" does not work; it is tried again", "at", h.at, "cause", cause)
	}
}

// alike reports whether two causes are the same but for numbers, such as those in names of temporary files: then they are told once.
func alike(a, b error) bool { return digitless(a.Error()) == digitless(b.Error()) }

// digitless is a text without its digits.
func digitless(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// begin is the start of an operation: it fails while the bus is down, and gives it an end.
func (h *health) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	s := h.state.Load()
	if errors.Is(s.cause, ErrClosed) {
		return nil, nil, ErrClosed
	}
	if s.cause != nil {
		return nil, nil, because(ErrDown, s.cause)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var cancel context.CancelFunc
	if _, has := ctx.Deadline(); has {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, patience)
	}
	stop := context.AfterFunc(s.holds, cancel)
	return ctx, func() { stop(); cancel() }, nil
}
