package rtd

import (
	"errors"
	"strconv"
)

// EventHandler is the code of one handler. It can implement [InfoHandler] and
// other handlers as well; its [CallHandler] gets the questions of [EventManager.Call]. As for
// a [Server], an error or panic is a crash. With [Stop] it removes itself.
//
// It moves to the next version of the plugin with its place, pid, ID and arguments: as a [Migrator]
// with its state, else without, by Init. If the next version does not have its module it is removed.
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
	Restart bool   // start it again after a crash; after more than 3 in 5 s it is removed
}

// ServeEvents registers a module whose processes handle events. Call it from init.
func ServeEvents(name string, create func() EventHandler) {
	module(name, func() body { return &eventHandler{create()} })
}

// A question to a manager, and of a manager to a handler, is a field with one of these, a
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

// respond answers such a question with the code of an error, or none, and the rest.
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
	if e.kind == eventExport && migratorOf(h.EventHandler) == nil {
		effect(record{kind: effectState, flags: flagReplay}) // nothing is lost: Init again
		return nil
	}
	return handle(h.EventHandler, e)
}
