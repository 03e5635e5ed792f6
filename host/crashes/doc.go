// Package crashes keeps crash reports: one file for each kind of crash, with what it takes
// to understand it later, and to run it again.
//
//	sandbox ── trap ──► Wants? ── first of its kind ──► events, lines, memory are kept
//	                      │ no: as cheap as without reports
//	plugin ─── crash ─► Add ──► queue ──► one goroutine ──► ID.json, ID.memory.gz
//	                      └──► known: count ──► at most once a second ──► ID.json again
//
//	rtd crash list, show ◄── List, Read ◄──┐
//	rtd replay           ◄── Report.Replay ◄┴── the folder
//
// A crash is of the same kind as another if plugin, version, kind of trap, kind and name
// of the event and the guest's stack are equal: see kindOfTrap for what is left
// out. A report is about the first crash of its kind. Of the others it has the number,
// and when the last one was.
//
// # What a report has
//
// What the line in the log says: plugin, version, topic or process, event, trap, cause,
// stack, the guest's last words, what followed. And of the guest: its last 16 lines,
// the last 8 events with up to 4 KiB of their payloads, the event that it began with,
// and its memory.
//
// The events are those since the guest was brought into its slot (package sandbox). They
// are kept by the slot, so that an idle actor costs nothing for them; one at work costs
// about 40 ns an event, and a slot at most 140 KiB, usually one or two. A guest that comes back
// from rest has lost its earlier ones. Then its process says what it began with: a
// channel its join, one that serves a topic its present members, other
// processes their init. What it handled in between is missing, and replays say so.
//
// # Bounds
//
// All of them are in [crashes] of config.toml: reports, bytes, new reports in a minute.
// Names of events come from clients. Crashes that differ in it alone get eight reports,
// and then one for all further names, so that nobody flushes the reports of others out of the
// folder by crashing under many names. The queue has room for 16 reports; of crashes that
// find it full the next one is reported. A trap is examined (up to 16 MiB are
// copied) only if it will be a new report.
//
// # Secrets
//
// Payloads, join parameters and memory may hold tokens. Files are for their owner alone
// (mode 0600, folder 0700). With payloads = false neither is written; what a guest
// has printed still is, and was in the log anyway.
//
// # Replays
//
// [Report.Replay] gives a new guest the same events in a real sandbox. It may be of another version:
// that is how a fix is tried. The guest is alone. It can log, set timers, track presence,
// register, and send into the void; calls to other processes fail with "no such process",
// time and random numbers are those of the replay. It crashed in the same way
// if it died in the last event, of the same kind of trap, in the same functions.
//
// # Questions
//
// Why is the memory the one after the crash, and not the one before the event, with
// which a replay would be exact? To have that, every event of every actor would have to
// begin with a copy of its memory. Most crashes need a join and a message.
//
// Why a file of its own for the memory? It is large, and for other tools: gunzip, and
// look. The report can be read by people, and be sent to somebody without it.
//
// Why the whole memory and not what differs from the snapshot, as for idle actors? The snapshot
// is gone when its version is.
//
// Why is a trap without a report still counted? What crashes often is worth more attention
// than what crashed first; Count is what says so.
//
// Why does a crash without a trap have no events? It is one that the host decided on, such
// as for a reply that is no JSON, when the guest had finished the event and lived.
// Cause says which effect it was.
//
// Why does this package import the sandbox? It reads traps, and replays in a
// sandbox. It does not know processes or channels: host translates.
package crashes
