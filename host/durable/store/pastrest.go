package store

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"rtd/channels/history"
	"rtd/host/bus"
	"rtd/host/durable"
)

// scanPasts reads which histories there are. It returns the hashes of topics of whose chunks one cannot be read.
func (k *Keeper) scanPasts(ctx context.Context) (broken map[string]bool, err error) {
	found := map[string]*past{} // by hash
	broken = map[string]bool{}
	err = eachEntry(ctx, k.states, pastPrefix, func(e bus.Entry) error {
		hash, p, ok := parsePastKey(e.Key)
		if !ok {
			return nil
		}
		p.revision = e.Revision
		f := found[hash]
		if f == nil {
			f = &past{hash: hash}
			found[hash] = f
		}
		h, _, err := decodeHeader(e.Value)
		if err != nil || hashOf(h.topic) != hash || h.epoch != p.epoch {
			k.log.Error("a part of a topic's history cannot be read; it begins anew", "topic", h.topic, "key", e.Key)
			broken[hash] = true
			f.garbage = append(f.garbage, p)
			return nil
		}
		if f.epoch != h.epoch { // entries come in the order of revisions: the last life counts
			f.drop(len(f.chunks))
			f.epoch, f.oldest = h.epoch, 0
		}
		f.topic, f.until, f.rests, f.keep = h.topic, h.until, h.until, h.keep
		f.oldest = max(f.oldest, h.oldest)
		f.chunks = append(f.chunks, chunk{p, h.first, h.first + h.count - 1, int64(len(e.Value))})
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for hash, ps := range found {
		if ps.topic == "" { // nobody knows whose it was; it will have another epoch
			ps.gone = true
			ps.topic = "?" + hash
		}
		ps.settle()
		k.pasts[ps.topic] = ps
		k.weighRest(ps, pastSize+ps.chunkBytes())
		if len(ps.garbage) > 0 || ps.gone {
			k.soil(ps)
		}
	}
	return broken, nil
}

// settle puts the chunks in order, and has them dense. Of two that overlap the one that was written last counts: a checkpoint has not come to
// its end.
func (ps *past) settle() {
	all := ps.chunks
	ps.chunks = nil
	slices.SortFunc(all, func(a, b chunk) int { return cmp.Compare(b.revision, a.revision) })
	for _, c := range all {
		if c.last < ps.oldest && c.first <= c.last || slices.ContainsFunc(ps.chunks, func(other chunk) bool { return c.first <= other.last && other.first <= c.last }) {
			ps.garbage = append(ps.garbage, c.piece)
		} else {
			ps.chunks = append(ps.chunks, c)
		}
	}
	slices.SortFunc(ps.chunks, func(a, b chunk) int { return cmp.Or(cmp.Compare(a.last, b.last), cmp.Compare(a.first, b.first)) })
	for i := len(ps.chunks) - 1; i > 0; i-- {
		if ps.chunks[i].first != ps.chunks[i-1].last+1 {
			ps.drop(i)
			break
		}
	}
	if n := len(ps.chunks); n > 0 {
		ps.last = ps.chunks[n-1].last
		ps.oldest = min(max(ps.oldest, ps.chunks[0].first), ps.last+1)
	}
	ps.next = ps.last
}

func (ps *past) chunkBytes() (n int64) {
	for i := range ps.chunks {
		n += ps.chunks[i].bytes
	}
	return n
}

// renewPasts has histories go on with other epochs of which something may be missing at the end, so that no offset means two messages. It reports
// whether there are any. It is called when the log has been replayed.
func (k *Keeper) renewPasts(ctx context.Context, old *oldLog, broken map[string]bool) (any bool, err error) {
	_, restored := k.states.Get(ctx, anewKey)
	if restored != nil && !errors.Is(restored, bus.ErrNotFound) {
		return false, unavailable(restored)
	}
	all := old.accept || restored == nil
	for _, key := range k.lostPasts {
		hash, _, _ := parsePastKey(key)
		broken[hash] = true
	}
	known := map[string]bool{}
	var renew []*past
	k.mu.Lock()
	for _, ps := range k.pasts {
		if known[ps.hash] = true; ps.gone {
			continue
		}
		if broken[ps.hash] || old.pasts[whose(ps.topic)] {
			k.log.Error("the history of a topic was damaged; it has another epoch, so that clients are told of a gap", "topic", ps.topic)
			renew = append(renew, ps)
		}
	}
	for hash := range broken {
		all = all || !known[hash] // who knows whose that was
	}
	if all {
		renew = renew[:0]
		for _, ps := range k.pasts {
			if !ps.gone {
				renew = append(renew, ps)
			}
		}
	}
	k.mu.Unlock()
	for _, ps := range renew {
		if err := k.renewPast(ctx, ps); err != nil {
			return false, err
		}
	}
	return len(renew) > 0 || restored == nil || len(k.lostPasts) > 0, nil
}

// renewPast gives a history another epoch, with what can be read of it.
func (k *Keeper) renewPast(ctx context.Context, ps *past) error {
	p, err := k.readPast(ctx, ps)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.beginAnew(ps, p)
	return nil
}

// beginAnew gives a history another epoch, with what was read of it. Callers hold mu.
func (k *Keeper) beginAnew(ps *past, p durable.Past) {
	epoch, behind := history.NewEpoch(), p.Last-uint64(len(p.Said))
	ps.begin(epoch, behind)
	for _, s := range p.Said {
		again := *s
		again.Epoch = epoch
		k.say(&again)
	}
	k.soil(ps)
}

// forgetRestored notes that all that renewPasts has done is stored.
func (k *Keeper) forgetRestored(ctx context.Context) error {
	if k.lostThrough > 0 {
		if err := k.states.Forget(k.lostThrough); err != nil {
			return err
		}
		k.lostPasts, k.lostThrough = nil, 0
	}
	e, err := k.states.Get(ctx, anewKey)
	if err == nil {
		err = k.states.Delete(ctx, anewKey, e.Revision)
	}
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	return unavailable(err)
}

// readPast returns what is stored of a history.
func (k *Keeper) readPast(ctx context.Context, ps *past) (durable.Past, error) {
	const tries = 3
	for try := 1; ; try++ {
		if try == tries { // it changes again and again
			k.checkpoints.Lock()
			defer k.checkpoints.Unlock()
		}
		k.mu.Lock()
		p := durable.Past{Epoch: ps.epoch, Last: ps.last}
		oldest, chunks, fresh := ps.oldest, slices.Clone(ps.chunks), slices.Clip(ps.fresh)
		k.mu.Unlock()
		moved := false
		for _, c := range chunks {
			if c.last < oldest || c.first > c.last {
				continue
			}
			e, err := k.states.Get(ctx, ps.key(c.piece))
			switch {
			case errors.Is(err, bus.ErrNotFound), errors.Is(err, bus.ErrDamaged), err == nil && e.Revision != c.revision:
				moved, oldest, p.Said = true, c.last+1, nil
				continue
			case err != nil:
				return p, unavailable(err)
			}
			h, messages, damaged, err := decodeChunk(e.Value)
			if damaged || err != nil || h.topic != ps.topic || h.epoch != p.Epoch {
				k.log.Error("a part of a topic's history cannot be read", "topic", ps.topic, "messages", c.last-c.first+1-uint64(len(messages)))
				p.Said = nil
				if oldest = c.last + 1 - uint64(len(messages)); err != nil {
					oldest, messages = c.last+1, nil
				}
			}
			for _, s := range messages {
				if s.Offset >= oldest {
					p.Said = append(p.Said, s)
				}
			}
		}
		if moved && try < tries {
			continue
		}
		for _, s := range fresh {
			if s.Offset >= oldest {
				p.Said = append(p.Said, s)
			}
		}
		return p, nil
	}
}

// soilPast is a history as a checkpoint writes it.
type soilPast struct {
	*past
	changed uint64
	header  header
	last    uint64
	chunks  []chunk
	fresh   []*durable.Said
	garbage []piece
	purged  bool
	gone    bool

	writes []bus.Write
	pieces []chunk // that are written, in the place of replaced chunks at the end
	kept   int     // chunks that stay before them
	first  int     // of chunks that stay
}

// soiledPasts returns the histories that a checkpoint writes.
func (k *Keeper) soiledPasts() []*soilPast {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]*soilPast, 0, len(k.soiled))
	for ps := range k.soiled {
		list = append(list, &soilPast{
			past: ps, changed: ps.changed, last: ps.last, chunks: slices.Clone(ps.chunks), fresh: slices.Clip(ps.fresh), garbage: slices.Clip(ps.garbage),
			purged: ps.purged, gone: ps.gone, header: header{topic: ps.topic, epoch: ps.epoch, oldest: ps.oldest, until: ps.until, keep: ps.keep},
		})
	}
	return list
}

