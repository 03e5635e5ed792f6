package rtd

import (
	"slices"
	"strconv"
	"time"
)

// manager is the process of an event manager. It never waits for a handler: what it
// asks one comes back as an event.
type manager struct {
	declared []HandlerSpec
	handlers []*managed
	waits    map[Ref]*wait
}

// managed is a handler as its manager sees it.
type managed struct {
	HandlerSpec
	pid     PID
	added   bool        // its first Init went well
	crashes []time.Time // the last ones that were followed by a restart
}

// wait is somebody who waits for handlers.
type wait struct {
	from From
	verb string
	left int      // how many handlers
	of   *managed // that is added
}

// Init starts the handlers that the program declares.
func (m *manager) Init([]byte) error {
	TrapExit(true) // to outlive handlers, which do not outlive the manager
	m.waits = map[Ref]*wait{}
	for _, spec := range m.declared {
		if m.find(spec.ID) != nil {
			return errText("two handlers " + spec.ID + "; give one of them another ID")
		}
		h := &managed{HandlerSpec: spec, added: true}
		if _, err := h.start(0); err != nil {
			return err
		}
		m.handlers = append(m.handlers, h)
	}
	return nil
}

func (h *managed) start(flags uint16) (Ref, error) {
	module := h.Module
	if module == "" {
		module = h.ID
	}
	pid, ref, err := spawn(module, h.Args, SpawnOptions{Link: true}, flags)
	h.pid = pid
	return ref, err
}

// HandleCast passes an event on.
func (m *manager) HandleCast(event []byte) error {
	for _, h := range m.handlers {
		if err := Cast(h.pid, event); err != nil {
			Log("warn", "event handler "+h.ID+" misses an event: "+err.Error())
		}
	}
	return nil
}

// HandleCall does what the methods of EventManager ask for.
func (m *manager) HandleCall(from From, question []byte) error {
	verb, id, rest, _ := cutAsk(question)
	h := m.find(id)
	switch {
	case verb == askSync:
		m.ask(&wait{from: from, verb: verb}, question, m.handlers...)
	case verb == askAdd:
		m.add(from, id, rest)
	case verb == askList:
		var ids []byte
		for _, h := range m.handlers {
			ids = appendField(ids, h.ID)
		}
		respond(from, ids, nil)
	case h == nil && (verb == askCall || verb == askRemove):
		respond(from, nil, ErrNoProcess)
	case verb == askCall:
		m.ask(&wait{from: from, verb: verb}, question, h)
	case verb == askRemove:
		m.drop(h)
		respond(from, nil, Exit(h.pid, Shutdown))
	default:
		return errText("a call past the methods of rtd.EventManager")
	}
	return nil
}

// ask passes a question on to handlers.
func (m *manager) ask(w *wait, question []byte, handlers ...*managed) {
	var err error
	for _, h := range handlers {
		var ref Ref
		if ref, err = RequestNotify(h.pid, question); err == nil {
			m.waits[ref] = w
			w.left++
		}
	}
	switch {
	case w.left > 0:
	case w.verb == askSync:
		respond(w.from, nil, nil)
	default:
		respond(w.from, nil, err)
	}
}

func (m *manager) add(from From, id string, rest []byte) {
	if m.find(id) != nil {
		respond(from, nil, ErrTaken)
		return
	}
	module, rest, _ := cutField(rest)
	restart, args, _ := cutField(rest)
	h := &managed{HandlerSpec: HandlerSpec{ID: id, Module: string(module), Args: clone(args)}}
	h.Restart, _ = strconv.ParseBool(string(restart))
	ref, err := h.start(flagRequest | flagNotify)
	if err != nil {
		respond(from, nil, err)
		return
	}
	m.handlers = append(m.handlers, h)
	m.waits[ref] = &wait{from: from, verb: askAdd, left: 1, of: h}
}

// HandleReply takes what a handler answers, or that it has crashed instead.
func (m *manager) HandleReply(ref Ref, answer []byte, err error) error {
	w := m.waits[ref]
	if w == nil {
		return nil
	}
	delete(m.waits, ref)
	w.left--
	switch {
	case w.verb == askSync:
		if w.left == 0 {
			respond(w.from, nil, nil)
		}
		return nil
	case w.verb == askAdd && err == nil:
		w.of.added = true
	case w.verb == askAdd:
		m.drop(w.of)
	}
	respond(w.from, answer, err)
	return nil
}

// HandleExit restarts a handler that has ended, or removes it.
func (m *manager) HandleExit(p PID, reason string) error {
	i := slices.IndexFunc(m.handlers, func(h *managed) bool { return h.pid == p })
	if i < 0 {
		return nil // it was removed
	}
	h := m.handlers[i]
	if IsCrash(reason) && h.mayRestart(time.Now()) {
		_, err := h.start(0)
		if err == nil {
			return nil
		}
		reason = err.Error()
	}
	m.drop(h)
	if IsCrash(reason) {
		Log("warn", "event handler "+h.ID+" is removed: "+reason)
	}
	return nil
}

func (h *managed) mayRestart(now time.Time) bool {
	const limit, within = 3, 5 * time.Second
	h.crashes = slices.DeleteFunc(h.crashes, func(at time.Time) bool { return now.Sub(at) > within })
	if !h.Restart || !h.added || len(h.crashes) == limit {
		return false
	}
	h.crashes = append(h.crashes, now)
	return true
}

func (m *manager) find(id string) *managed {
	i := slices.IndexFunc(m.handlers, func(h *managed) bool { return h.ID == id })
	if i < 0 {
		return nil
	}
	return m.handlers[i]
}

func (m *manager) drop(h *managed) {
	m.handlers = slices.DeleteFunc(m.handlers, func(other *managed) bool { return other == h })
}
