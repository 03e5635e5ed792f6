package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"slices"
	"time"

	"rtd/channels/history"
	"rtd/host/durable"
)

// past is what is known of the history of a topic. The keeper's lock guards it.
//
//	chunks, in the store            fresh, in the log
//	1 … 40 │ 41 … 77                78 79 80 │
//	    ▲ oldest                       last ▲  ▲ next: the group under way
type past struct {
	topic  string
	hash   string // in the keys of its chunks
	epoch  string
	last   uint64 // offset of the newest there ever was
	next   uint64 // offset of the last one in the group under way
	oldest uint64 // offset of the oldest that is of use; last+1: none is
	open   int    // how many use it
	keep   time.Duration
	until  time.Time // it is forgotten after that, unless it is open
	rests  time.Time // until, as the store has it

	chunks  []chunk         // in order
	garbage []piece         // to be removed from the store
	fresh   []*durable.Said // those behind the chunks
	volume  int64           // bytes of fresh
	changed uint64          // counts its changes; 0: it is as stored
	weight  int64           // what it counts in Keeper.bytes
	rest    int64           // what it counts in Keeper.restBytes
	purged  bool            // what is before oldest is to go at once
	gone    bool            // it is to be removed, or removed
	anew    bool            // it was not kept for a while, and is to have another epoch before it is opened
}

// chunk is a part of a history in the store.
type chunk struct {
	piece
	first, last uint64 // first > last: it is empty
	bytes       int64
}

// piece names an entry of the store.
type piece struct {
	epoch    string
	name     uint64
	revision uint64
}

// Bounds of what is told of in one commit: texts that are longer fit into no frame for clients anyway.
const maxEpoch = 64

// forgetPast is how long a history is known of which no message is of use any more.
const forgetPast = time.Hour

// pastSize is about what a history takes in memory and in the store, besides its messages.
const pastSize = 1024

// whose is the mark of a topic's history in a record.
func whose(topic string) uint64 { return crc64.Checksum([]byte(topic), crc64ECMA) }

// topicsOf returns the topics of which a commit has broadcasts.
func topicsOf(c *durable.Commit) (topics []string) {
	for _, s := range c.Said {
		if !slices.Contains(topics, s.Topic) {
			topics = append(topics, s.Topic)
		}
	}
	return topics
}

func saidBytes(s *durable.Said) int { return len(s.Topic) + len(s.Event) + len(s.Payload) + overhead }

// checkSaid looks at the broadcasts of a commit by themselves. bytes is how large the rest of the commit is.
func checkSaid(c *durable.Commit, bytes int) (int, error) {
	for _, s := range c.Said {
		if s.Topic == "" || len(s.Topic) > maxName || len(s.Event) > maxName {
			return 0, fmt.Errorf("%w: the topic of a broadcast has %d bytes, and its event %d, and at most %d are kept", durable.ErrTooLarge, len(s.Topic), len(s.Event), maxName)
		}
		bytes += saidBytes(s)
	}
	if bytes > maxCommit {
		return 0, fmt.Errorf("%w: state, posts and broadcasts have %d bytes, and at most %d are kept at once", durable.ErrTooLarge, bytes, maxCommit)
	}
	return bytes, nil
}

// submitSaid puts a commit into the queue that has broadcasts alone.
func (k *Keeper) submitSaid(p *pending) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.dead != nil:
		return k.dead
	case k.doubt != nil:
		return k.doubt
	}
	if err := k.opened(p.commit); err != nil {
		return err
	}
	if err := k.busHas(p.commit, true); err != nil {
		return err
	}
	k.pin(p.commit, 1)
	k.queue = append(k.queue, p)
	kick(k.wake)
	return nil
}

// opened checks that the histories are open of which a commit has broadcasts.
func (k *Keeper) opened(c *durable.Commit) error {
	for _, s := range c.Said {
		if ps := k.pasts[s.Topic]; ps == nil || ps.open == 0 {
			return fmt.Errorf("%w: %.100q", durable.ErrNotOpen, s.Topic)
		}
	}
	return nil
}

// pin keeps the histories of a commit from being forgotten while it is under way, or with -1 does so no longer.
func (k *Keeper) pin(c *durable.Commit, n int) {
	for _, s := range c.Said {
		k.pasts[s.Topic].open += n
	}
}