// writePasts writes histories.
func (k *Keeper) writePasts(ctx context.Context, list []*soilPast) error {
	for len(list) > 0 {
		var writes []bus.Write
		n, bytes := 0, 0
		for ; n < len(list) && len(writes) < maxBatch && bytes < maxBatchBytes; n++ {
			s := list[n]
			if err := k.layOut(ctx, s); err != nil {
				return err
			}
			if n > 0 && len(writes)+len(s.writes) > bus.MaxWrites {
				break
			}
			for _, w := range s.writes {
				bytes += len(w.Key) + len(w.Value)
			}
			writes = append(writes, s.writes...)
		}
		first, err := k.writeSome(ctx, writes)
		if err != nil {
			return err
		}
		for _, s := range list[:n] {
			for i := range s.pieces {
				s.pieces[i].revision = first[0]
				first = first[1:]
			}
			if err := k.clear(ctx, s); err != nil {
				return err
			}
			k.wrote(s)
		}
		list = list[n:]
	}
	return nil
}

// writeSome stores entries, all at once if there is room, and returns their revisions.
func (k *Keeper) writeSome(ctx context.Context, writes []bus.Write) (revisions []uint64, err error) {
	for len(writes) > 0 {
		n, bytes := 0, 0
		for n < len(writes) && n < bus.MaxWrites && (n == 0 || bytes+len(writes[n].Value) < bus.MaxWriteBytes/2) {
			bytes += len(writes[n].Key) + len(writes[n].Value)
			n++
		}
		first, err := k.writeAll(ctx, writes[:n])
		if err != nil {
			return nil, err
		}
		for i := range n {
			revisions = append(revisions, first+uint64(i))
		}
		writes = writes[n:]
	}
	return revisions, nil
}

