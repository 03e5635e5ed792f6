// Package supervisor runs processes and restarts them when they crash: OTP's
// processes, mailboxes, exit reasons and supervisors for the actors of rtd.
//
// # Processes
//
// A [Process] is one life of an [Actor]: Init, then Handle for one message at
// a time, then Terminate. While it waits for a message it is a record of a few
// hundred bytes and has no goroutine. A message makes it ready, and a ready
// process is in the run queue of its [Runtime], once:
//
//	Send ──► Mailbox ──► run queue ──► places, one for each scheduler
//	         │ m m m     │ P P P       ┌─────────────┐
//	         │           │             │ worker: P's │──► Init, Handle, Terminate
//	         └ owner P   └◄────────────│ turn        │
//	                       slice over, └─────────────┘
//	                       more to do
//
// A worker is a goroutine that has a place. It gives a turn to the process at
// the head of the queue: message after message, until the mailbox is empty or
// the slice (2 ms) is over, in which case the process goes to the end of the
// queue. When the queue is empty the worker ends. So a process that floods
// itself with messages takes its turns like anybody else.
//
// That does not help against a process which stays within one message. Go
// cannot take its goroutine away, but the runtime can take its place: it is
// handed over to another worker, and the late one ends with its turn. This
// happens when the process says that it is going to wait ([Process.Block]),
// or, if others are queued, when a watchdog sees it in a turn that is longer
// than a slice. So Schedulers bounds how many processes make progress in the
// queue, and not how many goroutines there are: what is stuck stays a
// goroutine. A bound on that belongs to the code that can get stuck, such as
// the slots of the sandbox.
//
// # Ends
//
// A process ends by itself, with the error that Init or Handle returns or the
// panic of either; or because it was asked to ([Process.Stop]), ahead of the
// messages that wait and with the first reason given; or because it is killed
// ([Process.Kill]), which does not wait for its code. Terminate runs once if
// Init was called, the parent gets one [Exited], and [Process.Done] is closed.
//
// A [Mailbox] ends with its process, unless it was given to it: an adopted
// mailbox outlives the life that owns it. The message at hand is lost with a
// crash, all others wait for the next life, in order. Lives that share a
// mailbox never overlap: if the owner was killed while its code runs, the next
// one begins when that code has returned.
//
// # Supervisors
//
// A [Supervisor] has a fixed list of children. It starts them in order, each
// after the Init of the one before, stops them in reverse, each within its
// Shutdown time, and answers the end of a child by this table:
//
//	restart type   exit reason         one_for_one   one_for_all    rest_for_one
//	────────────   ─────────────────   ───────────   ────────────   ────────────────
//	permanent      any                 restart it    restart all    it and the later
//	transient      crash               restart it    restart all    it and the later
//	transient      normal, shutdown    –             –              –
//	temporary      any                 –             –              –
//
// "Restart all" stops all that run, the last first, and starts all in order,
// those included that had ended without a restart; but temporary ones are
// stopped and dropped. A restart that fails in Init counts as another crash of
// the child that failed. More restarts than the [Intensity] allows, and the
// supervisor stops its children and ends with [ErrIntensity]; its own
// supervisor goes on from there.
//
// A [Dynamic] is for children that come and go by the thousand, the handlers
// of channels. They come in groups, one for each topic. The table holds within
// a group, in the order of starts, and the intensity is counted for each
// child: who crashes again and again loses its own life and nobody else's. A
// [Child] is one value over all of its lives, with its mailbox, and hears by
// Exited what follows each crash.
//
// # Differences from OTP
//
//   - No links: an exit reaches the parent as a message and nobody else, and
//     the end of a parent that is no supervisor does not end its children.
//   - Handle takes messages in order; there is no selective receive. What must
//     overtake, Stop, is not a message.
//   - Mailboxes are bounded: a message too many is an error for its sender,
//     instead of memory for everybody.
//   - A mailbox can outlive a crash. A handler that crashes on one message of
//     a client must not lose the others.
//   - Kill does not run in the process: Go code cannot be interrupted. The
//     process counts as ended, its code is on its own until it returns, and an
//     Actor which is a [Killer] is told.
//   - A supervisor that is asked to end while it starts a child stops that
//     child and ends; OTP's waits for the child's init without bound.
//   - A restart that fails is tried again at once, without taking other
//     messages between two attempts. The intensity bounds it either way.
//   - Intensity is exact time, where OTP's period is whole seconds. The edge
//     is the same: a restart exactly one period ago still counts.
//   - No ignore, no auto_shutdown, no start or removal of single children of a
//     Supervisor: nobody needs them yet.
//   - Dynamic has groups, strategies and an intensity for each child; OTP's
//     DynamicSupervisor is one_for_one with one intensity for all, which would
//     let one client take down the channels of all.
//   - Dynamic does not wait for Init. Children start at the same time, so a
//     slow join holds up nobody; Init that fails is a crash like any other. In
//     a group all have ended before the first one starts again.
//   - Dynamic restarts the siblings of a crashed child whatever their restart
//     type, also temporary ones: it asks [Child] Again for the child that
//     crashed only. A sibling that ends or crashes by itself meanwhile is
//     treated by its own type.
//
// # Questions
//
// Why not a goroutine for each process? It costs 2 KB at least, and several
// times that after the first deep call, against 272 bytes here (mailbox
// included). More important, with a million of them Go decides who runs, and
// knows nothing of turns: ten spinning guests on two cores would leave the
// rest what is left.
//
// Why one run queue, with a mutex, and no stealing? A send with its handling
// takes 100 to 700 ns, most of which is Go's start of a goroutine on another
// core. A turn in a guest takes microseconds. On machines where the mutex
// shows in a profile, a queue for each scheduler fits behind the same two
// functions.
//
// Why does a worker end when the queue is empty? To start a goroutine is about
// as dear as to wake one, and nothing has to be stopped: a Runtime without
// work is plain memory, which also suits testing/synctest.
//
// Why is Exited posted past the mailbox's bound? A parent that misses the end
// of a child can never put that right. There is one such message for each
// child.
//
// Why does Handle not get a context? A process already has an end that can be
// waited for, [Process.Stopping], and a context costs several allocations for
// each life. Code that needs a deadline has its own.
//
// Why does a mailbox that belongs to a live process panic when it is adopted?
// It is a bug of the caller and would lose or reorder messages without a
// trace.
package supervisor
