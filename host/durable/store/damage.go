package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// What was damaged on the disk concerns as few as possible, and those are refused until somebody decides about them:
//
//	a commit in a record    its actor, and those that it has posts for: [refusal]
//	an entry of a leaf      it, and new names in the same leaf
//	a leaf                  all in it
//	nobody knows whom       all: the keeper waits, see [Keeper.Repair]

// Keys of the store.
const (
	refusedPrefix = "refused" // and the mark of an actor: a refusal
	throughPrefix = "through" // and the name of a log: the last record that is in the leaves
)

// refusal is why an actor is refused.
type refusal struct {
	Actor string    `json:"actor,omitempty"` // "": it was not known yet
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
}

func refusedKey(mark uint64) string { return refusedPrefix + "." + strconv.FormatUint(mark, 36) }

// halt is damage of which nobody knows whom it concerns.
type halt struct {
	cause error
	cost  string // of going on
}

// What it costs to go on.
const (
	costSome = "some actors may go on from before their last changes, or begin anew"
	costAll  = "all actors begin anew"
)

func (h *halt) Error() string {
	return fmt.Sprintf("%v; durable actors wait until the folder of the bus is put back from a backup, and rtd started again, or somebody gives up what is lost: "+
		"rtd state repair --yes, after which %s", h.cause, h.cost)
}
func (h *halt) Unwrap() error { return h.cause }

// wait waits for somebody to repair.
func (k *Keeper) wait(cause error) error {
	k.mu.Lock()
	repair := make(chan struct{})
	k.repair = repair
	k.fail(unavailable(cause)) // before those who wait for it look
	close(k.halted)
	k.mu.Unlock()
	k.log.Error("durable actors wait", "cause", cause)
	select {
	case <-repair:
		return nil
	case <-k.ended.Done():
		return k.ended.Err()
	}
}

// ErrSound says that there is nothing to repair.
var ErrSound = errors.New("nothing is damaged of which nobody knows whom it concerns; rtd state list PLUGIN shows who is refused")

// Repair has a keeper go on that waits because of damage of which nobody knows whom it concerns, without what is lost: actors may go on
// from before their last changes, or begin anew. It waits until the keeper works.
func (k *Keeper) Repair(ctx context.Context) error {
	k.mu.Lock()
	if k.repair == nil {
		k.mu.Unlock()
		if err := k.bus.Err(); err != nil {
			return fmt.Errorf("%w; what is stored can be repaired when the bus works", unavailable(err))
		}
		return ErrSound
	}
	close(k.repair)
	k.repair, k.halted = nil, make(chan struct{})
	k.fail(errStarting)
	k.mu.Unlock()
	return k.Up(ctx)
}

// loadRefused reads who is refused.
func (k *Keeper) loadRefused(ctx context.Context) error {
	k.mu.Lock()
	k.refused = map[uint64]refusal{}
	k.mu.Unlock()
	return eachEntry(ctx, k.states, refusedPrefix, func(e bus.Entry) error {
		mark, err := strconv.ParseUint(e.Key[len(refusedPrefix)+1:], 36, 64)
		if err != nil {
			return nil
		}
		r := refusal{Cause: "an event of it was damaged"}
		_ = json.Unmarshal(e.Value, &r) // that it is there is what counts
		k.mu.Lock()
		k.refused[mark] = r
		k.mu.Unlock()
		return nil
	})
}

// refuse notes that actors are refused.
func (k *Keeper) refuse(ctx context.Context, list map[uint64]refusal) error {
	for mark, r := range list {
		k.mu.Lock()
		_, is := k.refused[mark]
		k.mu.Unlock()
		if is {
			continue
		}
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := k.states.Put(ctx, bus.Write{Key: refusedKey(mark), Value: text, Last: bus.Any}); err != nil {
			return unavailable(err)
		}
		k.log.Error("durable actor refused", "actor", cmp.Or(r.Actor, "with the mark "+strconv.FormatUint(mark, 36)), "cause", r.Cause)
		k.mu.Lock()
		k.refused[mark] = r
		k.mu.Unlock()
	}
	return nil
}

// refusal returns why an actor is refused, or nil.
func (k *Keeper) refusal(a durable.Actor) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refuses(a)
}

// refuses is refusal for callers that hold mu.
func (k *Keeper) refuses(a durable.Actor) error {
	if len(k.refused) == 0 {
		return nil
	}
	if r, is := k.refused[who(a)]; is {
		return fmt.Errorf("%w: %v: %s", durable.ErrDamaged, a, r.Cause)
	}
	return nil
}