// layOut decides what is to be written of a history.
func (k *Keeper) layOut(ctx context.Context, s *soilPast) error {
	s.writes, s.pieces, s.first, s.kept = nil, nil, 0, len(s.chunks)
	if s.gone {
		s.first = s.kept
		return nil
	}
	oldest := s.header.oldest
	for s.first < len(s.chunks) && s.chunks[s.first].last < oldest {
		s.first++
	}
	from := len(s.chunks) // chunks from here on are written anew
	switch {
	case s.purged && s.first < len(s.chunks) && s.chunks[s.first].first < oldest:
		from = s.first // and those behind it, so that they stay in order: a purge is rare
	case s.first < len(s.chunks) && (len(s.fresh) == 0 || s.chunks[len(s.chunks)-1].bytes < chunkBytes):
		from--
	}
	var messages []*durable.Said
	for _, c := range s.chunks[min(from, len(s.chunks)):] {
		e, err := k.states.Get(ctx, s.key(c.piece))
		if err != nil && !errors.Is(err, bus.ErrNotFound) && !errors.Is(err, bus.ErrDamaged) {
			return unavailable(err)
		}
		var read []*durable.Said
		if err == nil {
			var damaged bool
			if _, read, damaged, err = decodeChunk(e.Value); damaged {
				messages = nil
			}
		}
		if err != nil {
			messages = nil
		}
		messages = append(messages, read...)
	}
	messages = append(messages, s.fresh...)
	for i := len(messages) - 1; i > 0; i-- { // what was damaged leaves a hole
		if messages[i-1].Offset+1 != messages[i].Offset {
			messages = messages[i:]
			break
		}
	}
	for len(messages) > 0 && messages[0].Offset < oldest {
		messages = messages[1:]
	}
	s.kept = max(from, s.first)
	reuse := piece{epoch: s.header.epoch, name: s.last + 1}
	if s.kept < len(s.chunks) && !s.purged {
		reuse = s.chunks[s.kept].piece
	} else if len(messages) > 0 {
		reuse.name = messages[0].Offset
	}
	for first := true; first || len(messages) > 0; first = false {
		n, bytes := 0, 0
		for n < len(messages) && (n == 0 || bytes+saidBytes(messages[n]) <= chunkBytes) {
			bytes += saidBytes(messages[n])
			n++
		}
		c := chunk{piece: reuse, first: s.last + 1, last: s.last}
		if n > 0 {
			c.first, c.last = messages[0].Offset, messages[n-1].Offset
		}
		if !first {
			c.piece = piece{epoch: s.header.epoch, name: c.first}
		}
		h := s.header
		h.first = c.first
		value := encodeChunk(h, messages[:n])
		c.bytes = int64(len(value))
		s.pieces = append(s.pieces, c)
		s.writes = append(s.writes, bus.Write{Key: s.key(c.piece), Value: value, Last: bus.Any})
		messages = messages[n:]
	}
	return nil
}

