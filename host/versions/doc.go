// Package versions keeps the modules of plugins that were deployed, so that there is
// a way back.
//
//	DIR/chat/versions.json     what was deployed when and by whom, the latest first
//	DIR/chat/90ab….wasm        a module, named by its SHA-256
//	DIR/chat/2f1c….wasm
//
//	s := versions.Open(dir, versions.Options{})
//	v, err := s.Put("chat", wasm, "ada", time.Now())   // it was deployed
//	err = s.Withdraw("chat", v.Hash, "crashes")        // it was a mistake
//	back, err := s.Previous("chat", v.Hash)            // what to go back to
//	wasm, err = s.Get("chat", back.Hash)
//
// # Rationale
//
// Why are versions named by their content? Two files of the same content are the
// same version, whoever built them and whatever they are called; and a module that
// was damaged on the disk is not what its name says, so that [Store.Get] refuses it.
//
// Why is a version that was rolled back marked, instead of removed? So that the next
// rollback goes further back and not to it again, and that a server which starts with
// its file still in the plugin folder knows better. Deploying it once more takes the
// mark away: somebody wants it.
//
// Why one entry for a version, when it was deployed several times? What people ask is
// which versions there are and since when; the log has the rest.
//
// Why no lock against a second server? The folder belongs to one plugin folder, which
// belongs to one server. Writes are atomic all the same: who reads meanwhile sees the
// old list or the new one.
//
// Why are only ten kept? A module in Go takes megabytes. A rollback goes one version
// back, seldom two.
package versions
