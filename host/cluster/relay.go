package cluster

import "time"

// Interest implements [rtd/channels.Remote].
func (n *Node) Interest(topic string, begun bool) {
	kind := byte(messageCeased)
	if begun {
		kind = messageBegun
	}
	for i := range n.slots {
		if p := n.slots[i].Load(); p != nil {
			p.say(kind, len(topic), func(b []byte) []byte { return append(b, topic...) })
		}
	}
}

// Broadcast implements [rtd/channels.Remote].
func (n *Node) Broadcast(topic, event string, payload []byte, binary bool) {
	bits := n.heard.of(topic)
	if bits == 0 {
		return
	}
	s := said{topic, event, payload, binary}
	size := 8 + len(topic) + len(event) + len(payload)
	if size > maxMessage {
		n.tooLarge(topic, event, size)
		return
	}
	n.counts.relayed.Add(1)
	eachBit(bits, func(slot int) {
		if p := n.slots[slot].Load(); p != nil {
			p.say(messageBroadcast, size, s.append)
		}
	})
}

// Disconnect has other nodes disconnect their sockets with an id.
func (n *Node) Disconnect(id string) {
	for i := range n.slots {
		if p := n.slots[i].Load(); p != nil {
			p.say(messageExpel, len(id), func(b []byte) []byte { return append(b, id...) })
		}
	}
}

func (n *Node) tooLarge(topic, event string, size int) {
	n.counts.tooLarge.Add(1)
	now, last := time.Since(n.began).Nanoseconds(), n.toldLarge.Load()
	if last != 0 && now-last < complainEvery.Nanoseconds() || !n.toldLarge.CompareAndSwap(last, now) {
		return
	}
	n.log.Warn("broadcast is too large for other nodes: members there do not get it", "topic", topic, "event", event, "bytes", size, "most", maxMessage)
}

// tellAll tells a peer all that it has to know of this node. What changes meanwhile is told it as well, by others.
func (n *Node) tellAll(p *peer) {
	n.orders.Lock()
	n.sayOrders(p)
	n.orders.Unlock()
	for topic := range n.options.Hub.Interests() { // with the locks held that Interest is called with: both come in order
		p.say(messageBegun, len(topic), func(b []byte) []byte { return append(b, topic...) })
	}
	if n.options.Presence == nil {
		return
	}
	for piece := range n.options.Presence.Snapshot() {
		p.say(messagePresence, len(piece), func(b []byte) []byte { return append(b, piece...) })
	}
}

// changesEvery is the least time between two tellings of presences.
const changesEvery = 20 * time.Millisecond

// Changed says that presences have changed here. It does not wait.
func (n *Node) Changed() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// tellChanges tells all peers of changed presences, until the node ends.
func (n *Node) tellChanges() {
	for {
		select {
		case <-n.changed:
		case <-n.ctx.Done():
			return
		}
		for piece := n.options.Presence.TakeChanges(); piece != nil; piece = n.options.Presence.TakeChanges() {
			for i := range n.slots {
				if p := n.slots[i].Load(); p != nil {
					p.say(messagePresence, len(piece), func(b []byte) []byte { return append(b, piece...) })
				}
			}
		}
		if !rest(n.ctx, changesEvery) { // changes that come close together are told together
			return
		}
	}
}
