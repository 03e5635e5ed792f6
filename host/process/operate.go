package process

import (
	"encoding/json"
	"strconv"
	"time"

	"rtd/host/ask"
	"rtd/sandbox/abi"
)

// operations are the operations of guests, by kind.
var operations = map[abi.Kind]func(*body, *abi.Effect) (answer []byte, err error){
	abi.OpSelf:       (*body).self,
	abi.OpSpawn:      (*body).spawn,
	abi.OpCall:       (*body).call,
	abi.OpRequest:    (*body).request,
	abi.OpAwait:      (*body).await,
	abi.OpCast:       func(b *body, o *abi.Effect) ([]byte, error) { return nil, b.send(abi.EventCast, o) },
	abi.OpSend:       func(b *body, o *abi.Effect) ([]byte, error) { return nil, b.send(abi.EventInfo, o) },
	abi.OpSendAfter:  (*body).sendAfter,
	abi.OpCancel:     (*body).cancel,
	abi.OpSleep:      (*body).sleep,
	abi.OpMonitor:    (*body).monitor,
	abi.OpDemonitor:  (*body).demonitor,
	abi.OpLink:       (*body).link,
	abi.OpUnlink:     (*body).unlink,
	abi.OpTrapExit:   (*body).trapExit,
	abi.OpRegister:   (*body).register,
	abi.OpUnregister: (*body).unregister,
	abi.OpWhereis:    (*body).whereis,
	abi.OpExit:       (*body).exit,
	abi.OpInfo:       (*body).info,
	abi.OpChildren:   (*body).children,
	abi.OpStopChild:  (*body).stopChild,

	abi.OpTrack:         (*body).track,
	abi.OpUpdate:        (*body).update,
	abi.OpUntrack:       (*body).untrack,
	abi.OpPresences:     topicOperation((*body).presences, inName),
	abi.OpPresenceCount: topicOperation((*body).presenceCount, inName),

	abi.OpEventID: (*body).eventID,
	abi.OpHistory: topicOperation((*body).history, inName),
}

// Operate implements [sandbox.Process].
func (b *body) Operate(o *abi.Effect) (answer []byte, err error) {
	operation := operations[o.Kind]
	if operation == nil {
		return nil, abi.CodeUnknown
	}
	if len(o.Payload) > ask.MaxMessage {
		return nil, abi.CodeTooMuch
	}
	return operation(b, o)
}

// self answers the process's pid.
func (b *body) self(*abi.Effect) ([]byte, error) {
	b.show()
	return []byte(pidOf(b.process)), nil
}

// Block implements [sandbox.Process].
func (b *body) Block(f func()) { b.process.Block(f) }

// Yield implements [sandbox.Process].
func (b *body) Yield() (alive bool) { return b.process.Yield() }

// Killed implements [sandbox.Process].
func (b *body) Killed() <-chan struct{} { return b.process.Done() }

// eventID is the id of the event at hand. Most events never need one.
func (b *body) eventID(*abi.Effect) ([]byte, error) {
	if b.memory != nil && b.memory.source.id != "" {
		return []byte(b.memory.source.id), nil // it may be tried again
	}
	if b.event == 0 {
		b.event = b.process.Runtime().NewRef()
	}
	return b.answerOf(b.event), nil
}

const (
	// callTimeout is how long a call waits by default, as in OTP.
	callTimeout = 5 * time.Second
	// maxTime bounds timeouts and timers, so that no sum overflows.
	maxTime = 365 * 24 * time.Hour
)

// timeIn is the time in the detail of an operation.
func timeIn(o *abi.Effect, unsaid time.Duration) (time.Duration, error) {
	if o.Detail == "" {
		return unsaid, nil
	}
	ms, err := strconv.ParseUint(o.Detail, 10, 63)
	if err != nil {
		return 0, abi.CodeMalformed
	}
	return time.Duration(min(ms, uint64(maxTime/time.Millisecond))) * time.Millisecond, nil
}

// info describes a process to a guest, as JSON.
func (b *body) info(o *abi.Effect) ([]byte, error) {
	p := b.process
	if o.Name != "" {
		found, err := b.find(o.Name)
		if err != nil {
			return nil, err
		}
		if p = found.here(); p == nil {
			return nil, abi.CodeDenied
		}
	}
	i := p.Info()
	type view struct {
		PID        string   `json:"pid"`
		Parent     string   `json:"parent,omitempty"`
		Names      []string `json:"names"`
		State      string   `json:"state"`
		Mailbox    int      `json:"mailbox"`
		Links      int      `json:"links"`
		Monitors   int      `json:"monitors"`
		TrapExit   bool     `json:"trap_exit"`
		Reductions uint64   `json:"reductions"`
		Memory     int64    `json:"memory"`
		Restarts   int      `json:"restarts"`
	}
	v := view{
		PID: TextOf(p.Runtime(), i.PID), Names: append([]string{}, i.Names...), State: i.State.String(), Mailbox: i.Mailbox,
		Links: i.Links, Monitors: i.Monitors, TrapExit: i.TrapExit,
		Reductions: i.Reductions, Memory: i.Memory, Restarts: i.Restarts,
	}
	if i.Parent != 0 {
		v.Parent = TextOf(p.Runtime(), i.Parent)
	}
	return json.Marshal(v)
}
