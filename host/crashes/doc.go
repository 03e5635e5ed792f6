// Package crashes keeps crash reports: one file for each kind of crash, from which it can
// be understood later, and run again.
//
//	sandbox ── trap ──► Wants? ── first of its kind ──► events, lines, memory are kept
//	                      │ no: as cheap as without reports
//	line in the log ──► Add ──► queue ──► one goroutine ──► ID.json, ID.memory.gz
//	                      └──► known: count ──► at most once a second ──► ID.json again
//
//	rtd crash list, show ◄── List, Read ◄──┐
//	rtd replay           ◄── Report.Replay ◄┴── the folder
//
// A crash is of the same kind as another if plugin, version, kind of trap, kind and name
// of the event and the guest's stack are equal (kindOfTrap in report.go). A report
// describes the first crash of its kind, and has the number of all others and the time of
// the last.
//
// # What a report has
//
// The fields of the line in the log: plugin, version, topic or process, event, trap,
// cause, stack, the guest's last words, the decision. And of the guest: its last 16
// lines, the last 8 events with up to 4 KiB of each field, the event that it began with
// (64 KiB), and the first 16 MiB of its memory.
//
// A report has the events since the guest was brought into its slot (package sandbox).
// The slot keeps them, so that an idle actor costs nothing for them. An actor at work
// costs about 40 ns an event, and a slot at most 140 KiB, usually one or two. A guest
// that comes back from rest has lost its earlier events. Then its process gives the event
// that it began with: a channel the join, a shared channel its present members, other
// processes their init. The events in between are missing, and replays say so.
//
// # Bounds
//
// Reports, their bytes, and new ones in a minute are bounded by [crashes] of config.toml.
// Names of events come from clients. Crashes that differ in it alone get eight reports,
// and then one for all further names, so that a client cannot flush other reports out of
// the folder by crashing under many names. The queue has room for 16 reports. A kind of
// crash that finds it full is reported at its next crash. A trap is examined (up to 16
// MiB are copied) only if it will be a new report.
//
// # Who waits
//
// Nobody who serves clients. Wants looks into a map. The memory is copied by a goroutine of the
// sandbox, and Add is called by the goroutine that writes the crash's line (package app). The
// collector's own goroutine waits for the copy, packs it in pieces of 32 KiB, and lets others run
// in between for a millisecond, unless the server is about to end. Nor does it wait for the disk: a
// process that has one processor may lose it for up to 10 ms to a system call that waits, before
// Go's runtime takes it back. So reports come down to the disk in the system's own time. A
// power failure may cost those of the last half minute; a killed server loses none that are written.
//
// # Bad files
//
// A file that is no report is set aside when the server starts, as ID.json.bad, with a
// warning. A folder that cannot be used costs a warning too, and then the reports; never
// the start.
//
// # Secrets
//
// Payloads, join parameters and memory may hold tokens. Files are for their owner alone
// (mode 0600, folder 0700). With payloads = false neither is written. The guest's output
// still is, and was in the log anyway.
//
// # Replays
//
// [Report.Replay] gives a new guest the same events in a real sandbox. It may be of
// another version, to try a fix. The guest is alone. It can log, set timers, track
// presence, register, and send into the void; calls to other processes fail with "no such
// process", time and random numbers are those of the replay. It crashed in the same way
// if it died in the last event, of the same kind of trap, in the same functions.
//
// # Questions
//
// Why does a report have the memory after the crash, and not before the event, for an
// exact replay? For that, every event of every actor would have to begin with a copy of
// its memory. Most crashes need a join and a message.
//
// Why a file of its own for the memory? It is large, and for other tools: gunzip, and
// look. The report can be read by people, and be sent to somebody without it.
//
// Why the whole memory and not a delta from the snapshot, as for idle actors? The
// snapshot is gone when its version is.
//
// Why is a trap without a report still counted? A frequent crash is worth more attention
// than an early one, and Count tells it.
//
// What about a guest that lives, but asked for an impossible effect, or to end as by a
// crash? The host decides about that, when the guest has finished the event. It is
// reported as a trap of kind effect or stop, with events and memory, and a replay takes
// the same effects for a fault ([Setting].Fault). A crash has no events only if another
// process has brought it about, or if the guest had left its slot by then.
//
// Why does it import package disk? That is how all files are written here.
//
// Why does this package import the sandbox? It reads traps, and replays in a
// sandbox. It does not know processes or channels: host translates.
package crashes
