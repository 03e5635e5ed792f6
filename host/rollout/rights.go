package rollout

import (
	"maps"
	"slices"

	"rtd/channels"
	"rtd/host/app"
	"rtd/host/process"
	"rtd/host/release"
)

// The rights of a plugin in topics other than that of the handler at hand depend on the
// other plugins: a topic is a plugin's own as long as the router would give it to that
// plugin. So each operation looks at the present owners, which cannot change meanwhile.
// When the owners change, processes lose their subscriptions and presences in topics that
// go to others before the change, and get them back with the topics:
//
//	Router.Set ──► take away subscriptions, presence ──► owners ──► give back
//	                 of those who may not any more      change       to those who may again

// reroute is [channels.Router].Around.
func (s *Set) reroute(next *channels.Owners, use func()) {
	s.node.ChangeRights(func() {
		now := s.node.Endpoint.Router.Owners()
		s.review(func(topic string) bool { return now.Of(topic) != next.Of(topic) }, next, use)
	})
}

// Regranted takes away and gives back subscriptions and presences if r has other grants
// than old, and histories if it keeps others. It implements [app.Owner].
func (pl *plugin) Regranted(old, r *release.Release) {
	if !old.SameHistory(r) {
		pl.set.node.Endpoint.ReviewHistory()
	}
	if slices.Equal(old.Settings.Grants, r.Settings.Grants) {
		return
	}
	s := pl.set
	s.node.ChangeRights(func() {
		s.review(func(string) bool { return true }, s.node.Endpoint.Router.Owners(), func() {})
	})
}

// review takes away, calls use, and gives back, in the topics for which rights change. It
// is called within ChangeRights.
func (s *Set) review(among func(topic string) bool, next *channels.Owners, use func()) {
	if s.isClosed() {
		use()
		return
	}
	now := s.node.Endpoint.Router.Owners()
	var ended, back changes
	s.node.Endpoint.Hub.Suspend(among, func(actor any, topic string) bool {
		return ended.note(actor, topic, !allowed(next, actor, topic), false)
	})
	s.node.Endpoint.Presence.Suspend(among, func(actor any, topic string) bool {
		return ended.note(actor, topic, !allowed(next, actor, topic), true)
	}, func(topic string) bool {
		before, after := now.Of(topic), next.Of(topic)
		return before != nil && after != nil && before != after
	})
	use()
	s.node.Endpoint.ReviewHistory()
	s.node.Endpoint.Hub.Resume(func(actor any, topic string) bool {
		return back.note(actor, topic, allowed(next, actor, topic), false)
	})
	s.node.Endpoint.Presence.Resume(func(actor any, topic string) bool {
		return back.note(actor, topic, allowed(next, actor, topic), true)
	})
	for pl, c := range ended.of {
		s.log.Warn("subscriptions and presence ended: the topics are not the plugin's any more", "plugin", pl,
			"topics", c.some(), "to", c.owners(next), "subscriptions", c.subscriptions, "presences", c.presences,
			"then", "they come back when the topics do; grants in [plugin."+pl+"] of config.toml would keep them")
	}
	for pl, c := range back.of {
		s.log.Info("subscriptions and presence are back: the topics are the plugin's again", "plugin", pl,
			"topics", c.some(), "subscriptions", c.subscriptions, "presences", c.presences)
	}
}

// allowed says whether a process may have a subscription or a presence in a topic.
func allowed(owners *channels.Owners, actor any, topic string) bool {
	of, own := process.AppOf(actor)
	a, is := of.(*app.App)
	return !is || topic == own || a.May(owners, topic)
}

// changes counts the subscriptions and presences that a review took away or gave back, by
// plugin.
type changes struct{ of map[string]*change }

type change struct {
	topics                   map[string]bool // the first few
	subscriptions, presences int
}

// maxNoted is how many topics a log line names.
const maxNoted = 5

// note counts a change if so is true, and returns so.
func (c *changes) note(actor any, topic string, so, presence bool) bool {
	if !so {
		return false
	}
	of, _ := process.AppOf(actor)
	if of == nil {
		return true
	}
	pl := of.Name()
	if c.of == nil {
		c.of = map[string]*change{}
	}
	n := c.of[pl]
	if n == nil {
		n = &change{topics: map[string]bool{}}
		c.of[pl] = n
	}
	if len(n.topics) < maxNoted {
		n.topics[topic] = true
	}
	if presence {
		n.presences++
	} else {
		n.subscriptions++
	}
	return true
}

func (c *change) some() []string { return slices.Sorted(maps.Keys(c.topics)) }

// owners names the owners of the topics.
func (c *change) owners(o *channels.Owners) []string {
	names := map[string]bool{}
	for topic := range c.topics {
		names[process.OwnerName(o.Of(topic))] = true
	}
	return slices.Sorted(maps.Keys(names))
}
