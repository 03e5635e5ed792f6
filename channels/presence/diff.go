package presence

import (
	"cmp"
	"slices"
)

// Diff is a change to a set of presences: the entries that were added, and those
// that were removed. An entry is in one of the lists only. Both are ordered by
// topic, key and tag.
type Diff struct{ Joins, Leaves []*Entry }

// JSON returns the payload of a presence_diff. The Diff must be about one topic. The
// payload has the metas that have joined and left, and no other metas of their keys.
func (d Diff) JSON() []byte {
	size := len(`{"joins":{},"leaves":{}}`)
	for _, entries := range [][]*Entry{d.Joins, d.Leaves} {
		for _, e := range entries {
			size += len(e.Key) + len(e.Meta) + perMeta
		}
	}
	b := make([]byte, 0, size)
	b = append(b, `{"joins":`...)
	b = appendEntries(b, d.Joins)
	b = append(b, `,"leaves":`...)
	b = appendEntries(b, d.Leaves)
	return append(b, '}')
}

// perMeta is the length of the JSON around a meta and its key, at most, if the key needs
// no escapes.
const perMeta = len(`,"":{"metas":[]}`)

// appendEntries appends {key: {"metas": […]}} of entries that are ordered by key.
func appendEntries(b []byte, entries []*Entry) []byte {
	b = append(b, '{')
	for i, e := range entries {
		switch {
		case i > 0 && e.Key == entries[i-1].Key:
			b = append(b, ',')
		case i > 0:
			b = append(b, `]},`...)
			fallthrough
		default:
			b = appendString(b, e.Key)
			b = append(b, `:{"metas":[`...)
		}
		b = append(b, e.Meta...)
	}
	if len(entries) > 0 {
		b = append(b, `]}`...)
	}
	return append(b, '}')
}

// sorted puts d in order and returns it.
func (d Diff) sorted() Diff {
	order := func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Key, b.Key), a.Tag.compare(b.Tag))
	}
	slices.SortFunc(d.Joins, order)
	slices.SortFunc(d.Leaves, order)
	return d
}
