package rtd

import (
	"slices"
	"strconv"
	"time"
)

// EventManager is OTP's event manager: a process that passes events to its handlers, of
// which each is a process of its own, linked with the manager. A handler that
// crashes is removed, or restarted if its HandlerSpec says so; the manager and the other
// handlers do not notice.
//
//	var moderation = rtd.NewEventManager("moderation",
//		rtd.HandlerSpec{ID: "strikes", Restart: true},
//		rtd.HandlerSpec{ID: "audit"})
//
//	func init() {
//		rtd.ServeEvents("strikes", func() rtd.EventHandler { return new(Strikes) })
//		…
//		rtd.Tree(rtd.Worker{ID: "moderation"})
//	}
//
//	moderation.Notify(event) // in any process
//
// The value is the manager's name or pid.
type EventManager PID

// NewEventManager registers a module whose processes are event managers, which begin with
// these handlers. It returns the one that is registered under the same name. Call
// it from init, or for a package variable. The methods of the value ask that one.
func NewEventManager(name string, handlers ...HandlerSpec) EventManager {
	module(name, func() body { return &server{&manager{declared: handlers}} })
	return EventManager(name)
}

// Notify gives all handlers an event. It does not wait.
func (m EventManager) Notify(event []byte) error { return Cast(PID(m), event) }

// SyncNotify gives all handlers an event and waits until each has handled it, or
// crashed. Timeout and errors are those of [Call].
func (m EventManager) SyncNotify(event []byte, timeout time.Duration) error {
	_, err := m.ask(askSync, "", event, timeout)
	return err
}

// Call asks one handler's [CallHandler] and waits for the answer. Timeout and errors are
// those of the function [Call]; ErrNoProcess says that there is no such handler.
func (m EventManager) Call(id string, question []byte, timeout time.Duration) ([]byte, error) {
	return m.ask(askCall, id, question, timeout)
}

// Add starts a handler and waits for its Init. It fails with ErrTaken if there is
// one of the same ID, and with an [*EndedError] if Init fails. A manager that is restarted
// begins without it.
func (m EventManager) Add(h HandlerSpec) error {
	rest := appendField(nil, h.Module)
	rest = appendField(rest, strconv.FormatBool(h.Restart))
	_, err := m.ask(askAdd, h.ID, append(rest, h.Args...), 0)
	return err
}

// Remove ends a handler, for the reason [Shutdown]. It does not wait for its
// [Terminator].
func (m EventManager) Remove(id string) error {
	_, err := m.ask(askRemove, id, nil, 0)
	return err
}

// Handlers lists the IDs of the handlers, in the order in which they were added.
func (m EventManager) Handlers() (ids []string, err error) {
	answer, err := m.ask(askList, "", nil, 0)
	for id := range fields(answer) {
		ids = append(ids, string(id))
	}
	return ids, err
}

func (m EventManager) ask(verb, id string, rest []byte, timeout time.Duration) ([]byte, error) {
	answer, err := Call(PID(m), appendAsk(verb, id, rest), timeout)
	if err != nil {
		return nil, err
	}
	code, answer, _ := cutField(answer)
	if err := parseError(string(code), string(answer)); err != nil {
		return nil, &OpError{verb, id, err}
	}
	return answer, nil
}

func parseError(code, text string) error {
	n, err := strconv.Atoi(code)
	switch {
	case code == "":
		return nil
	case err != nil:
		return errText(text)
	case Code(n) == codeEnded:
		return &EndedError{text}
	}
	return Code(n)
}

// manager is the process of an event manager. It never waits for a handler, whose answers
// come back as events.
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

func (h *managed) module() string {
	if h.Module == "" {
		return h.ID
	}
	return h.Module
}

func (h *managed) start(flags uint16) (Ref, error) {
	pid, ref, err := spawn(h.module(), h.Args, SpawnOptions{Link: true}, flags)
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

// HandleCall answers the methods of EventManager.
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

// HandleReply takes the answer of a handler, or the reason why there is none.
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
	if reason != Normal && reason != Shutdown { // a crash, or it has no module any more
		m.tellRemoved(h, reason)
	}
	return nil
}

func (m *manager) tellRemoved(h *managed, reason string) {
	Log("warn", "event handler "+h.ID+" is removed: "+reason)
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

const managerSchema = "rtd.EventManager 1"

// Export writes down the handlers, and who waits for them: a list of fields each. The
// handlers themselves are processes that move on their own.
func (m *manager) Export() (schema string, state []byte, err error) {
	var handlers, waits []byte
	for _, h := range m.handlers {
		for _, field := range []string{h.ID, h.Module, string(h.Args), strconv.FormatBool(h.Restart), string(h.pid), strconv.FormatBool(h.added)} {
			handlers = appendField(handlers, field)
		}
	}
	refs := map[*wait][]byte{}
	for ref, w := range m.waits {
		refs[w] = appendField(refs[w], ref)
	}
	for w, refs := range refs {
		of := ""
		if w.of != nil {
			of = w.of.ID
		}
		for _, field := range []string{w.from.token, w.verb, of, string(refs)} {
			waits = appendField(waits, field)
		}
	}
	return managerSchema, appendField(appendField(nil, handlers), waits), nil
}

// Import goes on with the same handlers, whichever the new version declares. Those whose module
// it does not have are removed.
func (m *manager) Import(schema string, state []byte) error {
	handlers, rest, ok := cutField(state)
	waits, _, ok2 := cutField(rest)
	if !ok || !ok2 || schema != managerSchema {
		return errText("the event manager is of another version of the SDK: " + schema)
	}
	for h := range slices.Chunk(texts(handlers), 6) {
		if len(h) == 6 {
			spec := HandlerSpec{ID: h[0], Module: h[1], Args: []byte(h[2]), Restart: h[3] == "true"}
			m.handlers = append(m.handlers, &managed{HandlerSpec: spec, pid: PID(h[4]), added: h[5] == "true"})
		}
	}
	m.waits = map[Ref]*wait{}
	for w := range slices.Chunk(texts(waits), 4) {
		if len(w) < 4 {
			break
		}
		waiting := &wait{from: From{w[0]}, verb: w[1], of: m.find(w[2])}
		for ref := range fields([]byte(w[3])) {
			m.waits[Ref(ref)] = waiting
			waiting.left++
		}
	}
	for _, h := range slices.Clone(m.handlers) {
		if plugin.modules[h.module()] == nil {
			m.drop(h)
			m.tellRemoved(h, noModule(h.module()))
			_ = Exit(h.pid, Shutdown) // or it has ended
		}
	}
	return nil
}
