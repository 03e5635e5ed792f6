// Package suite holds one behaviour suite for all SDKs: README.md says what a plugin
// does, each SDK has it written in its language, and the tests expect the same of all
// of them, through the real server.
//
//	sdk/c/suite ────┐                      ┌─ channels, presence, connect
//	sdk/rust/suite ─┼─► testdata/*.wasm ──►┤  processes, behaviours, tree
//	sdk/as/suite ───┘   testdata/go        └─ vectors, migration, sizes
//
// # Questions
//
// Why one suite, and not tests in each SDK? An SDK promises that something happens in the
// server. Its own tests could only say what its author thinks of that; here the authors of
// the others think along.
//
// Why are built modules committed? So that who has Go alone can run all tests. The
// sources win: testdata/build makes the modules anew, and with --check says whether
// those here are current.
//
// Why does the plugin take orders, instead of doing something useful? A test then says
// all that happens, and one plugin serves for all of them. For something useful there is
// the plugin room.
package suite