// refusedOf yields the names of a plugin's actors that are refused, and why, as far as their names are known.
func (k *Keeper) refusedOf(plugin string, kind durable.Kind) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list map[string]string
	for _, r := range k.refused {
		if a, err := durable.ParseActor(r.Actor); err == nil && a.Plugin == plugin && a.Kind == kind {
			if list == nil {
				list = map[string]string{}
			}
			list[a.Name] = r.Cause
		}
	}
	return list
}

// names returns the names of those in a leaf that cannot be read, as far as they can be told: they may be damaged, too.
func (l *leaf) names(hash func(string) uint64) (list []string) {
	for _, body := range l.lost {
		r := reader{rest: body}
		name := r.text()
		if name == "" || !l.covers(hash(name)) {
			name = "?"
		}
		list = append(list, name)
	}
	return list
}

// namesIn returns the names in a value that is no leaf, as far as they can be told.
func namesIn(value []byte) (list []string) {
	r := reader{rest: value}
	r.byte()
	r.frame()
	for len(r.rest) > 0 {
		if body, whole := r.frame(); whole {
			e := reader{rest: body}
			list = append(list, e.text())
		}
	}
	if len(list) == 0 {
		list = []string{"?"}
	}
	return list
}

// Accept has an actor go on that is refused, with what is stored of it: without what was damaged. The error is ErrNone if it is not refused.
func (k *Keeper) Accept(ctx context.Context, a durable.Actor) error {
	if err := k.ready(); err != nil {
		return err
	}
	if k.refusal(a) == nil {
		return fmt.Errorf("%w is refused for a damaged event: %v", durable.ErrNone, a)
	}
	return k.admitAgain(ctx, a)
}

// admitAgain ends the refusal of an actor. What was lost is not found again at the next start: the log goes before.
func (k *Keeper) admitAgain(ctx context.Context, a durable.Actor) error {
	if err := k.Checkpoint(ctx); err != nil {
		return err
	}
	key := refusedKey(who(a))
	e, err := k.states.Get(ctx, key)
	if err == nil {
		err = k.states.Delete(ctx, key, e.Revision)
	}
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return unavailable(err)
	}
	k.mu.Lock()
	delete(k.refused, who(a))
	k.mu.Unlock()
	return nil
}

// putBack brings leaves that were damaged on the disk back to where they were, as far as it is known where: then it shows who of them can be read.
func (k *Keeper) putBack(ctx context.Context, accept bool) error {
	k.lostPasts, k.lostThrough = nil, 0
	lost, err := k.states.Lost()
	if err != nil || len(lost) == 0 {
		return err
	}
	for _, l := range lost {
		if strings.HasPrefix(l.Key, pastPrefix+".") || len(l.Data) > 0 && l.Data[0] == chunkFormat {
			k.lostPasts, k.lostThrough = append(k.lostPasts, l.Key), lost[len(lost)-1].Sequence // its history begins anew
			continue
		}
		if l.Data == nil || l.Key == "" {
			if !accept {
				return &halt{fmt.Errorf("entry %d of the store %s cannot be read", l.Sequence, storeName), costSome}
			}
			continue
		}
		now, err := k.states.Get(ctx, k.keyOf(l))
		switch {
		case err == nil && now.Revision > l.Sequence: // it was written anew since
			continue
		case err != nil && !errors.Is(err, bus.ErrNotFound):
			return err
		}
		if _, err := k.states.Put(ctx, bus.Write{Key: k.keyOf(l), Value: l.Data, Last: now.Revision}); err != nil {
			return err
		}
	}
	if k.lostThrough > 0 {
		return nil // not before the histories are stored anew
	}
	return k.states.Forget(lost[len(lost)-1].Sequence)
}

// keyOf returns the key of an entry that was damaged: of a leaf whose head is whole, as its content says.
func (k *Keeper) keyOf(l bus.Lost) string {
	r := reader{rest: l.Data}
	format := r.byte()
	head, whole := r.frame()
	h := reader{rest: head}
	depth, kind, plugin := h.byte(), durable.Kind(h.byte()), h.text()
	for format == formatNumber && whole && !h.failed && len(r.rest) > 0 {
		if body, right := r.frame(); right {
			e := reader{rest: body}
			return newTable(tableName{plugin, kind}).leafKey(low(k.hash(e.text()), depth))
		}
	}
	return l.Key
}

// checksum is that of a seed, without which nothing is found.
func checksum(seed string) uint32 { return crc32.Checksum([]byte(seed), castagnoli) }

// through returns the last record of the log that is known to be in the leaves.
func (k *Keeper) loadThrough(ctx context.Context) (through uint64, err error) {
	e, err := k.states.Get(ctx, k.throughKey())
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	through, err = strconv.ParseUint(string(e.Value), 10, 64)
	if err != nil {
		return 0, nil // it only tells more
	}
	return through, nil
}

func (k *Keeper) throughKey() string { return throughPrefix + "." + k.options.Node }
