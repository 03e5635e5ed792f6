// Package disk reads and writes the small files that a server keeps for itself: versions,
// crash reports, notes about builds. All of them are a help, and none may prevent a
// start.
//
//	data, err := disk.Read(path, 1<<20)                  // a regular file of so many bytes at most
//	to, err := disk.SetAside(path)                       // it is no good: PATH.bad, for somebody to look at
//	size, err := disk.Replace(path, 0o600, write)        // old or new, whatever happens meanwhile
//	size, err := disk.ReplaceLater(path, 0o600, write)   // the same, unless the power is lost
//	disk.Sweep(dir, time.Hour)                           // what was being written when a server died
//
// # Questions
//
// What does Replace promise? A reader finds the old file or the new one as a whole, also
// after the process was killed, the disk was full, or the power was lost. The bytes are
// on the disk before the name is; and when Replace returns, so is the name.
//
// Who needs ReplaceLater? Those whose files others must not wait for, not even for the few milliseconds
// in which a goroutine that waits for a disk keeps its processor: crash reports.
//
// Why is Read not os.ReadFile? A path may name a directory, a device, or a pipe, on which
// os.Open waits for ever; or a file that is larger than memory.
//
// Why are bad files set aside, instead of removed? They may be the only copy of their
// content, and the cause of the damage is worth finding. One of each name is kept.
package disk
