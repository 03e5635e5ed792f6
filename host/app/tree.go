package app

import (
	"time"

	"rtd/host/release"
	"rtd/supervisor"
)

// tree declares the root supervisor of a release:
//
//	NAME            strategy and intensity from the settings
//	├─ child …      as the guest declared them
//	└─ channels     its channel handlers, in groups by topic
func (a *App) tree(r *release.Release) supervisor.Config {
	c := a.supervised(r.Children, "", r.Settings.Strategy, r.Settings.Intensity)
	c.Children = append(c.Children, supervisor.ChildSpec{
		ID:       release.ChannelsID,
		Start:    a.Supervisor().Spec,
		Restart:  supervisor.Permanent,
		Shutdown: r.Shutdown() + 5*time.Second,
	})
	return c
}

// supervised declares the supervisor with an id. The tree may outlive the release
// that has begun it.
func (a *App) supervised(all []*release.Child, id string, s supervisor.Strategy, i supervisor.Intensity) supervisor.Config {
	ends := &blame{bound: i.Max + 1}
	c := supervisor.Config{Strategy: s, Intensity: i, Report: func(report supervisor.Report) {
		if versions := a.blamedFor(report.Child); report.Decision != supervisor.Ends && !supervisor.IsRepeated(report.Reason) {
			ends.add(versions)
		}
		if report.Decision == supervisor.GivesUp {
			a.givesUp(id, ends) // before anybody hears of the crash
		}
		if supervisor.IsCrash(report.Reason) || report.Decision == supervisor.GivesUp {
			a.Crashed(report.Child, a.home.RanBy(report.Child), report.Reason, report.Decision, 0)
		}
	}}
	for _, child := range all {
		if child.Under == id {
			c.Children = append(c.Children, a.child(all, child))
		}
	}
	return c
}

func (a *App) child(all []*release.Child, c *release.Child) supervisor.ChildSpec {
	spec := supervisor.ChildSpec{ID: c.ID, Restart: c.Restart, Shutdown: c.Shutdown}
	switch c.Kind {
	case release.SupervisorChild:
		spec.Start = func() supervisor.Spec {
			return supervisor.Spec{Actor: supervisor.NewSupervisor(a.supervised(all, c.ID, c.Strategy, c.Intensity))}
		}
	case release.DynamicChild:
		// The supervisor is permanent; the restart type is that of its children.
		spec.Restart = supervisor.Permanent
		spec.Start = func() supervisor.Spec { return a.home.NewDynamic(c).Spec() }
	default:
		spec.Start = func() supervisor.Spec {
			return supervisor.Spec{Actor: a.home.NewWorker(c), Limit: a.current.Load().Settings.Mailbox}
		}
	}
	return spec
}
