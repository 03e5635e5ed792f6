package channels

import (
	"iter"
	"maps"
	"slices"
)

// topics is what a socket has joined. Most sockets have joined one topic or two, for
// which a map takes a quarter of a kilobyte: those are in a list.
type topics struct {
	few  []*joined
	many map[string]*joined // in place of few, if there were more
}

// fewTopics is how many there may be in the list.
const fewTopics = 8

// get returns what was joined, or nil.
func (t *topics) get(topic string) *joined {
	if t.many != nil {
		return t.many[topic]
	}
	if i := t.index(topic); i >= 0 {
		return t.few[i]
	}
	return nil
}

// put adds what is not there yet.
func (t *topics) put(j *joined) {
	if t.many == nil && len(t.few) < fewTopics {
		t.few = append(t.few, j)
		return
	}
	if t.many == nil {
		t.many = map[string]*joined{}
		for _, j := range t.few {
			t.many[j.member.Topic] = j
		}
		t.few = nil
	}
	t.many[j.member.Topic] = j
}

// take removes and returns what was joined.
func (t *topics) take(topic string) *joined {
	j := t.get(topic)
	if t.many != nil {
		delete(t.many, topic)
	} else if i := t.index(topic); i >= 0 {
		t.few = slices.Delete(t.few, i, i+1)
	}
	return j
}

func (t *topics) index(topic string) int {
	return slices.IndexFunc(t.few, func(j *joined) bool { return j.member.Topic == topic })
}

func (t *topics) len() int { return len(t.few) + len(t.many) }

// all is in no order. Nothing may be added or removed meanwhile.
func (t *topics) all() iter.Seq[*joined] {
	if t.many != nil {
		return maps.Values(t.many)
	}
	return slices.Values(t.few)
}
