package cluster

import (
	"cmp"
	"context"
	"encoding/binary"
	"sync"
	"time"

	"rtd/channels"
	"rtd/channels/history"
)

// Topics with history have one owner among the nodes that are there: the one with the highest score, which is a hash of node and topic. All nodes that see the
// same others agree about it, and when one comes or goes, only the topics change hands that it gets or had. The node with the second highest
// score is the owner before one comes, and after it has gone.
//
// A node that does not know yet which topics have history, as its plugins are not there, is late: it orders nothing, and so does one that is about to end. If all
// are late, none is.

// ring are the nodes that are there.
type ring struct {
	nodes []place // that order topics
	late  []place
}

// place is a node that is there; peer is nil for this one.
type place struct {
	peer   *peer
	seed   uint64
	number uint64 // of this life of it; 0 for this node
}

func placeOf(p *peer, name string, life uint64) place {
	seed := fnv(name)
	return place{p, seed, mix(seed^life) | 1}
}

// owner returns the best node for a topic, and the second best.
func (r *ring) owner(topic string) (first, second *place) {
	hash := fnv(topic)
	var high, next uint64
	for i := range r.nodes {
		switch score := mix(hash ^ r.nodes[i].seed); {
		case first == nil || score > high:
			first, second, high, next = &r.nodes[i], first, score, high
		case second == nil || score > next:
			second, next = &r.nodes[i], score
		}
	}
	return first, second
}