// clear removes what a history does not need any more from the store. Of what was purged nothing is left.
func (k *Keeper) clear(ctx context.Context, s *soilPast) error {
	stays := func(p piece) bool {
		same := func(c chunk) bool { return c.epoch == p.epoch && c.name == p.name }
		return slices.ContainsFunc(s.chunks[s.first:s.kept], same) || slices.ContainsFunc(s.pieces, same)
	}
	for _, c := range s.chunks {
		s.garbage = append(s.garbage, c.piece)
	}
	for _, p := range s.garbage {
		if stays(p) {
			continue
		}
		remove := k.states.Delete
		if s.purged {
			remove = k.states.Erase
		}
		err := remove(ctx, s.key(p), p.revision)
		if err != nil && !errors.Is(err, bus.ErrConflict) && !errors.Is(err, bus.ErrNotFound) {
			return unavailable(err)
		}
	}
	return nil
}

// wrote notes that a history is stored as it was laid out.
func (k *Keeper) wrote(s *soilPast) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ps := s.past
	if ps.epoch != s.header.epoch || ps.gone != s.gone { // it has begun anew meanwhile: what was written goes
		for _, c := range s.pieces {
			ps.garbage = append(ps.garbage, c.piece)
		}
		return
	}
	ps.chunks = append(slices.Clone(s.chunks[s.first:s.kept]), s.pieces...)
	if len(ps.chunks) > 0 {
		ps.oldest = max(ps.oldest, min(ps.chunks[0].first, s.last+1))
	}
	ps.rests, ps.garbage = s.header.until, nil
	for len(ps.fresh) > 0 && ps.fresh[0].Offset <= s.last {
		ps.volume -= int64(saidBytes(ps.fresh[0]))
		ps.fresh = ps.fresh[1:]
	}
	if len(ps.fresh) == 0 {
		ps.fresh = nil
	}
	if ps.changed != s.changed {
		k.weigh(ps, 2*overhead+ps.volume)
		k.weighRest(ps, pastSize+ps.chunkBytes())
		return
	}
	delete(k.soiled, ps)
	ps.changed, ps.purged = 0, false
	k.weigh(ps, 0)
	k.weighRest(ps, pastSize+ps.chunkBytes())
	if ps.gone {
		k.weighRest(ps, 0)
		delete(k.pasts, ps.topic)
	}
	k.loosen()
}
