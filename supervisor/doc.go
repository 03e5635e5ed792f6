// Package supervisor runs processes and restarts them when they crash: OTP's
// processes, mailboxes, links, monitors, names, exit reasons and supervisors for
// the actors of rtd.
//
// # Processes
//
// A [Process] is one life of an [Actor]: Init, then Handle for one message at
// a time, then Terminate. While it waits for a message it is a record of a few
// hundred bytes and has no goroutine. A message makes it ready, and a ready
// process is in the run queue of its [Runtime], once:
//
//	Send ──► Mailbox ──► run queue ───────► places, one for each scheduler
//	         │ m m m     │ group A  P P P   ┌─────────────┐
//	         │           │ group B  P       │ worker: P's │──► Init, Handle, Terminate
//	         └ owner P   └◄─────────────────│ turn        │
//	                       slice over,      └─────────────┘
//	                       more to do
//
// A worker is a goroutine that has a place. It gives a turn to the process at
// the head of the queue: message after message, until the mailbox is empty or
// the slice (2 ms) is over, in which case the process goes to the end of the
// queue. When the queue is empty the worker ends. So a process that floods
// itself with messages takes its turns like anybody else.
//
// A [Group] is the processes of one plugin. Groups are served in turn, so that a
// hundred thousand of one plugin that restart at once are, to a process of
// another, one turn to wait for.
//
// Nothing of this helps against a process which stays within one message. Go
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
// one begins when that code has returned. A mailbox that ends with its process
// tells the messages that waited, if they are a [Dropper].
//
// # Who else learns of an end
//
// [Process.Link] binds two processes: the end of one is an exit signal to the
// other. [Process.Monitor] is one-sided and only tells. [Process.Exit] sends a
// signal without an end.
//
//	signal's reason           no trap          traps exits      monitor
//	───────────────────────   ──────────────   ──────────────   ──────────────────
//	normal                    –                Exit             Down
//	normal, to itself         ends             Exit
//	shutdown, a crash         ends with it     Exit             Down
//	from a killed process     ends with it     Exit             Down
//	Killed, by Process.Exit   is killed        is killed
//	(the other had ended)     ErrNoProcess     ErrNoProcess     ErrNoProcess
//
// Supervisors take part in that only with their parent: they end with one that
// they are linked with, and ignore the signals of others.
//
// To end is what [Process.Stop] does: after the message at hand, with Terminate.
// A process whose Init has not begun ends without it; one in Terminate already
// has its reason, and its links hold until it is through.
//
// By then its names ([Names]) and its number ([Process.Export]) are free, its
// timers ([Process.SendAfter]) stopped. Then come Exit and Down, and [Exited] to
// the parent, so that whoever answers with a new process can give it the name.
// These messages are for one life: the next one with the same mailbox gets none
// of them, nor what a timer of the last one has sent.
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
// The children of a Dynamic outlive it. A supervisor stops with [ForRestart] what
// it is going to start again, and so does whoever replaces a whole tree:
//
//	the Dynamic ends with          its children
//	────────────────────────────   ─────────────────────────────────────────────
//	ForRestart, ErrIntensity,      wait, with their order and mailboxes: the next
//	a crash, Killed                process begins their lives, or Close ends them
//	any other shutdown, normal     end, and hear of it
//
// [Supervisor.Children] describes a tree while it runs.
//
// # Differences from OTP
//
//   - A child and its supervisor are not linked. An end reaches the parent as
//     [Exited], and the end of a parent that is no supervisor does not end its
//     children; Link is for that.
//   - A killed process has the reason [Killed], and so has the kill itself. To
//     those linked it is passed on as another error that wraps it, which does
//     not kill when it is passed to Exit again.
//   - Link to an ended process is never an error of the caller, but the signal
//     noproc.
//   - Exit and Down go past the bound of a mailbox only for links and monitors
//     that the process asked for itself. An Exit of another's link that finds no
//     room ends the process with [ErrFull]; one of [Process.Exit] is an error to
//     its sender. The message of a timer is lost then, and counted.
//   - A process may have several names, and a name is a string.
//   - Handle takes messages in order; there is no selective receive. What must
//     overtake, Stop, is not a message.
//   - Mailboxes are bounded: a message too many is an error for its sender,
//     instead of memory for everybody.
//   - A mailbox can outlive a crash. A handler that crashes on one message of
//     a client must not lose the others.
//   - Kill does not run in the process: Go code cannot be interrupted. The
//     process counts as ended, its code is on its own until it returns, and an
//     Actor which is a [Killer] is told.
//   - A supervisor's children hear why they are stopped: ForRestart, ErrIntensity
//     or Shutdown, where OTP always says shutdown.
//   - A supervisor that is asked to end while it starts a child stops that
//     child and ends; OTP's waits for the child's init without bound.
//   - A restart that fails is tried again at once, without taking other
//     messages between two attempts. The intensity bounds it either way.
//   - Intensity is exact time, where OTP's period is whole seconds. The edge
//     is the same: a restart exactly one period ago still counts.
//   - No ignore, no auto_shutdown, no start or removal of single children of a
//     Supervisor: nobody needs them yet.
//   - The children of a Dynamic outlive a restart of it. OTP's are lost, which for
//     a channel would be a client that has to join again.
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
// included; links, names and timers are in a record that is made on demand).
// More important, with a million of them Go decides who runs, and knows nothing
// of turns: ten spinning guests on two cores would leave the rest what is left.
//
// Why one run queue, with a mutex, and no stealing? A send with its handling
// takes 200 to 500 ns. A turn in a guest takes microseconds. On machines where
// the mutex shows in a profile, a queue for each scheduler fits behind the same
// two functions.
//
// Why does a worker without work stay for 10 ms, and why not for longer? A new
// goroutine begins with a small stack, and to grow it for a guest takes 5 to 10 µs,
// more than most turns. So one that has run a process waits for the next one,
// some of them for each place, and only a moment: a Runtime without work is plain
// memory, and nothing of it has to be stopped. Before it parks, a worker looks
// for work for a microsecond, if another runs that may make some.
//
// Why are groups counted by turns and not by time? A turn is bounded by the
// slice, and what stays longer loses its place. It costs nothing to count.
//
// Why is a link an entry at both ends, made under two locks? So that an end
// needs one lock at a time and no order: it closes its own entries, then takes
// itself out of the others'.
//
// Why does Demonitor search the mailbox? The alternative is to leave the Down in
// it and to skip it when its turn comes; then a process that monitors and
// demonitors what has ended fills its mailbox without a bound. Only a monitor that
// has fired is searched for, from the youngest message on.
//
// Why is Exited posted past the mailbox's bound? A parent that misses the end
// of a child can never put that right. There is one such message for each
// child.
//
// Why is there no call? What a call sends, and what an answer is, belongs to
// those who talk: guests. [Process.Block] around a wait for the answer, the
// other's Done and a timeout is all that is needed here.
//
// Why does Handle not get a context? A process already has an end that can be
// waited for, [Process.Stopping], and a context costs several allocations for
// each life. Code that needs a deadline has its own.
//
// Why does a mailbox that belongs to a live process panic when it is adopted?
// It is a bug of the caller and would lose or reorder messages without a
// trace.
package supervisor
