package rtd

// The part of rtd/sandbox/abi that this SDK speaks, written again so that the
// SDK stands alone; the vectors of that package hold both to the same bytes.

type kind uint16

const (
	eventStart     kind = 0x001
	eventJoin      kind = 0x002
	eventMessage   kind = 0x003
	eventIdle      kind = 0x004
	eventInit      kind = 0x005
	eventCall      kind = 0x006
	eventCast      kind = 0x007
	eventInfo      kind = 0x008
	eventReply     kind = 0x009
	eventDown      kind = 0x00A
	eventExit      kind = 0x00B
	eventTerminate kind = 0x00C
	eventLeave     kind = 0x00D
	eventMembers   kind = 0x00E
	eventStop      kind = 0x00F
	eventConnect   kind = 0x010
	eventOut       kind = 0x011
	eventBroadcast kind = 0x012
	eventExport    kind = 0x013
	eventImport    kind = 0x014
	eventAway      kind = 0x015
	eventBack      kind = 0x016

	effectReply         kind = 0x101
	effectPush          kind = 0x102
	effectBroadcast     kind = 0x103
	effectBroadcastFrom kind = 0x104
	effectHandles       kind = 0x105
	effectAnswer        kind = 0x107
	effectStop          kind = 0x108
	effectHibernate     kind = 0x109
	effectChild         kind = 0x10A
	effectDepends       kind = 0x10B
	effectWants         kind = 0x10C
	effectIntercept     kind = 0x10D
	effectPublish       kind = 0x10E
	effectSubscribe     kind = 0x10F
	effectUnsubscribe   kind = 0x110
	effectDisconnect    kind = 0x111
	effectPresent       kind = 0x112
	effectState         kind = 0x113
	effectDurable       kind = 0x114
	effectHistory       kind = 0x115

	opLog        kind = 0x201
	opAbort      kind = 0x202
	opTake       kind = 0x203
	opSelf       kind = 0x204
	opSpawn      kind = 0x205
	opCall       kind = 0x206
	opRequest    kind = 0x207
	opAwait      kind = 0x208
	opCast       kind = 0x209
	opSend       kind = 0x20A
	opSendAfter  kind = 0x20B
	opCancel     kind = 0x20C
	opSleep      kind = 0x20D
	opMonitor    kind = 0x20E
	opDemonitor  kind = 0x20F
	opLink       kind = 0x210
	opUnlink     kind = 0x211
	opTrapExit   kind = 0x212
	opRegister   kind = 0x213
	opUnregister kind = 0x214
	opWhereis    kind = 0x215
	opExit       kind = 0x216
	opInfo       kind = 0x217
	opChildren   kind = 0x218
	opStopChild  kind = 0x219

	opTrack         kind = 0x21A
	opUpdate        kind = 0x21B
	opUntrack       kind = 0x21C
	opPresences     kind = 0x21D
	opPresenceCount kind = 0x21E
	opEventID       kind = 0x21F
	opHistory       kind = 0x220
)

const (
	flagBinary  uint16 = 1 << 0
	flagReplay  uint16 = 1 << 2
	flagFailed  uint16 = 1 << 3
	flagLink    uint16 = 1 << 4
	flagRequest uint16 = 1 << 5
	flagNotify  uint16 = 1 << 6
)

var kindNames = map[kind]string{
	effectReply: "reply", effectPush: "push", effectBroadcast: "broadcast", effectBroadcastFrom: "broadcast_from",
	effectHandles: "handles", effectAnswer: "answer", effectStop: "stop", effectHibernate: "hibernate",
	effectChild: "child", effectDepends: "depends", effectWants: "wants", effectIntercept: "intercept",
	effectPublish: "publish", effectSubscribe: "subscribe", effectUnsubscribe: "unsubscribe",
	effectDisconnect: "disconnect", effectPresent: "present", effectState: "state", effectDurable: "durable",
	effectHistory: "history",
	opLog:         "log", opAbort: "abort", opTake: "take",
	opSelf: "self", opSpawn: "spawn", opCall: "call", opRequest: "request", opAwait: "await", opCast: "cast",
	opSend: "send", opSendAfter: "send_after", opCancel: "cancel", opSleep: "sleep", opMonitor: "monitor",
	opDemonitor: "demonitor", opLink: "link", opUnlink: "unlink", opTrapExit: "trap_exit", opRegister: "register",
	opUnregister: "unregister", opWhereis: "whereis", opExit: "exit", opInfo: "process_info",
	opChildren: "children", opStopChild: "stop_child",
	opTrack: "track", opUpdate: "update", opUntrack: "untrack", opPresences: "presences",
	opPresenceCount: "presence_count", opEventID: "event_id", opHistory: "history",
}

func (k kind) name() string { return kindNames[k] }
