// Package history keeps what was said in a topic lately, so that who was away can be told.
//
//	          Append                                    After(position)
//	             │                                            │
//	┌────────────▼──────────────────────────────┐             ▼
//	│ 17 │ 18 │ 19 │ 20 │            Log        │──► 19, 20 ; or a gap: 16 is not there any more
//	└──▲────────────────────────────────────────┘
//	   │ too many, too old, purged: gone from this end
//
// Each message has an offset: the first one of a log 1, each further one the next. With the log's epoch, a
// name drawn at random, it is a [Position]: "EPOCH:OFFSET" for clients. Who has a position has everything up to and
// including that offset. The log alone judges whether something is missing, and says so: another epoch, an offset that is gone, or
// one that has yet to come is a [Gap], and never guessed away.
//
// A Log does not lock: its owner does, as the offsets are those of an order that the owner makes.
//
// # Questions
//
// Why does the epoch belong to the log and not to the server? A topic that nobody needs is forgotten with its offsets.
// If it begins anew from 1, nobody may take the new 1 for the old one.
//
// Why are messages any type? The owner keeps with each what it needs to send it again, encoded for instance. Only
// the size counts here.
//
// The rules are those of Centrifugo's recovery (its documentation, "History and recovery"), of which the offsets differ
// from sequence numbers of a client in that all members have the same.
package history
