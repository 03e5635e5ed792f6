// Package script runs a plugin's tests: small texts that say what clients do, and what they
// must get.
//
//	room.rtd      connect ada                             a Client of package stage
//	              ada join room:1 {"user": "ada"}         a frame to the real protocol, and on to the guest
//	              ada ok                                  waits for the reply
//	              ada push new_message {"body": "hi"}
//	              ada expect new_message {"body": "*"}    waits for the broadcast, and compares
//
//	[Parse] ──► *Script ──► [Run] ──► [Result], with a [Failure] that says line, expected and got
//
// [Format] is the whole language. Each script has a stage of its own, with new processes and
// clients, so that scripts run in parallel and do not depend on each other.
//
// # Questions
//
// Why a language of its own, when tests could be written in Go or JavaScript? A plugin may be in any
// language, and its author need not know another one. A script reads like the log of what
// happened, and is all that there is to a test.
//
// Why do steps wait, where other test tools compare what has come? What a handler does, it does in
// its own time. A step that waits ends as soon as it can.
//
// Why does expect pass over other events? Two broadcasts of different events have an order, but a test that is
// about one of them need not say so. quiet says that there is nothing left.
//
// Why does clock stop the time, when it could set it and let it go on? What a handler says of a time can then be
// expected to the millisecond.
//
// What of durable actors? They are, for as long as the script runs: a crash is a rollback, and a topic that sleeps goes on where it was.
//
// Why no variables, loops, functions? A test that needs them has become a program. Then
// write one, against rtd dev, with a real Phoenix client.
package script
