package cluster

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// maxPeers is how many others a node can have: each has a bit.
const maxPeers = 64

// interests knows which peers have members or listeners of which topics. A topic takes its name and about 50 bytes.
type interests struct {
	seed   maphash.Seed
	shards [64]struct {
		mu     sync.RWMutex
		topics map[string]uint64 // the peers' bits, never zero
	}
}

func newInterests() *interests {
	i := &interests{seed: maphash.MakeSeed()}
	for s := range i.shards {
		i.shards[s].topics = map[string]uint64{}
	}
	return i
}

// of returns the bits of a topic.
func (i *interests) of(topic string) uint64 {
	s := &i.shards[maphash.String(i.seed, topic)%uint64(len(i.shards))]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[topic]
}

// set notes that a peer has an interest in a topic, or none any more. It reports whether that is a change.
func (i *interests) set(topic []byte, peer int, begun bool) bool {
	s := &i.shards[maphash.Bytes(i.seed, topic)%uint64(len(i.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.topics[string(topic)]
	now := was &^ (1 << peer)
	if begun {
		now = was | 1<<peer
	}
	switch {
	case now == was:
		return false
	case now == 0:
		delete(s.topics, string(topic))
	default:
		s.topics[string(topic)] = now
	}
	return true
}

// void forgets all interests of a peer.
func (i *interests) void(peer int) {
	for n := range i.shards {
		s := &i.shards[n]
		s.mu.Lock()
		for topic, was := range s.topics {
			if now := was &^ (1 << peer); now == 0 {
				delete(s.topics, topic)
			} else if now != was {
				s.topics[topic] = now
			}
		}
		s.mu.Unlock()
	}
}

// eachBit calls f with the numbers of the bits that are set.
func eachBit(b uint64, f func(int)) {
	for ; b != 0; b &= b - 1 {
		f(bits.TrailingZeros64(b))
	}
}
