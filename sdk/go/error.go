package rtd

import (
	"strconv"
	"strings"
)

// OpError says that the host did not do an effect or operation, and why: a [Code] or an
// [*EndedError], which errors.Is and errors.As find in it.
type OpError struct {
	Op   string // "call", "spawn" …
	Name string // of the process, module, name or topic that it was about
	Err  error
}

func (e *OpError) Error() string {
	why := e.Err.Error()
	if e.Err == ErrDenied {
		why = deniedText(e.Op)
	}
	if e.Name == "" {
		return e.Op + ": " + why
	}
	return e.Op + " " + e.Name + ": " + why
}

// deniedText says what the operation was not granted, and where the server grants it.
func deniedText(op string) string {
	switch op {
	case "disconnect":
		return `not granted; it needs disconnect = true in [capabilities] of rtd.toml, and allows = ["disconnect"] in [plugin.NAME] of the server's config`
	case "publish", "subscribe", "present", "track", "update", "untrack", "presences", "presence_count", "history":
		return "not a topic of this plugin, or one that another plugin serves; see grants in the server's config"
	}
	return "a process of a plugin that this one does not depend on, or a service of the server that it is not granted; see depends and services in the server's config"
}

func (e *OpError) Unwrap() error { return e.Err }

// EndedError says that a process ended before it answered, and for what reason.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return "it ended before it answered: " + e.Reason }

// Code is the host's reason for not doing an effect or operation.
type Code int32

const (
	ErrUnknown   Code = -1  // the server is too old to know it
	ErrMalformed Code = -2  // a name, time or pid that is none
	ErrTooMuch   Code = -3  // too many effects in one event, or a message above 4 MiB
	ErrNotNow    Code = -4  // not during this event
	ErrNoProcess Code = -5  // there is no such process, name, request, timer, monitor or member
	ErrTimeout   Code = -6  // no answer came in time
	ErrBusy      Code = -7  // too many processes of the plugin wait already; try later
	codeEnded    Code = -8  // an EndedError
	ErrSelf      Code = -9  // a process cannot wait for its own answer
	ErrFull      Code = -10 // its mailbox is full, or too much waits for the plugin's processes
	ErrLimit     Code = -11 // the plugin has as many processes, timers … as it may, or makes the server keep too many bytes
	ErrTaken     Code = -12 // another process has the name, or the key is tracked already
	ErrDenied    Code = -13 // not granted: a process of a plugin that this one does not depend on, a topic not its own, to disconnect, a service of the server
	ErrDeadlock  Code = -14 // it waits for this process, itself or by way of others
	ErrTooLarge  Code = -15 // it has no room for the message, or a meta or key is too large
	ErrNoHistory Code = -16 // nothing is kept of what is broadcast to the topic
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
	-ErrFull:      "its mailbox is full, or too much waits already; see pending in the server's config",
	-ErrLimit:     "the plugin has as much as it may; see processes, references and pending in the server's config",
	-ErrTaken:     "the name is taken, or the key is tracked already",
	-ErrDenied:    "not granted; see depends, grants, allows and services in the server's config",
	-ErrDeadlock:  "it waits for this process",
	-ErrTooLarge:  "it has no room for the message",
	-ErrNoHistory: "the topic has no history; see rtd.KeepHistory, or history in the server's config",
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
	Normal   = "normal"   // the process had no more to do
	Shutdown = "shutdown" // it was asked to end; so it was for "shutdown: " and more text
	Killed   = "killed"   // it was ended without being asked
)

// IsCrash reports whether a process that ended for this reason crashed.
func IsCrash(reason string) bool {
	return reason != Normal && reason != Shutdown && !strings.HasPrefix(reason, Shutdown+": ")
}

// errText is an error that is nothing but its text.
type errText string

func (e errText) Error() string { return string(e) }
