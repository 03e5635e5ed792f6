// Package folder turns a directory of plugins into a stream of settled plugin files, and keeps them built from
// their Go sources.
//
// A file NAME.wasm is a plugin. A directory NAME/ next to it with a Go package main is
// its source. [Open] reports the plugins that are there, closes [Folder.Ready], and then
// reports changes:
//
//	f, err := folder.Open(ctx, folder.Options{Dir: "plugins", Build: true})
//	for change := range f.Changes() { … }
//
// One goroutine owns all state. Notifications from the system and a timer only make it
// look. It decides by what it sees, so that a lost, doubled or reordered notification
// does no harm.
//
//	notifications ─┐                ┌─ NAME.wasm: changed ─► quiet ─► read, hash ─► Change{WASM}   if the hash is new
//	               ├─► look ────────┤             absent for 3×Quiet ─────────────► Change{Removed}
//	poll ──────────┘    ▲           └─ NAME/: changed ─► quiet ─► hash of the source is new? ─► go build
//	                    │                                                                        │
//	                    └──────────────── NAME.wasm replaced in one step ◄───────────────────────┘
//
// The folder is looked at again every Poll in any case, so that a network file system, or
// one without notifications at all, needs no setting. A folder that cannot be written to
// is served too; only builds need to write.
//
// Whether a file is WebAssembly is for the receiver to find out: it must compile it anyway, and can keep the old
// version running if that goes wrong.
//
// # When a source is built
//
// The hash of a source covers every file of its packages except the standard library's,
// go.mod and go.sum, the version of Go and the build flags. Next to the plugins,
// .rtd/NAME.json remembers the hash of the source of the .wasm.
//
//   - The remembered hash is the current one: the .wasm is used as it is. A file dropped in wins until the source
//     changes.
//   - Nothing is remembered and the .wasm is newer than every file of the source: it is used, and remembered.
//   - There is no Go toolchain that runs: the .wasm is used if there is one, and the log says so.
//   - Else it is built. If that fails the error is reported, and the .wasm stays as it was.
//
// The comparison is made when the folder is opened, and when a file of the source or of a package that it uses
// changes (packages from the module cache aside). To unload a plugin that has a source, delete its .wasm: it comes
// back when the source changes, when a .wasm is dropped in, and at the next start.
//
// # Rationale
//
// Why not in the user's environment? A go.work above, GOFLAGS=-mod=vendor or
// GO111MODULE=off concern other programs, and break this build or change its result,
// which the hash would not show. [GoEnv] has the settings instead.
//
// Why look at the whole folder, when a notification says which file it is about? Editors, cp, tar, rsync and build
// tools create, truncate, write, rename and link in so many orders that a state machine over notifications always misses
// one; and network file systems send none. A look is a few dozen system calls.
//
// Why wait for quiet instead of the end of writing? Only Linux tells when a writer closes
// a file, and some writers close and open again. Size, time and identity must stay the
// same for Options.Quiet, and must be the same before and after reading. A file that ends
// within a section of a module gets twenty times as long: its writer has paused. If
// nothing more comes it is passed on, so that the receiver can report the fault.
//
// Why is an empty file never passed on? Creating and filling a file are two steps, and nobody means a plugin of no
// bytes.
//
// Why does a removal take three times Quiet? Several tools overwrite a file by deleting
// it and writing it anew. That must not close channels.
//
// Why is an unreadable folder not the removal of all plugins? It is more often a disk or a mount that is away for
// a moment, and unloading would not help.
//
// Why is a file read once more, two seconds after it has changed? Clocks of file systems tick in steps of up to two
// seconds, and two writes of the same length within one step look the same. Notifications would tell, where there
// are any.
//
// Why is there Write, when anybody can write into a folder? A receiver that deploys a module itself wants a
// restart to find it. If the folder told it of that file a moment later, a rollback in between would be undone.
//
// Which links are followed? All: of a file, through others, and of the folder itself. The
// file at the end counts, so that a swap of any link is a change: by deploy tools that
// swap a folder, or by Kubernetes, whose volumes swap a link ..data next to the files
// (names with a dot in front are no plugins). Notifications come for the folder's own
// entries; the rest is found by polling.
//
// Why hash at all, after comparing times? touch, git checkout and rsync change times of unchanged files, and a build
// often gives the same bytes. Receivers then hear nothing, and no channel is moved for nothing.
//
// Why a hash of the source, when go build has a cache? go build would link anew at every start and every save, and
// it cannot tell a .wasm that was dropped in on purpose from an outdated one.
//
// Why can changes wait for the receiver without a queue? A change holds up to 64 MiB. While one waits, the folder
// keeps taking notifications, and looks again when the receiver is back: it gets the latest content, not each in between.
//
// Why fsnotify? Each system has notifications of its own kind, and fsnotify knows them
// all.
//
// Why does it import package disk? A file that a server writes here for its next start
// must be there as a whole.
//
// Why does it import package names? A file whose name is no plugin's is reported, and
// none is written.
//
// Why does it import package sections? It tells a file that ends within a section from a
// complete one, and has the bound on a module's bytes.
package folder
