package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"iter"
	"math"
	"slices"

	"rtd/host/durable"
)

// A record of the log is a group of commits:
//
//	format    1 byte: 2
//	frame     texts that the commits share: plugins, versions, snapshots
//	frame     of each commit, how many it concerns, and who: its actor, then those that it has posts for, 8 bytes each
//	frame     commit
//	frame     …
//
// Each frame has a checksum, so that of a damaged record it is known whom that concerns.
//
// Without any commit it is a fence: its text is random, so that no two are the same.
//
// A record with broadcasts has format 3: the texts have topics and epochs, too, and besides the actors that a commit concerns come how many histories,
// and which, 8 bytes each. A commit without an actor has a 0 in its place.
//
// In format 1 there is one frame: commit, commit, …, or a 0 and the text of a fence. It is still read.

// Versions of what is stored. Another format has another number.
const (
	formatNumber = 1 // of leaves, and the store
	recordFormat = 2 // of records
	saidFormat   = 3 // of records with broadcasts
)

// What a commit has.
const (
	hasState  = 1 << 0
	hasPosts  = 1 << 1
	hasTook   = 1 << 2
	hasSaid   = 1 << 3
	isBinary  = 1 << 0 // of a post
	isAside   = 1 << 1 // id of the event, time and cause follow
	isTimer   = 1 << 2
	kindFence = 0 // of format 1, in place of the kind of an actor
	kindNone  = 0 // of format 3, in place of an actor
)

var crc64ECMA = crc64.MakeTable(crc64.ECMA)

// who is the mark of an actor in a record. That others have the same one does no harm but that they are refused as well.
func who(a durable.Actor) uint64 {
	var buffer [256]byte
	return crc64.Checksum(append(append(append(buffer[:0], a.Plugin...), byte(a.Kind)), a.Name...), crc64ECMA)
}

// concerned yields whom a commit concerns.
func concerned(c *durable.Commit) iter.Seq[durable.Actor] {
	return func(yield func(durable.Actor) bool) {
		if c.Actor != (durable.Actor{}) && !yield(c.Actor) {
			return
		}
		for i := range c.Posts {
			if to := c.Posts[i].To; to != c.Actor && !yield(to) {
				return
			}
		}
	}
}

// encodeRecord appends the record of a group.
func encodeRecord(b []byte, group []*durable.Commit) []byte {
	var known texts
	format := byte(recordFormat)
	if slices.ContainsFunc(group, func(c *durable.Commit) bool { return len(c.Said) > 0 }) {
		format = saidFormat
	}
	b = appendFrame(append(b, format), func(b []byte) []byte {
		for _, c := range group {
			for _, s := range c.Said {
				known.note(s.Topic)
				known.note(s.Epoch)
			}
			if c.Actor == (durable.Actor{}) {
				continue
			}
			known.note(c.Actor.Plugin)
			if c.State != nil {
				known.note(c.State.Version)
				known.note(c.State.Snapshot)
			}
			for i := range c.Posts {
				known.note(c.Posts[i].To.Plugin)
			}
		}
		return known.appendAll(b)
	})
	b = appendFrame(b, func(b []byte) []byte {
		for _, c := range group {
			n := 0
			for range concerned(c) {
				n++
			}
			b = binary.AppendUvarint(b, uint64(n))
			for a := range concerned(c) {
				b = binary.LittleEndian.AppendUint64(b, who(a))
			}
			if format == saidFormat {
				topics := topicsOf(c)
				b = binary.AppendUvarint(b, uint64(len(topics)))
				for _, topic := range topics {
					b = binary.LittleEndian.AppendUint64(b, whose(topic))
				}
			}
		}
		return b
	})
	for _, c := range group {
		b = appendFrame(b, func(b []byte) []byte { return appendCommit(b, c, &known) })
	}
	return b
}