// number gives the broadcasts of a commit that is about to be stored their offsets.
func (k *Keeper) number(c *durable.Commit) {
	for _, s := range c.Said {
		ps := k.pasts[s.Topic]
		switch s.Kind {
		case durable.Broadcast:
			ps.next++
			s.Epoch, s.Offset = ps.epoch, ps.next
		case durable.HistoryPurged:
			s.Epoch, s.Offset = ps.epoch, min(s.Offset, ps.next+1)
		}
	}
}

// numbered ends what number has begun: the commit is stored, and applied, or not.
func (k *Keeper) numbered(c *durable.Commit, stored bool) {
	for _, s := range c.Said {
		ps := k.pasts[s.Topic]
		ps.next = ps.last
		if stored && s.Stored != nil {
			s.Stored(s.Epoch, s.Offset)
		}
	}
}

// say does what a record says of a history.
func (k *Keeper) say(s *durable.Said) {
	ps := k.pasts[s.Topic]
	behind := s.Offset
	if s.Kind == durable.Broadcast {
		behind--
	}
	if ps == nil {
		ps = &past{topic: s.Topic, hash: hashOf(s.Topic), epoch: s.Epoch, last: behind, oldest: behind + 1}
		k.pasts[s.Topic] = ps
	}
	if ps.epoch != s.Epoch { // the log is read, and the store has another life
		ps.begin(s.Epoch, behind)
	}
	switch s.Kind {
	case durable.Broadcast:
		if s.Offset <= ps.last {
			return // the store has it already
		}
		if behind != ps.last { // what is between was damaged
			ps.begin(s.Epoch, behind)
		}
		ps.last, ps.next = s.Offset, max(ps.next, s.Offset)
		ps.fresh = append(ps.fresh, s)
		ps.volume += int64(saidBytes(s))
	case durable.HistoryPurged:
		ps.oldest, ps.purged = max(ps.oldest, min(s.Offset, ps.last+1)), true
	}
	k.soil(ps)
}

// begin has a history go on behind an offset, without anything before it.
func (ps *past) begin(epoch string, behind uint64) {
	ps.drop(len(ps.chunks))
	ps.fresh, ps.volume = nil, 0
	ps.epoch, ps.last, ps.next, ps.oldest = epoch, behind, behind, behind+1
}

// drop gives up the first chunks.
func (ps *past) drop(n int) {
	for _, c := range ps.chunks[:n] {
		ps.garbage = append(ps.garbage, c.piece)
	}
	ps.chunks = slices.Clone(ps.chunks[n:])
}

// soil notes that a history is to be written at the next checkpoint.
func (k *Keeper) soil(ps *past) {
	k.soiled[ps] = struct{}{}
	ps.changed++
	k.weigh(ps, 2*overhead+ps.volume)
}

func (k *Keeper) weigh(ps *past, weight int64) {
	k.bytes += weight - ps.weight
	ps.weight = weight
}

func (k *Keeper) weighRest(ps *past, rest int64) {
	k.restBytes += rest - ps.rest
	ps.rest = rest
}

// OpenHistory implements [durable.Histories].
func (k *Keeper) OpenHistory(ctx context.Context, topic string, keep time.Duration) (durable.Past, error) {
	if err := k.upUnlessDown(ctx); err != nil {
		return durable.Past{}, err
	}
	if k.isAnew(topic) {
		if err := k.renewThese(ctx, []string{topic}); err != nil {
			return durable.Past{}, unavailable(err)
		}
	}
	k.mu.Lock()
	ps := k.pasts[topic]
	if ps == nil || ps.gone {
		epoch := history.NewEpoch()
		if ps == nil {
			ps = &past{topic: topic, hash: hashOf(topic)}
			k.pasts[topic] = ps
		}
		k.weighRest(ps, pastSize)
		ps.gone, ps.anew = false, false
		ps.begin(epoch, 0)
		k.soil(ps)
		// Nobody waits for this one: if it is not stored, whoever knows of the epoch is told that there is another one.
		c := &durable.Commit{Said: []*durable.Said{{Kind: durable.HistoryBegun, Topic: topic, Epoch: epoch}}}
		k.pin(c, 1)
		k.queue = append(k.queue, &pending{commit: c, bytes: saidBytes(c.Said[0]), known: make(chan struct{})})
		kick(k.wake)
	}
	ps.open++
	ps.keep = keep
	ps.until = time.Now().Add(keep + forgetPast)
	k.mu.Unlock()
	p, err := k.readPast(ctx, ps)
	if err != nil {
		k.CloseHistory(topic)
	}
	return p, err
}

