package rtd

import (
	"errors"
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

// EventHandler is the code of one handler. It can implement [InfoHandler] and
// other handlers as well; its [CallHandler] gets what [EventManager.Call] asks. As for
// a [Server], an error or panic is a crash. With [Stop] it removes itself.
type EventHandler interface {
	Server

	// HandleEvent takes an event, valid until it returns.
	HandleEvent(event []byte) error
}

// HandlerSpec describes a handler of a manager.
type HandlerSpec struct {
	ID      string // unique within the manager
	Module  string // as registered with ServeEvents; default: ID
	Args    []byte // for its Init
	Restart bool   // start it again after a crash; more than 3 crashes in 5 s, and it is removed
}

// ServeEvents registers a module whose processes handle events. Call it from init.
func ServeEvents(name string, create func() EventHandler) {
	module(name, func() body { return &eventHandler{create()} })
}

// NewEventManager registers a module whose processes are event managers, which begin with
// these handlers. It returns the one that is registered under the same name. Call
// it from init, or for a package variable.
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

// Call asks one handler's [CallHandler]. Timeout and errors are those of the function
// [Call]; ErrNoProcess says that there is no such handler.
func (m EventManager) Call(id string, question []byte, timeout time.Duration) ([]byte, error) {
	return m.ask(askCall, id, question, timeout)
}

// Add starts a handler and waits for its Init. It fails with ErrTaken if there is
// one of the same ID, and with an [*EndedError] if Init fails. What is added so is
// not there any more when the manager has been restarted.
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

// What a manager is asked, and a handler by its manager: a field with one of these, a
// field with the handler's ID, and the rest.
const (
	askSync   = "sync"
	askCall   = "call"
	askAdd    = "add"
	askRemove = "remove"
	askList   = "list"
)

func appendAsk(verb, id string, rest []byte) []byte {
	question := make([]byte, 0, 8+len(verb)+len(id)+len(rest))
	return append(appendField(appendField(question, verb), id), rest...)
}

func cutAsk(question []byte) (verb, id string, rest []byte, ok bool) {
	v, rest, ok := cutField(question)
	i, rest, ok2 := cutField(rest)
	return string(v), string(i), rest, ok && ok2
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

// respond answers what was asked: with the code of an error, or none, and the rest.
func respond(to From, answer []byte, err error) {
	code := ""
	var c Code
	var ended *EndedError
	switch {
	case err == nil:
	case errors.As(err, &ended):
		code, answer = strconv.Itoa(int(codeEnded)), []byte(ended.Reason)
	case errors.As(err, &c):
		code = strconv.Itoa(int(c))
	default:
		code, answer = "error", []byte(err.Error())
	}
	to.Reply(append(appendField(nil, code), answer...))
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

// eventHandler is the process of one handler.
type eventHandler struct{ EventHandler }

func (h *eventHandler) code() any { return h.EventHandler }

func (h *eventHandler) handle(e record) error {
	switch e.kind {
	case eventInit:
		return begin(h.EventHandler, e)
	case eventCast:
		return h.HandleEvent(e.payload)
	case eventCall:
		verb, _, rest, ok := cutAsk(e.payload)
		if !ok || verb != askSync && verb != askCall {
			return errText("a call past the event manager; use its method Call")
		}
		if verb == askCall {
			e.payload = rest
			break
		}
		if err := h.HandleEvent(rest); err != nil {
			return err
		}
		From{e.name}.Reply(nil)
		return nil
	}
	return handle(h.EventHandler, e)
}