// encodeFence returns the record of who takes the log over.
func encodeFence(text string) []byte {
	b := appendFrame([]byte{recordFormat}, func(b []byte) []byte { return (&texts{list: []string{text}}).appendAll(b) })
	return appendFrame(b, func(b []byte) []byte { return b })
}

// loss is whom a commit concerns that cannot be read.
type loss struct {
	mark  uint64
	actor durable.Actor // perhaps not known
	past  bool          // it is the mark of a history
}

// decodeRecord returns the commits of a record, which refer to data, and whom it concerns besides: what it has of those cannot be read.
// With an error nobody knows whom it concerns.
func decodeRecord(data []byte) (group []*durable.Commit, lost []loss, err error) {
	r := reader{rest: data}
	format := r.byte()
	switch format {
	case 1:
		group, err = decodeFirst(&r)
		return group, nil, err
	case recordFormat, saidFormat:
	default:
		return nil, nil, fmt.Errorf("%w: format %d", errMalformed, format)
	}
	head, whole := r.frame()
	marks, known := r.frame()
	if r.failed {
		return nil, nil, errMalformed
	}
	h := reader{rest: head}
	shared := h.allTexts()
	whole = whole && h.done() == nil
	m := reader{rest: marks}
	for len(r.rest) > 0 || known && len(m.rest) > 0 {
		var mine, topics []byte
		if known {
			mine = m.fixed(8 * m.count())
			if format == saidFormat {
				topics = m.fixed(8 * m.count())
			}
			if m.failed {
				return nil, nil, errMalformed
			}
		}
		body, right := r.frame()
		if right && whole {
			c := reader{rest: body}
			commit := readCommit(&c, &texts{list: shared}, format)
			if c.done() == nil {
				group = append(group, commit)
				continue
			}
		}
		if !known {
			return nil, nil, errMalformed
		}
		c := reader{rest: body}
		actor := readActor(&c, &texts{list: shared}) // who knows, but the mark tells
		for ; len(mine) > 0; mine = mine[8:] {
			l := loss{mark: binary.LittleEndian.Uint64(mine)}
			if who(actor) == l.mark {
				l.actor = actor
			}
			lost = append(lost, l)
		}
		for ; len(topics) > 0; topics = topics[8:] {
			lost = append(lost, loss{mark: binary.LittleEndian.Uint64(topics), past: true})
		}
	}
	return group, lost, nil
}

// decodeFirst returns the commits of a record of format 1.
func decodeFirst(r *reader) (group []*durable.Commit, err error) {
	body, whole := r.frame()
	if err := r.done(); err != nil || !whole {
		return nil, errMalformed
	}
	if len(body) > 0 && body[0] == kindFence {
		return nil, nil
	}
	var known texts
	for rest := (reader{rest: body}); len(rest.rest) > 0; {
		c := readCommit(&rest, &known, 1)
		if rest.failed {
			return nil, errMalformed
		}
		group = append(group, c)
	}
	return group, nil
}

func appendActor(b []byte, a durable.Actor, known *texts) []byte {
	return appendText(known.append(append(b, byte(a.Kind)), a.Plugin), a.Name)
}

func readActor(r *reader, known *texts) (a durable.Actor) {
	a.Kind = durable.Kind(r.byte())
	a.Plugin = known.read(r)
	a.Name = r.text()
	if a.Kind != durable.Topic && a.Kind != durable.Process {
		r.fail()
	}
	return a
}

func appendCommit(b []byte, c *durable.Commit, known *texts) []byte {
	if c.Actor == (durable.Actor{}) {
		b = append(b, kindNone)
	} else {
		b = appendActor(b, c.Actor, known)
	}
	has := byte(0)
	if c.State != nil {
		has |= hasState
	}
	if len(c.Posts) > 0 {
		has |= hasPosts
	}
	if len(c.Took) > 0 {
		has |= hasTook
	}
	if len(c.Said) > 0 {
		has |= hasSaid
	}
	b = binary.AppendUvarint(append(b, has), c.Last)
	if c.State != nil {
		b = appendState(b, c.State, known)
	}
	if len(c.Posts) > 0 {
		b = appendPosts(b, c.Posts, known)
	}
	if len(c.Took) > 0 {
		b = binary.AppendUvarint(b, uint64(len(c.Took)))
		for _, id := range c.Took {
			b = appendID(b, id)
		}
	}
	if len(c.Said) > 0 {
		b = appendSaid(b, c.Said, known)
	}
	return b
}

