// The part of rtd/sandbox/abi that this SDK speaks, written again so that the SDK
// stands alone; the vectors of that package hold both to the same bytes. Numbers are
// append-only.

/** Events tell a guest what happened. */
export const enum Event {
  Start = 0x001,
  Join = 0x002,
  Message = 0x003,
  Idle = 0x004,
  Init = 0x005,
  Call = 0x006,
  Cast = 0x007,
  Info = 0x008,
  Reply = 0x009,
  Down = 0x00a,
  Exit = 0x00b,
  Terminate = 0x00c,
  Leave = 0x00d,
  Members = 0x00e,
  Stop = 0x00f,
  Connect = 0x010,
  Out = 0x011,
  Broadcast = 0x012,
  Export = 0x013,
  Import = 0x014,
}

/** Effects happen when the guest has handled the event. */
export const enum Effect {
  Reply = 0x101,
  Push = 0x102,
  Broadcast = 0x103,
  BroadcastFrom = 0x104,
  Handles = 0x105,
  Scratch = 0x106,
  Answer = 0x107,
  Stop = 0x108,
  Hibernate = 0x109,
  Child = 0x10a,
  Depends = 0x10b,
  Wants = 0x10c,
  Intercept = 0x10d,
  Publish = 0x10e,
  Subscribe = 0x10f,
  Unsubscribe = 0x110,
  Disconnect = 0x111,
  Present = 0x112,
  State = 0x113,
}

/** Operations happen at once. */
export const enum Op {
  Log = 0x201,
  Abort = 0x202,
  Take = 0x203,
  Self = 0x204,
  Spawn = 0x205,
  Call = 0x206,
  Request = 0x207,
  Await = 0x208,
  Cast = 0x209,
  Send = 0x20a,
  SendAfter = 0x20b,
  Cancel = 0x20c,
  Sleep = 0x20d,
  Monitor = 0x20e,
  Demonitor = 0x20f,
  Link = 0x210,
  Unlink = 0x211,
  TrapExit = 0x212,
  Register = 0x213,
  Unregister = 0x214,
  Whereis = 0x215,
  Exit = 0x216,
  Info = 0x217,
  Children = 0x218,
  StopChild = 0x219,
  Track = 0x21a,
  Update = 0x21b,
  Untrack = 0x21c,
  Presences = 0x21d,
  PresenceCount = 0x21e,
}

export const enum Flag {
  Binary = 1 << 0,
  WantsReply = 1 << 1,
  Replay = 1 << 2,
  Failed = 1 << 3,
  Link = 1 << 4,
  Request = 1 << 5,
  Notify = 1 << 6,
}
