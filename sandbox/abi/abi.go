package abi

import "strconv"

// Names that bind a guest to the host.
const (
	// Module is the host module that guests import from. Its name carries the
	// version of the calling convention.
	Module = "rtd_v1"
	// ImportOp is the one function of [Module].
	ImportOp = "op"

	ExportMemory     = "memory"
	ExportInbox      = "inbox"
	ExportHandle     = "handle"
	ExportInitialize = "_initialize"
)

// Scopes of a topic pattern: one process for each join, or one for each topic.
const (
	ScopeJoin  = "join"
	ScopeTopic = "topic"
)

// DurableProcesses begins a durable pattern for processes by their names. Any other pattern is for topics.
const DurableProcesses = "process:"

// Kind says what a record is. Numbers are append-only.
type Kind uint16

// Events, host to guest.
const (
	EventStart     Kind = 0x001 // the plugin begins; declare what it serves
	EventJoin      Kind = 0x002 // a client joins the topic, or a join is replayed
	EventMessage   Kind = 0x003 // a client pushed a message
	EventIdle      Kind = 0x004 // the instance has grown and will stand still: drop garbage
	EventInit      Kind = 0x005 // a process of the guest's own begins
	EventCall      Kind = 0x006 // a process asks and waits for the answer
	EventCast      Kind = 0x007 // a process tells something
	EventInfo      Kind = 0x008 // a message by send or send_after
	EventReply     Kind = 0x009 // the answer to a request made with Notify
	EventDown      Kind = 0x00A // a monitored process has ended
	EventExit      Kind = 0x00B // a linked process has ended, if exits are trapped
	EventTerminate Kind = 0x00C // the process is about to end; the last event, if wanted
	EventLeave     Kind = 0x00D // with scope topic: a member has left
	EventMembers   Kind = 0x00E // with scope topic, after a restart: who has joined
	EventStop      Kind = 0x00F // the plugin has ended; to an instance of its own, if wanted
	EventConnect   Kind = 0x010 // a client connects; to a process of its own, if wanted
	EventOut       Kind = 0x011 // a broadcast that the handler intercepts
	EventBroadcast Kind = 0x012 // a broadcast of a topic that the process subscribed to
	EventExport    Kind = 0x013 // write down the state, for the next version
	EventImport    Kind = 0x014 // take over the state of another version; the first event
	EventAway      Kind = 0x015 // the client's connection has broken; the handler stays for a while
	EventBack      Kind = 0x016 // the client is back
)

// Effects, guest to host, applied when the call succeeds.
const (
	EffectReply         Kind = 0x101 // answer the event at hand (join, message, connect, import, back), or an earlier message
	EffectPush          Kind = 0x102 // to one client
	EffectBroadcast     Kind = 0x103 // to all members of the topic
	EffectBroadcastFrom Kind = 0x104 // to all members but the one at hand
	EffectHandles       Kind = 0x105 // in start only: serve this topic pattern
	EffectScratch       Kind = 0x106 // in start only: memory that means nothing between events
	EffectAnswer        Kind = 0x107 // answer a call, this one or an earlier one
	EffectStop          Kind = 0x108 // end this process
	EffectHibernate     Kind = 0x109 // nothing will happen for long: make it small now
	EffectChild         Kind = 0x10A // in start only: a child of the plugin's tree
	EffectDepends       Kind = 0x10B // in start only: a plugin that must run first
	EffectWants         Kind = 0x10C // an event that is sent on request only
	EffectIntercept     Kind = 0x10D // in join and members: get broadcasts of an event as out, instead of the client
	EffectPublish       Kind = 0x10E // broadcast to another topic
	EffectSubscribe     Kind = 0x10F // get the broadcasts of another topic as events
	EffectUnsubscribe   Kind = 0x110 // no longer
	EffectDisconnect    Kind = 0x111 // end all connections of a socket id
	EffectPresent       Kind = 0x112 // push one client presence_state
	EffectState         Kind = 0x113 // in export only: the state
	EffectDurable       Kind = 0x114 // in start only: the handlers of these topics, or these processes, are remembered
	EffectHistory       Kind = 0x115 // in start only: the broadcasts of these topics are kept
)

