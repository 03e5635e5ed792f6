package channels

import (
	"iter"
	"maps"
	"slices"
)

// topics are the memberships of a socket. Most sockets have one or two, for which a map would take
// a quarter of a kilobyte: these are in a list.
type topics struct {
	few  []*member
	many map[string]*member // in place of few, if there were more
}

// fewTopics is how many there may be in the list.
const fewTopics = 8

// get returns the member of a topic, or nil.
func (t *topics) get(topic string) *member {
	if t.many != nil {
		return t.many[topic]
	}
	if i := t.index(topic); i >= 0 {
		return t.few[i]
	}
	return nil
}

// add adds the member of a topic that has none yet.
func (t *topics) add(at *member) {
	if t.many == nil && len(t.few) < fewTopics {
		t.few = append(t.few, at)
		return
	}
	if t.many == nil {
		t.many = map[string]*member{}
		for _, at := range t.few {
			t.many[at.Topic] = at
		}
		t.few = nil
	}
	t.many[at.Topic] = at
}

// remove removes the member of a topic, and returns it.
func (t *topics) remove(topic string) *member {
	at := t.get(topic)
	if t.many != nil {
		delete(t.many, topic)
	} else if i := t.index(topic); i >= 0 {
		t.few = slices.Delete(t.few, i, i+1)
	}
	return at
}

func (t *topics) index(topic string) int {
	return slices.IndexFunc(t.few, func(at *member) bool { return at.Topic == topic })
}

func (t *topics) len() int { return len(t.few) + len(t.many) }

// all is in no order. Nothing may be added or removed meanwhile.
func (t *topics) all() iter.Seq[*member] {
	if t.many != nil {
		return maps.Values(t.many)
	}
	return slices.Values(t.few)
}
