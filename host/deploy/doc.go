// Package deploy is how the versions of plugins come and go: from files in the plugin folder, by
// those who administer the server, and back again; and the record of it.
//
//	plugin folder ── Change ──► Run, one queue per plugin ─┐
//	rtd deploy, API ──────────► Deploy, DryRun ────────────┼──► rollout.Set.Change ──► current
//	rtd rollback ─────────────► Rollback ──────────────────┘         │
//	crashes (rollout) ────────► withdrawing, withdrawn               │ in the plugin's order
//	                                  └──────────────────► record ◄──┘
//	                                                     (package versions)
//
//	deploy.go     Deploy, DryRun, Rollback          record.go     what is written down, and read at the start
//	folder.go     what a changed file comes to      refusals.go   what could not be deployed, and when again
//	readiness.go  why clients should not come yet
//
// All of them end in [rollout.Set.Change], whose functions are called in the order in which
// versions become current: so the record names the version that runs, also if the process
// dies in between.
//
// # Questions
//
// A file cannot be deployed; what runs? What ran before. At the start it is the latest kept
// version, for the server before ran on with it, too. The refusal is kept, and tried again when
// the topics that it claims may be free, when its table of config changes, or when a plugin that
// it depends on runs.
//
// A version was rolled back, and its file is still in the folder? The next start deploys the
// version before it, and says so, until the file changes.
//
// Why is a module that is deployed by hand written into the folder? So that the next start finds
// it. The folder does not tell of its own writing: whatever has become of the plugin until then
// would be undone.
//
// What else is kept of a version? Its snapshot, which is what the guest is when it has started, for each config and
// limit of memory that it ran under lately (package versions). The next start of the server begins with it: so it
// neither starts the guest again nor makes another memory, to which states of actors would not fit. Package
// sandbox tells its meaning for secrets.
//
// What if versions cannot be written, because the disk is full? The plugin runs, and a line in
// the log says that there will be no way back to this version.
//
// And if the plugin has durable actors? Then it is not deployed: their states name the version and its snapshot, so both
// are kept before the first guest starts ([rtd/host/rollout.Set].Hold), and as long as there are such states.
//
// # Rationale
//
// host/rollout makes versions current, of settings that host/release describes; host/folder
// tells of files, host/versions keeps what was deployed, and host/durable names what of it a state
// needs. sandbox says that it is closed, which
// is no fault of a module, and what a place for snapshots is. host/names has the rule for a name in a request, which becomes
// that of a file. Nothing here knows of sockets, HTTP or config.
package deploy
