package rtd

import (
	"strconv"
	"strings"
)

// OpError says what the host did not do, and why: a [Code] or an [*EndedError],
// which errors.Is and errors.As find in it.
type OpError struct {
	Op   string // "call", "spawn" …
	Name string // of whom or what: a process, a module, a name
	Err  error
}

func (e *OpError) Error() string {
	if e.Name == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Name + ": " + e.Err.Error()
}

func (e *OpError) Unwrap() error { return e.Err }

// EndedError says that a process ended before it answered, and for what reason.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return "it ended before it answered: " + e.Reason }

// Code is the host's reason for not doing something.
type Code int32

const (
	ErrUnknown   Code = -1  // the server is too old to know it
	ErrMalformed Code = -2  // a name, time or pid that is none
	ErrTooMuch   Code = -3  // too many effects in one event, or a message above 4 MiB
	ErrNotNow    Code = -4  // not during this event
	ErrNoProcess Code = -5  // there is no such process, name, request, timer or monitor
	ErrTimeout   Code = -6  // no answer came in time
	ErrBusy      Code = -7  // too many processes of the plugin wait already; try later
	codeEnded    Code = -8  // an EndedError
	ErrSelf      Code = -9  // a process cannot wait for its own answer
	ErrFull      Code = -10 // its mailbox is full
	ErrLimit     Code = -11 // the plugin has as many processes, timers … as it may
	ErrTaken     Code = -12 // another process has the name
	ErrDenied    Code = -13 // a process of a plugin that this one does not depend on, or a topic not granted to it
	ErrDeadlock  Code = -14 // it waits for this process, itself or by way of others
	ErrTooLarge  Code = -15 // it has no room for the message
)

var codeTexts = [...]string{
	-ErrUnknown:   "this server does not know it; it needs a newer rtd",
	-ErrMalformed: "malformed",
	-ErrTooMuch:   "too many effects, or too many bytes, in one event",
	-ErrNotNow:    "not allowed during this event, or done already",
	-ErrNoProcess: "no such process",
	-ErrTimeout:   "no answer in time",
	-ErrBusy:      "too many processes of the plugin wait already",
	-ErrSelf:      "a process cannot wait for its own answer",
	-ErrFull:      "its mailbox is full",
	-ErrLimit:     "the plugin has as many processes, timers or names as it may",
	-ErrTaken:     "the name is taken",
	-ErrDenied:    "not a plugin that this one depends on, or a topic that is not granted to it; see depends and grants in the server's config",
	-ErrDeadlock:  "it waits for this process",
	-ErrTooLarge:  "it has no room for the message",
}

func (c Code) Error() string {
	if c < 0 && -int(c) < len(codeTexts) && codeTexts[-c] != "" {
		return codeTexts[-c]
	}
	return "code " + strconv.Itoa(int(c))
}

// Reasons for which a process ends, as [Exit], [Stop] and the handlers of ends have
// them. Any other reason is a crash; see [IsCrash].
const (
	Normal   = "normal"   // it had no more to do
	Shutdown = "shutdown" // it was asked to end; "shutdown: " and why is one, too
	Killed   = "killed"   // it was not asked
)

// IsCrash reports whether a process that ended for this reason crashed.
func IsCrash(reason string) bool {
	return reason != Normal && reason != Shutdown && !strings.HasPrefix(reason, Shutdown+": ")
}

// errText is an error that is nothing but its text.
type errText string

func (e errText) Error() string { return string(e) }

var kindNames = map[kind]string{
	effectReply: "reply", effectPush: "push", effectBroadcast: "broadcast", effectBroadcastFrom: "broadcast_from",
	effectHandles: "handles", effectAnswer: "answer", effectStop: "stop", effectHibernate: "hibernate",
	effectChild: "child", effectDepends: "depends", effectWants: "wants", effectIntercept: "intercept",
	effectPublish: "publish", effectSubscribe: "subscribe", effectUnsubscribe: "unsubscribe",
	effectDisconnect: "disconnect", effectPresent: "present", effectState: "state",
	opLog: "log", opAbort: "abort", opTake: "take",
	opSelf: "self", opSpawn: "spawn", opCall: "call", opRequest: "request", opAwait: "await", opCast: "cast",
	opSend: "send", opSendAfter: "send_after", opCancel: "cancel", opSleep: "sleep", opMonitor: "monitor",
	opDemonitor: "demonitor", opLink: "link", opUnlink: "unlink", opTrapExit: "trap_exit", opRegister: "register",
	opUnregister: "unregister", opWhereis: "whereis", opExit: "exit", opInfo: "process_info",
	opChildren: "children", opStopChild: "stop_child",
	opTrack: "track", opUpdate: "update", opUntrack: "untrack", opPresences: "presences",
	opPresenceCount: "presence_count",
}

func (k kind) name() string { return kindNames[k] }
