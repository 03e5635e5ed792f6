package channels

// inspectMessage asks for a [Channel.Inspect].
type inspectMessage struct {
	look    func(g Guest, members string)
	dropped func()
}

// Dropped implements [supervisor.Dropper]: the handler has ended.
func (m inspectMessage) Dropped() { m.dropped() }

// Inspect calls look between two messages of the handler, with its guest and the members as
// import has them; or dropped, if the handler ends before. It may be called from any
// goroutine.
func (h *handler) Inspect(look func(g Guest, members string), dropped func()) {
	m := inspectMessage{look, dropped}
	if h.box.Post(m) != nil {
		dropped()
	}
}

func (h *handler) inspect(m inspectMessage, members func() string) {
	if h.guest == nil {
		m.dropped()
		return
	}
	m.look(h.guest, members())
}