// CloseHistory implements [durable.Histories].
func (k *Keeper) CloseHistory(topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ps := k.pasts[topic]; ps != nil && ps.open > 0 {
		ps.open--
		ps.until = time.Now().Add(ps.keep + forgetPast)
	}
}

// TrimHistory implements [durable.Histories].
func (k *Keeper) TrimHistory(topic string, oldest uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ps := k.pasts[topic]
	if ps == nil || ps.gone {
		return
	}
	if ps.oldest = max(ps.oldest, min(oldest, ps.last+1)); len(ps.chunks) > 0 && ps.chunks[0].last < ps.oldest && ps.chunks[0].first <= ps.chunks[0].last {
		k.soil(ps) // a whole chunk can go
	}
}

// PurgeHistory implements [durable.Histories].
func (k *Keeper) PurgeHistory(ctx context.Context, topic string, before uint64) error {
	if err := k.Up(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	ps := k.pasts[topic]
	if ps == nil || ps.gone {
		k.mu.Unlock()
		return fmt.Errorf("%w: there is no history of %.100q", durable.ErrNone, topic)
	}
	ps.open++ // so that it is not forgotten meanwhile
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		ps.open--
	}()
	c := &durable.Commit{Said: []*durable.Said{{Kind: durable.HistoryPurged, Topic: topic, Offset: before}}}
	if err := k.Commit(ctx, c); err != nil {
		return err
	}
	return unavailable(k.Checkpoint(ctx)) // it is done by the next one, if not by this
}

// forgetPasts forgets histories that are of no use any more, and more of them if they take too much room.
func (k *Keeper) forgetPasts(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	most := int64(0)
	if k.options.History != nil {
		most = k.options.History()
	}
	over := most > 0 && k.restBytes > most
	if now.Sub(k.looked) < time.Minute && !over {
		return
	}
	k.looked = now
	var idle []*past
	for _, ps := range k.pasts {
		switch {
		case ps.gone:
		case ps.open > 0:
			ps.until = now.Add(ps.keep + forgetPast)
			if ps.until.Sub(ps.rests) > (ps.keep+forgetPast)/2 {
				k.soil(ps) // so that the store knows that it is of use
			}
		case now.After(ps.until):
			k.forget(ps)
		case over:
			idle = append(idle, ps)
		}
	}
	slices.SortFunc(idle, func(a, b *past) int { return cmp.Compare(a.until.UnixNano(), b.until.UnixNano()) })
	for _, ps := range idle {
		if k.restBytes <= most {
			break
		}
		k.forget(ps)
	}
}

// forget has a history removed by the next checkpoint.
func (k *Keeper) forget(ps *past) {
	k.weighRest(ps, 0)
	ps.begin(ps.epoch, ps.last)
	ps.gone = true
	k.soil(ps)
}

// appendSaid appends broadcasts.
func appendSaid(b []byte, list []*durable.Said, known *texts) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		flags := byte(s.Kind) << 1
		if s.Binary {
			flags |= isBinary
		}
		b = known.append(known.append(append(b, flags), s.Topic), s.Epoch)
		b = appendMessage(binary.AppendUvarint(b, s.Offset), s)
	}
	return b
}

func appendMessage(b []byte, s *durable.Said) []byte {
	return appendText(appendText(appendTime(b, s.At), s.Event), s.Payload)
}

func readMessage(r *reader, s *durable.Said) {
	s.At, s.Event, s.Payload = r.time(), r.text(), r.bytes()
}

func readSaid(r *reader, known *texts) (list []*durable.Said) {
	for range r.count() {
		flags := r.byte()
		s := &durable.Said{Kind: durable.SaidKind(flags >> 1), Binary: flags&isBinary != 0, Topic: known.read(r), Epoch: known.read(r), Offset: r.number()}
		readMessage(r, s)
		if s.Kind > durable.HistoryPurged || s.Topic == "" || len(s.Epoch) > maxEpoch || s.Kind == durable.Broadcast && s.Offset == 0 || r.failed {
			r.fail()
			return nil
		}
		list = append(list, s)
	}
	return list
}
