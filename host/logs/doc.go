// Package logs keeps the log of a server from ever stopping it. A goroutine that logs
// puts a line into a queue and goes on. One goroutine writes the lines, to a reader that
// may be slow, stalled, full or gone.
//
//	handlers, guests, drains …          the goroutine of a Sink
//	┌──────┐  line   ┌────────────────┐  whole lines   ┌─────────────────────────┐
//	│ slog ├────────►│ queue, ≤ 1 MiB ├───────────────►│ stderr: file, terminal, │
//	└──────┘  never  └───────┬────────┘   may wait,    │ pipe to somebody        │
//	          waits          │ full       may fail     └───────────┬─────────────┘
//	                         ▼                                     ▼
//	                  dropped, counted ──► "log lines lost" ◄── not written, counted
//
// A line that does not fit in the queue is dropped, and so is a line that could not be
// written. Both are counted, and told of in one line as soon as a line can be written
// again. [Sink.Lost] is the count since the start.
//
// # The end
//
// [Sink.Close] waits for the queued lines, for a bounded time. A write that still stands
// then is left: the process is about to end, and nothing else can end it.
//
// # Questions
//
// Why is the newest line dropped, and not the oldest? The queued lines were logged in
// order, and the reader gets all of them up to a gap that has a line of its own. The
// first lines of a trouble say more than its repetitions.
//
// Why is there a queue at all, if a pipe has a buffer? It has 64 KiB, and the write
// that finds it full waits. In a handler it would wait with the handler's slot, and
// in a drain with all clients.
//
// What does the queue cost? Nothing while nobody logs. A line is copied once, and is
// written some microseconds later than it was logged. A process that is killed, or
// that panics, loses the lines of these microseconds.
//
// Why are lines written in pieces of 4 KiB? A pipe takes as much in one go, so that
// lines of several processes that share it stay whole.
//
// Why is the descriptor not made non-blocking? It is shared with the shell and other
// processes, and the flag would be set for them, too.
//
// What about SIGPIPE? Go ends a process that writes to a standard error without a
// reader, unless it has asked for the signal. This package cannot know what the
// process wants: cmd/rtd asks for it in those commands that serve.
//
// Why has a reader of rtd logs no queue of its own? Package admin keeps the last lines
// for all of them, and each has only a position there.
package logs
