package channels

import (
	"fmt"
	"iter"
)

// A hub can be part of a cluster. The other nodes are a Remote to it:
//
//	Broadcast ──► members, listeners here ──► Remote.Broadcast ══► Deliver of the nodes with interest ──► members, listeners there
//	a topic comes into use here, or out of it ──► Remote.Interest
//
// A topic is in use while it has members, listeners, or a history. Those here get a broadcast first, and wait for nobody. Presence diffs are not
// told: each node makes its own ones, out of its replica of who is present.
//
// Topics with history in memory have one order on all nodes, see order.go. Where it is durable, each node has one of its own, with its own positions: to a client that
// comes back to another node it says that it cannot tell. Such a history is an interest also if nobody is there: who comes back to this node is told that
// nothing is missing, which would be untrue if what other nodes said meanwhile had not come here.

// Remote is the rest of a cluster, as a hub sees it. Its methods are called with locks held, from any goroutine: they must not block, nor call back
// into this package.
type Remote interface {
	// Interest says that a topic has come into use on this node, or is not in use any more. Calls about one topic come one at a time and in
	// order, and begun alternates: the first one is true.
	Interest(topic string, begun bool)
	// Broadcast is told of each broadcast that was made on this node, whether or not its topic is in use here, after those here have it. Those
	// of one caller come in order, and so do all of a topic with history. The payload is the caller's again when it returns; empty text stands
	// for {}.
	Broadcast(topic, event string, payload []byte, binary bool)
}

// Connect has the hub be part of a cluster from now on, for good. It is best called before the first subscription. Later, r hears first of all topics
// that are in use; broadcasts that are made meanwhile may not be told.
func (h *Hub) Connect(r Remote) {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.Lock()
		shard.remote = r
		for topic := range shard.topics {
			r.Interest(topic, true)
		}
		shard.mu.Unlock()
	}
}

// Interests yields all topics that are in use. It may be called at any time after Connect, for a node that comes: a topic is yielded with the lock held
// under which [Remote].Interest is called for it. So whoever notes both in the order in which they come ends with what is true, even if a topic is
// not in use any more before it would be yielded, or in use before and yielded again. The loop's body is bound as the methods of a Remote are.
func (h *Hub) Interests() iter.Seq[string] {
	return func(yield func(topic string) bool) {
		for i := range h.shards {
			if !h.shards[i].interests(yield) {
				return
			}
		}
	}
}

// Used is how many topics are in use.
func (h *Hub) Used() (n int) {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		n += len(shard.topics)
		shard.mu.RUnlock()
	}
	return n
}

func (shard *hubShard) interests(yield func(topic string) bool) bool {
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	for topic := range shard.topics {
		if !yield(topic) {
			return false
		}
	}
	return true
}

// tell tells the remote that a topic has come into use, or out of it. Callers hold the shard's mu, for writing.
func (shard *hubShard) tell(topic string, begun bool) {
	if shard.remote != nil {
		shard.remote.Interest(topic, begun)
	}
}

// relay tells the remote of a broadcast that those here have. Callers hold the shard's mu.
func (shard *hubShard) relay(o *Outgoing) {
	if shard.remote != nil && !o.passing && !o.foreign {
		shard.remote.Broadcast(o.Topic, o.Name, o.Payload, o.Binary)
	}
}

// Deliver is [Endpoint.Publish] of a broadcast that another node made: it goes to the members and listeners here, and to no other node. If the topic is
// not in use, nothing happens. In a topic with history it gets a position of this node. The payload is the caller's again when Deliver returns.
//
// The error says what [CheckPublish] would, and nobody gets the broadcast then. Another node checked it as well, but may be of another version, or
// broken. To check a payload costs half of what it costs to encode it, once for all who get it, and what is no JSON could forge the frames of clients.
//
// Broadcasts of a topic with a durable history are stored first, and Deliver does not wait for that. If too many wait, or they cannot be stored, nobody
// here gets them, and [Stats].HistoryRefused counts them.
func (h *Hub) Deliver(topic, event string, payload []byte, binary bool) error {
	shard := h.shard(topic)
	shard.mu.RLock()
	a, used := shard.topics[topic]
	shard.mu.RUnlock()
	if !used {
		return nil
	}
	o := Outgoing{Kind: Broadcast, Topic: topic, Name: event, Payload: payload, Binary: binary, foreign: true}
	if err := o.check(); err != nil {
		return fmt.Errorf("deliver %.100q to %.100q: %w", event, topic, err)
	}
	if a.crowd != nil && h.archives.any.Load() && h.storeForeign(&o) {
		return nil
	}
	_ = h.Broadcast(&o, nil) // it counts members whose codec cannot write it
	return nil
}
