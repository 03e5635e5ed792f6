package app

import (
	"context"
	"time"

	"rtd/host/release"
)

const (
	// rememberPatience is how long a plugin waits for what is stored of it before its topics are served.
	rememberPatience = 5 * time.Second
	// rememberAgain is how long it takes until that is tried again, while its topics are answered "unavailable".
	rememberAgain = 2 * time.Second
)

// remember has the processes back that are stored and that the tree of a release has not started. If that cannot be
// done now, it is done as soon as it can be.
func (a *App) remember(r *release.Release) {
	try := func() error {
		ctx, cancel := context.WithTimeout(a.old.ended, rememberPatience)
		defer cancel()
		return a.home.WakeProcesses(ctx, r)
	}
	err := try()
	if err == nil {
		return
	}
	a.node.Log.Error("durable processes cannot be started yet, and durable topics are unavailable; that is tried again", "plugin", a.name, "cause", err)
	a.owner.Background(func() {
		for a.old.ended.Err() == nil && !a.Failed() {
			select {
			case <-a.old.ended.Done():
				return
			case <-time.After(rememberAgain):
			}
			if try() == nil {
				a.node.Log.Info("durable processes are back", "plugin", a.name)
				return
			}
		}
	})
}
