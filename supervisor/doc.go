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
//	         │           │ group B  P       │ runner: P's │──► Init, Handle, Terminate
//	         └ owner P   └◄─────────────────│ turn        │
//	                       slice over,      └─────────────┘
//	                       more to do
//
// A runner is a goroutine that has a place. It gives a turn to the process at
// the head of the queue: message after message, until the mailbox is empty or
// the slice (2 ms) is over, in which case the process goes to the end of the
// queue. When the queue is empty the runner stays for a moment, and ends. So a
// process that floods itself with messages takes its turns like anybody else.
//
// The processes of one plugin are a [Group]. Groups are served in turn: if a hundred
// thousand processes of one plugin restart at once, a process of another waits for one
// turn of them.
//
// A process that stays within one message for long, as a guest in a loop does, calls
// [Process.Yield] every now and then. It gives up its place, and waits in the queue
// within its turn, if it has had the place for a slice and others wait; or for a part of
// a slice, and a process waits that is at the beginning of a turn:
//
//	                 run queue, one of each group in turn
//	          ┌─────────────────────────────────────────────────────────────┐
//	Send ────►│ group A   ready  P P P   a turn begins: every second turn   │──► places
//	Yield ───►│           late   P P     within a message: the other ones   │
//	          │ group B   ready  P                                          │
//	          └─────────────────────────────────────────────────────────────┘
//
// So quick processes wait for a moment, and not for a slice of every slow one; and slow
// processes are served however many quick ones there are.
//
// Go cannot take the goroutine away from code that neither returns nor yields, but the
// runtime can take its place: a watchdog hands the place over to another runner when
// others are queued and the process has had it for more than a slice. The late process
// goes on in parallel until it comes to Yield, where it waits for a place, or to the end
// of its turn. The same happens when a process says that it is going to wait
// ([Process.Block]). So Schedulers bounds how many processes make progress for more than
// a moment, and not how many goroutines there are: a process that stands still within a
// message keeps its goroutine. The code that can stand still, such as the slots of the
// sandbox, has to bound those.
//
// # Ends
//
// A process ends by itself, with the error that Init or Handle returns or the
// panic of either; or because it was asked to ([Process.Stop]), ahead of the
// messages that wait and with the first reason given; or because it is killed
// ([Process.Kill]), which does not wait for its code. Terminate runs once if
// Init was called, the parent gets one [Exited], and [Process.Done] is closed.
//
// A [Mailbox] ends with its process, unless the process was spawned with it: an adopted
// mailbox outlives the life that owns it. The message at hand is lost with a crash, all
// others wait for the next life, in order. Lives that share a mailbox never overlap: if
// the owner was killed while its code runs, the next one begins when that code has
// returned. A mailbox that ends with its process tells the messages that waited, if they
// are a [Dropper].
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
// Supervisors take part in that only with their parent: they end with a parent that they
// are linked with, and ignore all other signals.
//
// Reasons are told apart by their identity and never by their texts, which guests choose.
// A shutdown with a detail reaches linked processes as another one with the same detail:
// [ForRestart] and [ErrIntensity] concern the processes that a supervisor has asked to
// end, and no others.
//
// "Ends" in the table means as by [Process.Stop]: after the message at hand, with
// Terminate. A process whose Init has not begun ends without it. A process in Terminate
// already has its reason, and its links hold until it is through.
//
// By then its names ([Names]) and its number ([Process.Export]) are free, its timers
// ([Process.SendAfter]) stopped. Then come Exit and Down, and [Exited] to the parent, so
// that a receiver that starts a new process can give it the name. These messages are for
// one life: the next one with the same mailbox gets none of them, nor the messages of the
// last one's timers.
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
// "Restart all" stops all that run, the last first, and starts all in order, those
// included that had ended without a restart; but temporary ones are stopped and dropped.
// A restart that fails in Init counts as another crash of the child that failed. After
// more restarts than the [Intensity] allows, the supervisor stops its children and ends
// with [ErrIntensity]; its own supervisor decides what follows.
//
// A [Dynamic] is for children that come and go by the thousand, the handlers of channels.
// They come in groups, one for each topic. The table holds within a group, in the order
// of starts, and the intensity is counted for each child: a child that crashes again and
// again ends alone. A [Child] is one value over all of its lives, with its mailbox and its
// [Membership].
// Exited tells it the decision after each crash.
//
// The children of a Dynamic outlive it. A supervisor stops with [ForRestart] the children
// that it is going to start again, and the owner of a tree does the same before it
// replaces the tree:
//
//	the Dynamic ends with          its children
//	────────────────────────────   ─────────────────────────────────────────────
//	ForRestart, ErrIntensity,      wait, with their order and mailboxes: the next
//	a crash, Killed                process begins their lives, or Close ends them
//	any other shutdown, normal     end, and hear of it
//
// [Supervisor.Children] describes a tree while it runs.
//
// # Identities
//
// Processes and monitors have numbers, which have a meaning within their [Runtime] and as
// long as that runs. A text that leaves the runtime, for a guest above all, also names
// the runtime:
//
//	#1c.k3v9q2m     a pid          [Runtime.AppendPID], [Runtime.ParsePID]
//	 1c.k3v9q2m     a ref          [Runtime.AppendRef], [Runtime.ParseRef]
//	#1c             for people     [PID.String]
//	 │  └ incarnation of the runtime, 35 random bits, always seven digits
//	 └ number, base 32, counted from 1, up to 13 digits
//
// So an identity means one thing for ever: one of an earlier life of the server, or of
// another node, is well-formed and finds nobody. It fails with [ErrNoProcess], and a text
// that no runtime can have made with [ErrMalformed]. Each identity has one text, so that
// texts can be compared. Receivers take a text as opaque. It has 32 bytes at most.
//
// [Runtime.NewRef] numbers all else that is handed out: calls to answer, requests,
// timers, members of a topic. They count together, so that the life after a crash, which
// knows nothing of the last one, does not give its numbers out again.
//
// # Differences from OTP
//
//   - A child and its supervisor are not linked. An end reaches the parent as
//     [Exited], and the end of a parent that is no supervisor does not end its
//     children; Link is for that.
//   - A pid is <node.number.serial> in OTP, and on a wire has the node's name and the
//     creation of its life, 32 bits. Here the incarnation is in every text, and stands for the
//     node too: as soon as there are several, their membership says where an incarnation
//     runs. One runtime has one, made once with it.
//   - A killed process has the reason [Killed], and so has the kill itself. To
//     those linked it is passed on as another error that wraps it, which does
//     not kill when it is passed to Exit again. A shutdown with a detail is passed
//     on as another one, too.
//   - Link to an ended process is never an error of the caller, but the signal
//     noproc.
//   - Exit and Down go past the bound of a mailbox only for links and monitors that the
//     process asked for itself. If the mailbox is full, an Exit of another's link ends
//     the process with [ErrFull], an Exit by [Process.Exit] is an error to its sender,
//     and the message of a timer is lost and counted; that of PostAfter is not.
//   - A process may have several names, and a name is a string.
//   - Handle takes messages in order; there is no selective receive. Stop must overtake
//     messages, and is none.
//   - Mailboxes are bounded: a message too many is an error for its sender,
//     instead of memory for everybody.
//   - A mailbox can outlive a crash. A handler that crashes on one message of
//     a client must not lose the others.
//   - Kill does not run in the process: Go code cannot be interrupted. The
//     process counts as ended, and its code is on its own until it returns. It hears
//     of the kill by Yield and Done, or as a [Killer], and waits for no scheduler any
//     more.
//   - A supervisor's children hear why they are stopped: ForRestart, ErrIntensity
//     or Shutdown, where OTP always says shutdown.
//   - A supervisor that is asked to end while it starts a child stops that
//     child and ends; OTP's waits for the child's init without bound.
//   - A restart that fails is tried again at once, without taking other
//     messages between two attempts. The intensity bounds it either way.
//   - A crash that its process has marked as [Repeated] is not counted again: OTP has no
//     messages that come a second time.
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
// Why not a goroutine for each process? It costs 2 KB at least, and several times that
// after the first deep call, against 272 bytes here (mailbox included; links, names and
// timers are in a record that is made on demand). More important, with a million
// goroutines Go decides which ones run, and knows nothing of turns: ten spinning guests
// on two cores would leave little time for the rest.
//
// Why is an incarnation random and not a time? Nodes that are started together begin in
// the same millisecond, and clocks are set back; nothing needs to know which of two came
// first. Two given lives have the same one in one of 34 billion cases. And why so few
// bits? Guests that were built with the first C SDK keep 16 bytes of a pid: with these
// there is room for as many processes.
//
// Why do numbers not carry it? It would be twice as much to keep and to compare for every
// process, link and monitor. In one runtime all have the same. It is added to the text,
// which is made at the border anyway.
//
// Why one run queue, with a mutex, and no stealing? A send with its handling
// takes 200 ns to 1 µs (BenchmarkPingPong, BenchmarkStream). A turn in a guest takes microseconds. On machines where
// the mutex shows in a profile, a queue for each scheduler fits behind the same
// two functions.
//
// Why does a runner without work stay for 10 ms, and why not for longer? A new goroutine
// begins with a small stack, and to grow it for a guest takes 5 to 10 µs, more than most
// turns. So some runners for each place wait for the next process, and only for a moment:
// a Runtime without work is plain memory, and nothing of it has to be stopped. Before it
// parks, a runner looks for work for a microsecond, if a process runs that may make some.
//
// Why are groups counted by turns and not by time? A turn is bounded by the slice, and a
// process that stays longer loses its place. Counting costs nothing.
//
// Why does a killed process not wait for its place? It only has to unwind, and its
// memory, its names and the next life wait for that. Behind three hundred endless loops
// it would begin to unwind a second later.
//
// Why is a link an entry at both ends, made under two locks? So that an end
// needs one lock at a time and no order: it closes its own entries, then takes
// itself out of the others'.
//
// Why does Demonitor search the mailbox? The Down could stay in it and be skipped when
// its turn comes. But then a process that monitors and demonitors ended processes would
// fill its mailbox without a bound. Only a monitor that has fired is searched for, from
// the youngest message on.
//
// Why does a Child embed its Membership? A million handlers would take 200 MB more if the
// Dynamic had an object for each and maps to find them. Groups take as much again, and are
// kept only while the strategy needs them.
//
// Why is Exited posted past the mailbox's bound? A parent that misses the end
// of a child can never put that right. There is one such message for each
// child.
//
// Why is there no call? The form of questions and answers belongs to the guests that
// talk. [Process.Block] around a wait for the answer, the other's Done and a timeout is
// enough.
//
// Why does Handle not get a context? A process already has an end that can be
// waited for, [Process.Stopping], and a context costs several allocations for
// each life. Code that needs a deadline has its own.
//
// Why does a mailbox that belongs to a live process panic when it is adopted?
// It is a bug of the caller and would lose or reorder messages without a
// trace.
package supervisor
