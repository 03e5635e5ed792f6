package process

import (
	"errors"
	"sync"

	"rtd/channels"
)

// maxRefusals bounds the durable processes of a plugin of which it is known why they do not go on. Beyond that all are forgotten; they are
// known again when they are tried again.
const maxRefusals = 1000

// refusals are why durable processes of a plugin do not go on, by their names.
type refusals struct {
	mu     sync.Mutex
	causes map[string]string
}

// note notes how it ended that a process was to go on: it does, or cannot in this version, or neither is known.
func (r *refusals) note(name string, err error) {
	if err != nil && !errors.Is(err, channels.ErrUnmoved) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.causes, name)
		return
	}
	if r.causes == nil || len(r.causes) >= maxRefusals {
		r.causes = map[string]string{}
	}
	r.causes[name] = shortCause(err)
}

// Refused returns why a durable process could not go on when it was tried last; "": it goes on, or was not tried.
func (h *Home) Refused(name string) (cause string) {
	h.refusals.mu.Lock()
	defer h.refusals.mu.Unlock()
	return h.refusals.causes[name]
}

// Readmit forgets why a durable process did not go on: what is stored of it is another.
func (h *Home) Readmit(name string) { h.refusals.note(name, nil) }
