package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

const long = time.Hour // that messages are of use

// opens opens a history.
func (p *place) opens(topic string) durable.Past {
	p.t.Helper()
	past, err := p.OpenHistory(limited(p.t), topic, long)
	must(p.t, err)
	return past
}

// tells is the payloads of a history, with its first offset before them.
func tells(past durable.Past) string {
	list := []string{}
	for i, s := range past.Said {
		if want := past.Last - uint64(len(past.Said)-1-i); s.Offset != want || s.Epoch != past.Epoch {
			return fmt.Sprintf("%s:%d in the place of %s:%d", s.Epoch, s.Offset, past.Epoch, want)
		}
		list = append(list, string(s.Payload))
	}
	return fmt.Sprintf("%d of %d: %s", len(list), past.Last, strings.Join(list, " "))
}

func (p *place) tells(topic, want string) durable.Past {
	p.t.Helper()
	past := p.opens(topic)
	if got := tells(past); got != want {
		p.t.Errorf("%s tells %q, want %q", topic, got, want)
	}
	p.CloseHistory(topic)
	return past
}

func said(topic, text string) *durable.Said {
	return &durable.Said{Topic: topic, Event: "said", Payload: []byte(text), At: now()}
}

func (p *place) says(topic string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		must(p.t, p.Commit(limited(p.t), &durable.Commit{Said: []*durable.Said{said(topic, text)}}))
	}
}

// What is said is there after a start, at the same positions, be it in the log, in chunks, or in both.
func TestHistory(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	want(t, p.Commit(limited(t), &durable.Commit{Said: []*durable.Said{said("a", "1")}}), durable.ErrNotOpen)
	epoch := p.opens("a").Epoch
	p.put(topic("other"), 0, "") // nobody waits for the begin, but this is behind it
	p.again()
	if p.opens("a").Epoch != epoch {
		t.Error("a topic in which nothing was said has another epoch after a start")
	}
	p.says("a", "1", "2")
	check := func(want string) {
		t.Helper()
		for range 2 {
			if past := p.tells("a", want); past.Epoch != epoch {
				t.Errorf("the epoch was %s, and is %s", epoch, past.Epoch)
			}
			p.again()
		}
		p.opens("a")
	}
	check("2 of 2: 1 2")
	p.checkpoint()
	check("2 of 2: 1 2")
	p.says("a", "3")
	check("3 of 3: 1 2 3")
	p.checkpoint()
	check("3 of 3: 1 2 3")
	// An event of an actor and its broadcasts are one.
	actor := topic("a")
	var at uint64
	one := said("a", "4")
	one.Binary, one.Stored = true, func(_ string, offset uint64) { at = offset }
	must(t, p.Commit(limited(t), &durable.Commit{Actor: actor, State: state(1, "x"), Said: []*durable.Said{one, said("a", "5")}}))
	if at != 4 {
		t.Errorf("it was stored at %d", at)
	}
	want(t, p.Commit(limited(t), &durable.Commit{Actor: actor, State: state(1, "x"), Said: []*durable.Said{said("a", "no")}}), durable.ErrConflict)
	p.again()
	past := p.tells("a", "5 of 5: 1 2 3 4 5")
	if s := past.Said[3]; !s.Binary || s.Event != "said" || !s.At.Equal(one.At) || past.Said[4].Binary {
		t.Errorf("it comes back as %+v", s)
	}
	if _, err := p.Load(limited(t), actor); err != nil {
		t.Error(err)
	}
}

// Large and many: chunks are split, and go when nobody needs them.
func TestHistoryInChunks(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	p.opens("a")
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 1+i*2011%9000) }
	var all []string
	for i := range 60 {
		p.says("a", text(i))
		all = append(all, text(i))
		if i%7 == 0 {
			p.checkpoint()
		}
		if i == 30 {
			p.again()
			p.opens("a")
		}
	}
	p.checkpoint()
	before := p.b.Status().Bytes
	p.again()
	for i, s := range p.opens("a").Said {
		if string(s.Payload) != all[i] {
			t.Fatalf("message %d is %.20q of %d", i, s.Payload, len(s.Payload))
		}
	}
	p.TrimHistory("a", 51)
	p.checkpoint()
	if after := p.b.Status().Bytes; after > before*2/3 {
		t.Errorf("%d of %d bytes are left", after, before)
	}
	p.again()
	past := p.opens("a")
	if n := len(past.Said); n < 10 || n > 25 || past.Last != 60 {
		t.Errorf("%d messages are left of %d", n, past.Last)
	}
}

