package process

import "rtd/channels"

// A guest may use a topic (publish, subscribe, be present and list who is) as long as its
// plugin may ([channels.Plugin].MayUse). That changes when plugins come and go. So the
// right is checked in each operation, while rights cannot change (using), and once more
// when an effect is applied (late).

// mayUse says whether the guest may use a topic. A handler may use its own, to its end.
func (b *body) mayUse(topic string) bool {
	return topic == b.guest.Topic() && topic != "" || b.home.App.MayUse(topic)
}

// using calls do if the guest may use a topic. The right does not change until do
// returns.
func (b *body) using(topic string, do func()) (may bool) {
	b.home.Node.rights.RLock()
	defer b.home.Node.rights.RUnlock()
	if may = b.mayUse(topic); may {
		do()
	}
	return may
}

// late notes that an effect is dropped, because another plugin has got the topic since
// the guest asked for it. It is logged once for each change of owners.
func (b *body) late(effect, topic string) {
	owners := b.home.Node.Endpoint.Router.Owners()
	if b.home.late.Swap(owners) == owners {
		return
	}
	name := b.home.App.Name()
	b.home.Node.Log.Warn("effect dropped: the topic has gone to another plugin", "plugin", name, "version", b.release.Version.ID,
		"effect", effect, "topic", topic, "to", OwnerName(owners.Of(topic)), "then", "grants in [plugin."+name+"] of config.toml would allow it")
}

// OwnerName returns the name of a topic's owner, for people.
func OwnerName(p channels.Plugin) string {
	if p == nil {
		return "nobody"
	}
	return p.Name()
}

// AppOf returns the application of a process's actor, or nil if that belongs to the host,
// and the topic that it handles, or "".
func AppOf(actor any) (app channels.Plugin, topic string) {
	switch a := actor.(type) {
	case *Worker:
		return a.home.App, ""
	case *connector:
		return a.home.App, ""
	case interface {
		Handles() (channels.Plugin, string)
	}:
		return a.Handles()
	}
	return nil, ""
}