// Operations, guest to host, done at once.
const (
	OpLog        Kind = 0x201 // write a line to the server's log
	OpAbort      Kind = 0x202 // crash on purpose; does not return
	OpTake       Kind = 0x203 // the answer of the operation before, again
	OpSelf       Kind = 0x204 // this process's pid
	OpSpawn      Kind = 0x205 // start a process
	OpCall       Kind = 0x206 // ask a process and wait for its answer
	OpRequest    Kind = 0x207 // ask a process, do not wait
	OpAwait      Kind = 0x208 // wait for the answer to a request
	OpCast       Kind = 0x209 // tell a process something
	OpSend       Kind = 0x20A // send a process a message that it gets as info
	OpSendAfter  Kind = 0x20B // send oneself a message later
	OpCancel     Kind = 0x20C // stop a timer
	OpSleep      Kind = 0x20D // wait
	OpMonitor    Kind = 0x20E // be told when a process ends
	OpDemonitor  Kind = 0x20F // no longer
	OpLink       Kind = 0x210 // end with a process, and it with this one
	OpUnlink     Kind = 0x211 // no longer
	OpTrapExit   Kind = 0x212 // get ends of linked processes as events
	OpRegister   Kind = 0x213 // give a process a name
	OpUnregister Kind = 0x214 // take a name away
	OpWhereis    Kind = 0x215 // the pid behind a name
	OpExit       Kind = 0x216 // make a process end
	OpInfo       Kind = 0x217 // what the host knows of a process
	OpChildren   Kind = 0x218 // the processes under a dynamic supervisor
	OpStopChild  Kind = 0x219 // end one of them for good

	OpTrack         Kind = 0x21A // be present in a topic under a key
	OpUpdate        Kind = 0x21B // with other meta data
	OpUntrack       Kind = 0x21C // no longer
	OpPresences     Kind = 0x21D // who is present in a topic
	OpPresenceCount Kind = 0x21E // how many are

	OpEventID Kind = 0x21F // the id of the event at hand
	OpHistory Kind = 0x220 // what was broadcast to a topic lately
)

var kindNames = map[Kind]string{
	EventStart:          "start",
	EventJoin:           "join",
	EventMessage:        "message",
	EventIdle:           "idle",
	EventInit:           "init",
	EventCall:           "call",
	EventCast:           "cast",
	EventInfo:           "info",
	EventReply:          "reply",
	EventDown:           "down",
	EventExit:           "exit",
	EventTerminate:      "terminate",
	EventLeave:          "leave",
	EventMembers:        "members",
	EventStop:           "stop",
	EventConnect:        "connect",
	EventOut:            "out",
	EventBroadcast:      "broadcast",
	EventExport:         "export",
	EventImport:         "import",
	EventAway:           "away",
	EventBack:           "back",
	EffectReply:         "reply",
	EffectPush:          "push",
	EffectBroadcast:     "broadcast",
	EffectBroadcastFrom: "broadcast_from",
	EffectHandles:       "handles",
	EffectScratch:       "scratch",
	EffectAnswer:        "answer",
	EffectStop:          "stop",
	EffectHibernate:     "hibernate",
	EffectChild:         "child",
	EffectDepends:       "depends",
	EffectWants:         "wants",
	EffectIntercept:     "intercept",
	EffectPublish:       "publish",
	EffectSubscribe:     "subscribe",
	EffectUnsubscribe:   "unsubscribe",
	EffectDisconnect:    "disconnect",
	EffectPresent:       "present",
	EffectState:         "state",
	EffectDurable:       "durable",
	EffectHistory:       "history",
	OpLog:               "log",
	OpAbort:             "abort",
	OpTake:              "take",
	OpSelf:              "self",
	OpSpawn:             "spawn",
	OpCall:              "call",
	OpRequest:           "request",
	OpAwait:             "await",
	OpCast:              "cast",
	OpSend:              "send",
	OpSendAfter:         "send_after",
	OpCancel:            "cancel",
	OpSleep:             "sleep",
	OpMonitor:           "monitor",
	OpDemonitor:         "demonitor",
	OpLink:              "link",
	OpUnlink:            "unlink",
	OpTrapExit:          "trap_exit",
	OpRegister:          "register",
	OpUnregister:        "unregister",
	OpWhereis:           "whereis",
	OpExit:              "exit",
	OpInfo:              "process_info",
	OpChildren:          "children",
	OpStopChild:         "stop_child",
	OpTrack:             "track",
	OpUpdate:            "update",
	OpUntrack:           "untrack",
	OpPresences:         "presences",
	OpPresenceCount:     "presence_count",
	OpEventID:           "event_id",
	OpHistory:           "history",
}

// String returns the kind's name as in the package's table, or its number.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return "kind 0x" + strconv.FormatUint(uint64(k), 16)
}

// Known says whether this version knows the kind.
func (k Kind) Known() bool { return kindNames[k] != "" }

