// Package hosttest helps tests that need a whole rtd: a [Server] in the test's process, with its
// folder, config file and log, and a [Client] of it, or of one in another process. Only tests may
// import it.
//
//	s := hosttest.Start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": wasm}})
//	c := s.Connect(t)
//	c.MustJoin(t, "echo:a", "{}")
//	c.WantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
//
// The end of the test closes clients and server, and checks that no goroutine of theirs is left.
// Tests may run in parallel: each server knows its own goroutines.
//
// # Waiting
//
// Every wait is for an event, and [Patience] bounds it: a reply, a message, a line of the log, a
// metric that [Server.Metric] reads until [Eventually] it is so. Tests that pass do not come near
// that bound, on a busy machine either. An event that must not happen is looked for after one that came later.
//
// # Rationale
//
// Why in the test's process? Its goroutines can be counted, its log and metrics read at once,
// the race detector sees it, and a start takes milliseconds. Tests of the binary are in cmd/rtd; they
// use the client alone.
//
// Why do methods that take a testing.TB have a twin without? Only the test's own goroutine may end
// the test. Others return errors, of which a [FirstError] keeps the first.
package hosttest
