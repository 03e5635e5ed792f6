// Package ask is how processes talk to each other, and how a service of the host is written.
// It knows nothing of guests: a process in Go and a guest get the same [Request] and [Message].
//
//	asker                                           process that is asked
//	New ──► Send ──► counted, in the mailbox ──► Take ──► Answer, Fail, or it ends
//	 │                                                       │
//	 ├─ Done, Fetch ◄────────────────────────────────────────┤
//	 └─ Answered, if Notify was called ◄─────────────────────┘
//
//	request.go   questions: made, sent, answered     services.go  the services of the host, and who runs them
//	message.go   casts and the like
//
// A [Request] ends once: with an answer, with the reason why there is none, or with the end of
// the process that was asked, for which the asker watches it. A [Message] has no answer.
//
// # Who asks
//
// [Request.From] and [Message.From] name the plugin, its process, and the services that
// config grants to the plugin. So a service can answer one plugin otherwise than another,
// and keep the state of a process until that process ends ([supervisor.Process.Monitor]).
//
// # Who pays
//
// Questions, answers and messages that wait are counted against the plugin of the asker
// (its [Account]): a question until it is taken, an answer until it is fetched, a message
// until it is handled. If there is no room, sending fails with [abi.CodeFull], and an
// answer with [abi.CodeLimit]. A service need not count its messages; it must bound its
// own work and memory.
//
// # Services
//
//	Services ── Provide(Service) ──► process "rtd/NAME", under a supervisor of its own
//
// A [Service] is a supervised process in Go. It does work that guests cannot do, such as
// reaching a database. Guests call it, cast to it and monitor it as "rtd/NAME", by the
// operations that they use among each other; so every language has it at once. rtd ps
// lists it under the plugin "rtd". It ends after all plugins.
//
// What if it crashes? It is started again, and its mailbox stays. Callers that wait for
// an answer are told that the process has ended. After four crashes in five seconds it is
// gone, and one line in the log says so.
//
// What if it is slow? Its mailbox has a bound (by default 1,000 messages); callers are
// told if it is full. A guest that waits does not hold a thread, and its call has a
// timeout. Handle should not wait for long: it starts a goroutine of its own that answers
// the request later, bounds how many of them there are, and ends them in Terminate.
//
// What if one plugin asks all the time? All plugins share the mailbox of a service, and its time: those that
// come after it wait, or are told that it is full. A service that works for long shares itself out by
// [Request.From].
//
// Who may ask it? Guests of a plugin whose table in config.toml grants it:
// services = ["rtd/NAME"]. None can end it, or link itself with it.
//
// # A new service
//
//	1  host/NAME/doc.go               the questions and answers, with examples; errors; bounds
//	2  host/NAME/NAME.go              a function that returns the [Service]; it imports this package and supervisor
//	3  host/NAME/NAME_test.go         asks it by [Call], in a [Services] of its own; a fuzz target for questions
//	4  host/services.go               provides it. From here on every guest can call it, if config grants it
//	5  cmd/rtd/stage/stage.go         provides it to rtd test, with what a test sets in place of the world
//	6  host/arrows_test.go            its arrows
//	7  README.md, config.toml         its row among the packages, and Not there yet; its name at services
//	8  sdk/go, sdk/rust/src, sdk/as/assembly, sdk/c/src   functions that write the question and read the answer, in a
//	                                  file NAME of each. What the service refuses is malformed, with its reason
//	9  sdk/suite/README.md and the plugin suite in four languages: steps 9 to 12 of a new effect in sandbox/abi/doc.go
//
// host/clock is the example: host/clock/question.go is what guests say, and sdk/go/clock.go says it.
//
// A question that fails by [Request.Fail] looks to the guest as if the service had ended. A service that only refuses
// answers so, as host/clock does: {"error": WORD, "message": TEXT}.
//
// # Rationale
//
// sandbox/abi has the codes that guests are told and the two kinds of messages; supervisor has
// the processes. Sandbox, channels and the code of guests are not imported, so that a service
// is written, read and tested without them.
package ask
