package app

import "slices"

// blame has the versions whose crashes one life of a supervisor has answered with
// restarts, the latest last, as many as its intensity can count. Only the supervisor's
// process uses it.
type blame struct {
	lives [][]string // by life; of a supervisor, all those that it gave up for
	bound int
}

// add notes the end of a life.
func (b *blame) add(versions []string) {
	if len(b.lives) >= b.bound {
		b.lives = b.lives[:copy(b.lives, b.lives[len(b.lives)-b.bound+1:])]
	}
	b.lives = append(b.lives, versions)
}

// all returns the versions without whose crashes the supervisor would not give up now.
func (b *blame) all() (versions []string) {
	for _, life := range b.lives {
		versions = append(versions, life...)
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// blamedFor returns the versions that a child of the tree has ended for.
func (a *App) blamedFor(child string) []string {
	if versions, gaveUp := a.gaveUp.LoadAndDelete(child); gaveUp {
		return versions.([]string)
	}
	return []string{a.home.RanBy(child).Version.ID}
}

// givesUp notes that a supervisor of the tree gives up; "" is the root, whose tree ends.
func (a *App) givesUp(id string, b *blame) { a.gaveUp.Store(id, b.all()) }

// ending reports whether the tree is about to end because its root has given up.
func (a *App) ending() bool {
	_, gaveUp := a.gaveUp.Load("")
	return gaveUp
}

// OthersToBlame returns the versions besides the current one whose crashes count among
// those for which the root gave up. If there are any, the current version alone would not
// have brought that about.
func (a *App) OthersToBlame() []string {
	versions, gaveUp := a.gaveUp.Load("")
	if !gaveUp {
		return nil
	}
	current := a.current.Load().Version.ID
	return slices.DeleteFunc(slices.Clone(versions.([]string)), func(v string) bool { return v == current })
}
