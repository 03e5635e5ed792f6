// Package author takes a plugin from an idea to a module: it writes new projects, and builds
// them with their language's own toolchain.
//
//	New("room", "rust") ──► room/                              the sources, yours
//	                        ├─ rtd.toml                        name, version, topics, capabilities
//	                        ├─ Cargo.toml, src/lib.rs, …       as the language has it
//	                        ├─ rtd/                            the SDK, so that it builds offline
//	                        ├─ test/room.rtd                   what rtd test runs
//	                        └─ README.md
//
//	Build("room") ──► cargo build … ──► start it once ──► topics as in rtd.toml? ──► room/room.wasm
//	                                                                                 with manifest
//
// [Project.Watch] tells when sources have changed, for rtd dev.
//
// # Questions
//
// Why does rtd know the flags of compilers, when each project could have a Makefile? Because they
// are the ABI's, not the project's: a reactor for Go, a small stack below the data for C. A
// newer rtd may know better ones. Rust and AssemblyScript have files for them, which a
// project keeps and may change.
//
// Which environment do compilers have? The user's, but for Go, whose variables can break the build:
// they are set as a server sets them that builds the plugin in its folder (host/folder). Of two Rusts the
// one with the target is taken, and the messages say why, and what would mend the other.
//
// Why is the module started during the build? Only the guest knows which topics it
// serves. And what traps at the start is better found here than at a deploy.
//
// Why is a project recognised by its files, instead of a key in rtd.toml? Cargo.toml says it
// already, and what is said twice can differ. A project needs no rtd.toml at all: the
// name of its folder will do.
//
// Why does Watch look instead of being told? A project has some dozens of files, a
// look at them takes a millisecond, and works on every file system. Notifications save time
// for servers with thousands of files (host/folder).
//
// Why does it import package names? A project has the name of its plugin, and a new one should be told before it has files.
package author