// What is purged is gone, and the offsets go on.
func TestPurge(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	want(t, p.PurgeHistory(limited(t), "a", 1), durable.ErrNone)
	epoch := p.opens("a").Epoch
	p.says("a", "secret1", "secret2")
	p.checkpoint()
	p.says("a", "secret3", "four")
	if len(p.grep("secret1"))*len(p.grep("secret3")) == 0 {
		t.Error("what is to be purged is nowhere")
	}
	must(t, p.PurgeHistory(limited(t), "a", 4))
	p.tells("a", "1 of 4: four")
	if found := p.grep("secret"); len(found) > 0 {
		t.Errorf("what was purged is in %v", found)
	}
	p.again()
	p.tells("a", "1 of 4: four")
	p.opens("a")
	must(t, p.PurgeHistory(limited(t), "a", 1<<63))
	p.tells("a", "0 of 4: ")
	if found := p.grep("four"); len(found) > 0 {
		t.Errorf("what was purged is in %v", found)
	}
	p.says("a", "five")
	p.again()
	if p.tells("a", "1 of 5: five").Epoch != epoch {
		t.Error("the epoch is another")
	}
}

// grep returns the files of the bus that have a text.
func (p *place) grep(text string) (found []string) {
	p.t.Helper()
	must(p.t, filepath.WalkDir(p.bus.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it goes while we look
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

// A history that nobody needs is forgotten, and then begins anew; one that is open is not.
func TestForgottenHistories(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{CheckpointEvery: 20 * time.Millisecond, History: func() int64 { return 40 << 10 }})
	used := p.opens("used").Epoch
	p.says("used", strings.Repeat("x", 30<<10))
	first := p.opens("0").Epoch
	p.CloseHistory("0")
	for i := range 30 {
		topic := fmt.Sprint(i)
		p.opens(topic)
		p.says(topic, strings.Repeat("y", 1000))
		p.CloseHistory(topic)
	}
	eventually(t, "room", func() bool { return p.Status().HistoryBytes <= 40<<10 })
	if p.opens("0").Epoch == first {
		t.Error("the first one is still there")
	}
	if p.opens("used").Epoch != used {
		t.Error("one was forgotten that is in use")
	}
	p.CloseHistory("used")
	p.says("used", "more")
	p.again()
	if past := p.opens("used"); past.Epoch != used || past.Last != 2 {
		t.Errorf("it is at %s:%d", past.Epoch, past.Last)
	}
}

// Many say something at a time: offsets are dense, and Stored is called in their order.
func TestManySay(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{CheckpointEvery: 10 * time.Millisecond})
	const topics, each = 5, 200
	var heard [topics][]uint64
	var group sync.WaitGroup
	for i := range topics {
		p.opens(fmt.Sprint(i))
	}
	for range 10 {
		group.Go(func() {
			for range each / 10 {
				for i := range topics {
					s := said(fmt.Sprint(i), "x")
					s.Stored = func(_ string, offset uint64) { heard[i] = append(heard[i], offset) }
					must(t, p.Commit(limited(t), &durable.Commit{Said: []*durable.Said{s}}))
				}
			}
		})
	}
	group.Wait()
	p.again()
	for i := range topics {
		if !slices.IsSorted(heard[i]) || len(heard[i]) != each || heard[i][each-1] != each {
			t.Errorf("heard %v", heard[i])
		}
		if past := p.opens(fmt.Sprint(i)); len(past.Said) != each {
			t.Errorf("%d messages are there", len(past.Said))
		}
	}
}

// After a restore clients may know positions that the backup does not have, so the epoch is another; what was said is there.
func TestRestoreOfHistory(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	before := p.opens("a")
	p.says("a", "1", "2")
	p.checkpoint()
	p.says("a", "3")
	var saved bytes.Buffer
	must(t, p.Backup(limited(t), &saved))
	b, err := bus.Open(bus.Options{Dir: t.TempDir()})
	must(t, err)
	must(t, b.Up(limited(t)))
	must(t, store.Restore(limited(t), b, "", &saved))
	dir := b.Status().Where
	must(t, b.Close())
	q := openAt(t, bus.Options{Dir: dir}, store.Options{})
	after := q.tells("a", "3 of 3: 1 2 3")
	if after.Epoch == before.Epoch {
		t.Error("the epoch is that of before the backup")
	}
	q.again()
	if q.tells("a", "3 of 3: 1 2 3").Epoch != after.Epoch {
		t.Error("it has another epoch with each start")
	}
}

// Whatever of a chunk is altered: what is told is right, or a gap is, and all others go on.
func TestAlteredHistory(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	before := p.opens("a")
	var texts []string
	for i := range 40 {
		texts = append(texts, fmt.Sprint("text", i))
		p.says("a", texts[i])
	}
	other := p.opens("b")
	p.says("b", "whole")
	p.put(topic("x"), 0, "whole")
	p.checkpoint()
	ctx := limited(t)
	s, err := p.b.Store(ctx, "durable")
	must(t, err)
	list, _, err := s.List(ctx, "past", 0, 10)
	must(t, err)
	i := slices.IndexFunc(list, func(e bus.Entry) bool { return bytes.Contains(e.Value, []byte("text")) })
	whole := list[i]
	for range 25 {
		bad := bytes.Clone(whole.Value)
		bad[rand.IntN(len(bad))] ^= byte(1 + rand.IntN(255))
		must(t, p.Keeper.Close())
		_, err := s.Put(ctx, bus.Write{Key: whole.Key, Value: bad, Last: bus.Any})
		must(t, err)
		p.Keeper = store.Open(p.b, p.opts)
		must(t, p.Up(ctx))
		past := p.opens("a")
		if past.Epoch == before.Epoch && past.Last != 40 {
			t.Errorf("it goes on at %d with the epoch of before", past.Last)
		}
		for _, s := range past.Said {
			if string(s.Payload) != texts[s.Offset-1] {
				t.Errorf("%d is %q", s.Offset, s.Payload)
			}
		}
		p.CloseHistory("a")
		if p.tells("b", "1 of 1: whole").Epoch != other.Epoch {
			t.Error("another one has another epoch")
		}
		if _, err := p.Load(ctx, topic("x")); err != nil {
			t.Error(err)
		}
	}
}

// A damaged broadcast in the log: its topic has another epoch, and all others go on.
func TestAlteredBroadcast(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	a, b := p.opens("a"), p.opens("b")
	p.says("a", "1", "2")
	p.says("b", "whole")
	p.put(topic("x"), 0, "whole")
	must(t, errors.Join(p.Keeper.Close()))
	ctx := limited(t)
	l, err := p.b.Log(ctx, "durable-1")
	must(t, err)
	_, last, err := l.Bounds(ctx)
	must(t, err)
	r, err := l.Get(ctx, last-1) // of b
	must(t, err)
	if !bytes.Contains(r.Data, []byte("whole")) {
		t.Fatalf("%q", r.Data)
	}
	bad := bytes.ReplaceAll(r.Data, []byte("whole"), []byte("while"))
	_, err = l.Append(ctx, last, bad)
	must(t, err)
	p.Keeper = store.Open(p.b, p.opts)
	must(t, p.Up(ctx))
	if p.tells("b", "1 of 1: whole").Epoch == b.Epoch {
		t.Error("it has the epoch of before")
	}
	if p.tells("a", "2 of 2: 1 2").Epoch != a.Epoch {
		t.Error("another one has another epoch")
	}
	if _, err := p.Load(ctx, topic("x")); err != nil {
		t.Error(err)
	}
}

// Without the bus nothing is stored, and nobody waits for it longer than he wants.
func TestHistoryWithoutBus(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	p.opens("a")
	must(t, p.b.Close())
	want(t, p.Commit(limited(t), &durable.Commit{Said: []*durable.Said{said("a", "1")}}), durable.ErrUnavailable)
	ctx, cancel := context.WithTimeout(limited(t), 10*time.Millisecond)
	defer cancel()
	_, err := p.OpenHistory(ctx, "b", long)
	want(t, err, durable.ErrUnavailable)
	p.start()
	p.tells("a", "0 of 0: ")
}