func readCommit(r *reader, known *texts, format byte) *durable.Commit {
	c := &durable.Commit{}
	if format == saidFormat && len(r.rest) > 0 && r.rest[0] == kindNone {
		r.byte()
	} else {
		c.Actor = readActor(r, known)
	}
	has := r.byte()
	if c.Actor == (durable.Actor{}) && has != hasSaid || has&hasSaid != 0 && format != saidFormat {
		r.fail()
	}
	c.Last = r.number()
	if has&hasState != 0 {
		c.State = readState(r, known)
		if c.State.Revision != c.Last+1 {
			r.fail()
		}
	}
	if has&hasPosts != 0 {
		c.Posts = readPosts(r, known)
	}
	if has&hasTook != 0 {
		for range r.count() {
			c.Took = append(c.Took, readID(r))
		}
	}
	if has&hasSaid != 0 {
		c.Said = readSaid(r, known)
	}
	return c
}

func appendState(b []byte, s *durable.State, known *texts) []byte {
	b = binary.AppendUvarint(b, s.Revision)
	b = binary.LittleEndian.AppendUint64(b, s.Born)
	b = appendTime(appendTime(b, s.At), s.Due)
	b = known.append(known.append(b, s.Version), s.Snapshot)
	return appendText(appendText(b, s.Guest), s.Held)
}

func readState(r *reader, known *texts) *durable.State {
	return &durable.State{
		Revision: r.number(), Born: r.fixed64(), At: r.time(), Due: r.time(),
		Version: known.read(r), Snapshot: known.read(r), Guest: r.bytes(), Held: r.bytes(),
	}
}

func appendID(b []byte, id durable.PostID) []byte {
	b = binary.LittleEndian.AppendUint64(b, id.Born)
	return binary.AppendUvarint(binary.AppendUvarint(b, id.Revision), uint64(id.Index))
}

func readID(r *reader) durable.PostID {
	return durable.PostID{Born: r.fixed64(), Revision: r.number(), Index: r.small()}
}

func appendPosts(b []byte, posts []durable.Post, known *texts) []byte {
	b = binary.AppendUvarint(b, uint64(len(posts)))
	for i := range posts {
		p := &posts[i]
		flags := byte(0)
		if p.Binary {
			flags |= isBinary
		}
		if p.Aside != nil {
			flags |= isAside
			if p.Aside.Timer {
				flags |= isTimer
			}
		}
		b = appendActor(appendID(append(b, flags), p.ID), p.To, known)
		b = binary.AppendUvarint(appendText(b, p.From), uint64(p.Kind))
		b = appendText(b, p.Payload)
		if a := p.Aside; a != nil {
			b = appendText(appendTime(appendText(b, a.Event), a.At), a.Cause)
		}
	}
	return b
}

func readPosts(r *reader, known *texts) (posts []durable.Post) {
	for range r.count() {
		flags := r.byte()
		p := durable.Post{Binary: flags&isBinary != 0, ID: readID(r), To: readActor(r, known), From: r.text()}
		kind := r.small()
		p.Kind, p.Payload = uint16(kind), r.bytes()
		if flags&isAside != 0 {
			p.Aside = &durable.Aside{Timer: flags&isTimer != 0, Event: r.text(), At: r.time(), Cause: r.text()}
		}
		if kind > math.MaxUint16 || r.failed {
			r.fail()
			return nil
		}
		posts = append(posts, p)
	}
	return posts
}
