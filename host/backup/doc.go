// Package backup has all that a server remembers in one file: what is stored of durable actors, and the versions that wrote it.
//
//	server that runs                          server that does not
//	store.Backup ──┐                        ┌──► versions folder
//	               ├─► Write ──► FILE ──► Open
//	versions ──────┘                        └──► store.Restore ──► bus
//
// FILE is a tar file:
//
//	rtd-backup.json          {"format": 1, "made": TIME}
//	states/000000 …          what package store writes, in pieces
//	versions/PLUGIN/…        the plugin's files in the versions folder: modules and snapshots
//	end.json                 {"pieces": N, "files": N}: without it the file is cut
//
// # Questions
//
// Why are the versions copied after the states? A version that a state needs is not removed. So whatever version a state of the
// backup names is there when its turn comes.
//
// Why a tar file? Anybody can look into it, and nothing of it is compressed that is large: states are as the log has them.
//
// Why is a file read twice? The first time shows that it is whole and that no name leads elsewhere, before anything is written.
//
// # Rationale
//
// It knows neither bus nor store: who calls it has them. host/disk writes files, host/names has the rule for names of plugins.
package backup