// fnv is FNV-1a, the same on all nodes; mix is the end of MurmurHash3, which spreads it.
func fnv(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// turnRing has topics take over their owners, after a node has come or gone. Callers hold turn.
func (n *Node) turnRing() {
	self := placeOf(nil, n.options.Name, n.life)
	self.number = 0
	r := &ring{}
	add := func(at place, late bool) {
		if late {
			r.late = append(r.late, at)
		} else {
			r.nodes = append(r.nodes, at)
		}
	}
	n.orders.Lock()
	add(self, n.late)
	n.orders.Unlock()
	for _, p := range n.peerList() {
		p.mu.Lock()
		there := p.out != nil && p.in.synced // what is to be handed over can be said
		p.mu.Unlock()
		if there {
			add(p.place, p.late)
		}
	}
	if len(r.nodes) == 0 {
		r.nodes, r.late = r.late, nil
	}
	n.ring.Store(r)
	n.options.Hub.OwnersChanged()
}

// Order has the node order topics, if it was late: it knows which have history.
func (n *Node) Order() { n.setLate(false) }

// Retire has the other nodes order what this one does, and waits until they have the histories, or ctx ends.
func (n *Node) Retire(ctx context.Context) {
	n.setLate(true)
	for (n.givers.waiting() > 0 || n.giving.Load()) && rest(ctx, 5*time.Millisecond) {
	}
	for range 2 { // when all know it, and have sent nothing more to be ordered here; and when they have what was passed on until then
		var asked sync.WaitGroup
		for _, p := range n.peerList() {
			asked.Go(func() { _, _ = n.Ask(ctx, p.name, methodRelease, nil) }) // whatever it answers, it has taken all that was said before
		}
		asked.Wait()
	}
}

func (n *Node) setLate(late bool) {
	n.orders.Lock()
	n.late = late
	for _, p := range n.peerList() {
		n.sayOrders(p)
	}
	n.orders.Unlock()
	n.turn.Lock()
	defer n.turn.Unlock()
	n.turnRing()
}

// sayOrders tells a peer whether this node orders topics. Callers hold orders.
func (n *Node) sayOrders(p *peer) {
	p.say(messageOrders, 1, func(b []byte) []byte { return append(b, 1-flag(n.late)) })
}

// Owner implements [channels.Orderer].
func (n *Node) Owner(topic string) uint64 {
	first, _ := n.ring.Load().owner(topic)
	return first.number
}

// OwnerName returns the node that orders a topic; "" is this one.
func (n *Node) OwnerName(topic string) string {
	if first, _ := n.ring.Load().owner(topic); first.peer != nil {
		return first.peer.name
	}
	return ""
}

// peerOf returns the peer with a number; nil if it is not there.
func (n *Node) peerOf(number uint64) *peer {
	r := n.ring.Load()
	for _, nodes := range [][]place{r.nodes, r.late} {
		for _, p := range nodes {
			if p.number == number {
				return p.peer
			}
		}
	}
	return nil
}

// Send implements [channels.Orderer].
func (n *Node) Send(owner uint64, o *channels.Ordered) {
	n.sayOrdered(n.peerOf(owner), messageOrder, o)
}

// SendAll implements [channels.Orderer].
func (n *Node) SendAll(o *channels.Ordered) {
	eachBit(n.heard.of(o.Topic), func(slot int) { n.sayOrdered(n.slots[slot].Load(), messageOrdered, o) })
}

// Fits implements [channels.Orderer].
func (n *Node) Fits(topic, event string, payload int) bool {
	size := orderedRoom + len(topic) + len(event) + payload
	if size > maxMessage {
		n.tooLarge(topic, event, size)
	}
	return size <= maxMessage
}

// orderedRoom is more than an ordered broadcast, or one in a log, has besides topic, event and payload.
const orderedRoom = 512

func (n *Node) sayOrdered(p *peer, kind byte, o *channels.Ordered) {
	size := 128 + len(o.Topic) + len(o.Event) + len(o.Payload)
	switch {
	case p == nil: // it has just gone
		n.counts.unsent.Add(1)
	case size > maxMessage:
		n.tooLarge(o.Topic, o.Event, size)
	default:
		origin := cmp.Or(o.Origin, n.origin)
		n.counts.relayed.Add(1)
		if !p.say(kind, size, func(b []byte) []byte { return appendOrdered(b, o, origin) }) {
			n.counts.unsent.Add(1)
		}
	}
}

// ordered takes a broadcast that is to be ordered here, or was ordered by a peer.
func (n *Node) ordered(p *peer, kind byte, body []byte) error {
	o, err := parseOrdered(body)
	if err != nil {
		return err
	}
	if o.Origin == n.origin {
		o.Origin = ""
	}
	if kind == messageOrder {
		return n.options.Hub.Order(o)
	}
	return n.options.Hub.Ordered(p.number, o)
}

// Give implements [channels.Orderer].
func (n *Node) Give(_ uint64, topic string) { n.givers.add(lesson{topic: topic}) }

// give hands over topics, one after the other as the links take them, until the node ends.
func (n *Node) give() {
	for {
		n.giving.Store(true)
		s, found := n.givers.next()
		if !found {
			n.giving.Store(false)
			select {
			case <-n.givers.wake:
				continue
			case <-n.ctx.Done():
				return
			}
		}
		if first, _ := n.ring.Load().owner(s.topic); first.peer != nil {
			for first.peer.waiting() > window && first.peer.ctx.Err() == nil {
				if !rest(n.ctx, learnAgain) {
					return
				}
			}
		}
		n.options.Hub.HandOver(s.topic)
	}
}

// Hand implements [channels.Orderer].
func (n *Node) Hand(owner uint64, topic string, log channels.Archived) {
	if p := n.peerOf(owner); p != nil {
		b := appendLog(appendText(nil, topic), &log)
		p.say(messageHand, len(b), func(to []byte) []byte { return append(to, b...) })
	}
}

func (n *Node) handed(body []byte) error {
	r := reader{rest: body}
	topic := string(r.text(maxFrame))
	log, err := parseLog(&r)
	if err != nil {
		return err
	}
	n.options.Hub.Handed(topic, *log)
	return nil
}

// Wanted implements [channels.Orderer].
func (n *Node) Wanted(topic string) bool { return n.heard.of(topic) != 0 }

// appendOrdered and parseOrdered are of messageOrder and messageOrdered; appendLog and parseLog of logs.
func appendOrdered(b []byte, o *channels.Ordered, origin string) []byte {
	b = append(b, flag(o.Binary), byte(o.Hops))
	b = appendText(b, origin)
	b = binary.AppendUvarint(b, o.Ref)
	b = appendText(b, o.Position.Epoch)
	b = binary.AppendUvarint(b, o.Position.Offset)
	b = appendTime(b, o.At)
	b = appendText(b, o.Topic)
	b = appendText(b, o.Event)
	return append(b, o.Payload...)
}

func parseOrdered(b []byte) (*channels.Ordered, error) {
	r := reader{rest: b}
	o := &channels.Ordered{Binary: r.byte()&flagBinary != 0, Hops: int(r.byte())}
	o.Origin = string(r.text(maxOrigin))
	o.Ref = r.uvarint()
	o.Position = history.Position{Epoch: string(r.text(maxName)), Offset: r.uvarint()}
	o.At = r.time()
	o.Topic, o.Event = string(r.text(maxFrame)), string(r.text(maxFrame))
	o.Payload = r.rest
	if r.failed || o.Origin == "" {
		return nil, errMalformed
	}
	return o, nil
}

func appendLog(b []byte, log *channels.Archived) []byte {
	b = appendText(b, log.Epoch)
	b = binary.AppendUvarint(b, log.Last)
	for i := range log.Messages {
		m := &log.Messages[i]
		b = binary.AppendUvarint(b, m.Offset)
		b = append(b, flag(m.Binary))
		b = appendTime(b, m.At)
		b = appendText(b, m.Event)
		b = appendText(b, m.Payload)
	}
	return b
}

// parseLog reads all that is left. The payloads are parts of it.
func parseLog(r *reader) (*channels.Archived, error) {
	log := &channels.Archived{Epoch: string(r.text(maxName)), Last: r.uvarint()}
	for !r.failed && len(r.rest) > 0 {
		m := channels.PastMessage{Offset: r.uvarint(), Binary: r.byte()&flagBinary != 0, At: r.time(), Event: string(r.text(maxFrame)), Payload: r.text(maxFrame)}
		if k := len(log.Messages); k > 0 && m.Offset != log.Messages[k-1].Offset+1 || m.Offset > log.Last ||
			channels.CheckPublish("topic", m.Event, m.Payload, m.Binary) != nil {
			r.fail()
		}
		log.Messages = append(log.Messages, m)
	}
	if _, ok := history.Parse(log.Epoch + ":0"); !ok || r.failed {
		return nil, errMalformed
	}
	return log, nil
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMicro())
}

func (r *reader) time() time.Time {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return time.Time{}
	}
	if r.rest = r.rest[size:]; n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}
