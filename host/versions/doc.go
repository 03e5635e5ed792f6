// Package versions keeps the modules of plugins that were deployed, for rollbacks.
//
//	DIR/chat/versions.json     what was deployed when and by whom, the latest first
//	DIR/chat/90ab….wasm        a module, named by its SHA-256
//	DIR/chat/2f1c….wasm
//	DIR/chat/states            empty; there if states of durable actors may name versions
//	DIR/chat/snapshots/        for the owner alone (0700, files 0600):
//	    90ab….KEY              what version 90ab… is when it has started; KEY is a hash of all that it saw then
//
//	s := versions.Open(dir, versions.Options{})
//	v, err := s.Put("chat", wasm, "ada", time.Now())   // it was deployed
//	err = s.Withdraw("chat", v.Hash, "crashes")        // it was a mistake
//	back, wasm, err := s.Previous("chat", v.Hash)      // what to go back to
//	kept := s.Snapshots("chat", v.Hash)                // for sandbox.LoadOptions
//	snapshot, err := kept.Find(name)                   // that a state names
//
// # A version's life
//
// A version on the disk, and in package rollout while it runs:
//
//	         Put                      Withdraw, before the swap
//	(none) ───────► kept ───────────────────────────────────────► kept, withdrawn
//	                 ▲  │ Previous finds it                        │ Previous passes over it
//	                 └──┼──────────────── Put, Restore ────────────┘
//	                    ▼ ten others were put, and no state needs it
//	                 (none)
//
// Each operation changes the list in one step, on the disk when it returns; a module is
// written before the list that names it, and removed after. So a server that is killed
// between two steps finds the list of before or of after, and at most a module that no
// list names, which the next change removes. A list that is damaged all the same is set
// aside, with a warning. The new list has its readable entries, and the modules that are
// there.
//
// # Rationale
//
// Why are versions named by their content? Two files of the same content are the
// same version, whoever built them and whatever they are called; and a module that
// was damaged on the disk is not what its name says, so that [Store.Get] refuses it.
//
// Why is a version that was rolled back marked, instead of removed? So that the next
// rollback goes further back and not to it again, and a server does not start it from the
// file that is still in the plugin folder. Deploying the version once more takes the mark
// away.
//
// Why is a mark written for a version that is not kept? A full disk may have had no room
// for its module. The mark is needed all the same; if need be its own module makes room
// for the mark, or another module that is not needed.
//
// Why one entry for a version, when it was deployed several times? People ask which
// versions there are and since when; the log has the rest.
//
// Why no lock against a second server? The folder belongs to one plugin folder, which
// belongs to one server. Writes are atomic all the same: a reader sees the old list or
// the new one.
//
// What are the snapshots for? States of actors are differences to a snapshot, and a module that starts twice makes
// two (package sandbox). So the first one is kept, and every later start of the process begins with it. The
// versions folder is the place, because a snapshot is worth something as long as its version is: it goes with it. The
// cache folder may be emptied by anybody at any time.
//
// How many snapshots are there? Three of a version, those that were used last, one for each config or limit of memory; at
// most 64 MiB each, a Go guest has 1. Besides those, all that are needed, one that was set aside, and two of versions that are not in the
// list: a module is loaded before it is deployed, and may be refused.
//
// Who checks them? Package sandbox, which has sealed them: here they are bytes, written as a whole. One that is
// damaged is set aside as HASH.KEY.bad, with one warning, and made again. What is put first stays: of two servers
// that start with one folder, the second finds what the first has put.
//
// What is needed ([Store.Needed])? The states of durable actors name the version and the snapshot that wrote them. As long as
// there is such a state neither goes: not with ten other versions, not with a fourth config, not from a disk that is full. A version
// that was withdrawn is needed like any other. While it is not known which states there are, as when their storage has not
// started, nothing goes of a plugin that has ever had some. What is lost all the same (by a person, or a disk) is an error that names it, in who asks for it.
//
// Why is there a [Store.Hold] before Put? A guest may write its first state before its version is in the list, and the server
// may be killed in between. The state's version is there then, and needed.
//
// Why a folder of their own? Others may list that of the versions. A key is a hash of the config, among other things,
// from which a secret of few letters could be guessed. The snapshot itself has the config, and the seeds of the guest's hash
// tables.
//
// Why does it import package sandbox? A snapshot's name stands at its beginning, and only sandbox knows how.
//
// Why does it import package disk? That is how all files are written here.
//
// Why are only ten kept (Options.Keep)? A module in Go takes megabytes. A rollback goes one version
// back, seldom two.
//
// Why does it import package names? A plugin's name is the name of a folder here: the rule keeps it from leading elsewhere.
package versions