// IsEvent, IsEffect and IsOp say to which range a kind belongs, whether or not
// this version knows the number.
func (k Kind) IsEvent() bool  { return k > 0 && k < 0x100 }
func (k Kind) IsEffect() bool { return k >= 0x100 && k < 0x200 }
func (k Kind) IsOp() bool     { return k >= 0x200 && k < 0x300 }

// Flags modify a record. Unknown flags are ignored.
type Flags uint16

const (
	// Binary marks a payload that is not JSON text.
	Binary Flags = 1 << 0
	// WantsReply marks a message whose sender waits for a reply. Without it a
	// reply is allowed, and reaches the client without a ref, as in Phoenix.
	WantsReply Flags = 1 << 1
	// Replay marks what begins again: a join that the client does not know of, because the handler
	// was restarted after a crash or moved to a new version; an empty state, for which nothing has
	// to be taken over; and the init that follows that in the next version.
	Replay Flags = 1 << 2
	// Failed marks a reply that is no answer: its payload says why there is none.
	Failed Flags = 1 << 3
	// Link makes spawn link the new process to its maker.
	Link Flags = 1 << 4
	// Request makes spawn also ask a first question, answered like a call.
	Request Flags = 1 << 5
	// Notify makes the answer to a request come as an event.
	Notify Flags = 1 << 6
)

// Code is what op returns instead of a length when it did not do as asked.
type Code int32

const (
	// CodeUnknown: this host does not know the kind.
	CodeUnknown Code = -1
	// CodeMalformed: the bytes are no record, or lie outside of memory.
	CodeMalformed Code = -2
	// CodeTooMuch: the event's bound on effects or their bytes is reached, or the payload of
	// an operation has more than 4 MiB.
	CodeTooMuch Code = -3
	// CodeNotNow: the kind is not allowed in this event, or not a second time.
	CodeNotNow Code = -4
	// CodeNoProcess: there is no such process, name, request, timer, monitor or member, or the
	// key to update is not tracked.
	CodeNoProcess Code = -5
	// CodeTimeout: no answer came in time.
	CodeTimeout Code = -6
	// CodeBusy: too many processes of the plugin wait already.
	CodeBusy Code = -7
	// CodeEnded: the process ended before it answered. [OpTake] gives the reason.
	CodeEnded Code = -8
	// CodeSelf: a process cannot wait for its own answer.
	CodeSelf Code = -9
	// CodeFull: the process's mailbox is full, or the plugin's bound on the bytes that wait
	// is reached, by messages or by whatever else its guests make the host keep.
	CodeFull Code = -10
	// CodeLimit: the plugin's bound on processes, on timers, names and the like, or on the bytes
	// that its guests make the host keep is reached. Of a request: there is no room for the answer.
	CodeLimit Code = -11
	// CodeTaken: another process has the name, or the key is tracked already.
	CodeTaken Code = -12
	// CodeDenied: it is not granted. The process belongs to a plugin that this one does not
	// depend on, the topic is neither its own nor granted to it, it may not disconnect, or the
	// service of the host is not granted to it, or cannot be asked this.
	CodeDenied Code = -13
	// CodeDeadlock: the process waits for this one, itself or by way of others.
	CodeDeadlock Code = -14
	// CodeTooLarge: the process has no room for the message, or the meta or key is too large.
	CodeTooLarge Code = -15
	// CodeNoHistory: nothing is kept of what is broadcast to the topic.
	CodeNoHistory Code = -16
)

var codeTexts = map[Code]string{
	CodeUnknown:   "the host does not know this operation; it needs a newer rtd",
	CodeMalformed: "malformed record",
	CodeTooMuch:   "too many effects, or too many bytes of them, in one event",
	CodeNotNow:    "not allowed during this event, or done already",
	CodeNoProcess: "no such process",
	CodeTimeout:   "no answer in time",
	CodeBusy:      "too many processes of the plugin wait already",
	CodeEnded:     "the process ended before it answered",
	CodeSelf:      "a process cannot wait for its own answer",
	CodeFull:      "its mailbox is full, or too much waits already; see pending in the server's config",
	CodeLimit:     "the plugin has as much as it may; see processes, references and pending in the server's config",
	CodeTaken:     "the name is taken, or the key is tracked already",
	CodeDenied:    "not granted: a plugin that this one does not depend on, a topic that is not its own, to disconnect, or a service",
	CodeDeadlock:  "it waits for this process",
	CodeTooLarge:  "it has no room for the message",
	CodeNoHistory: "the topic has no history; the plugin that serves it declares one, or its table of config.toml does, with history",
}

// Error describes the code to the author of a guest.
func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return text
	}
	return "code " + strconv.Itoa(int(c))
}
