package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

func TestListRemoveAndPut(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, p *place, pass func()) {
		ctx := limited(t)
		var want []string
		for i := range 50 {
			name := fmt.Sprintf("doc:%02d", i)
			want = append(want, name)
			p.put(topic(name), 0, name)
		}
		p.put(topic("other"), 0, "")
		p.put(process("doc:p"), 0, "")
		pass()
		var got []string
		for after, done := "", false; !done; {
			list, err := p.List(ctx, "chat", durable.Topic, "doc:", after, 7)
			must(t, err)
			for _, info := range list {
				if info.Bytes != len("doc:00held doc:00") || info.Revision != 1 || info.Version != version || info.At.IsZero() {
					t.Fatalf("%+v", info)
				}
				after = info.Actor.Name
				got = append(got, after)
			}
			done = len(list) < 7
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		s, err := p.Load(ctx, topic("doc:03"))
		must(t, err)
		must(t, p.Put(ctx, topic("doc:04"), *s))
		must(t, p.Put(ctx, topic("doc:new"), *s))
		must(t, p.Remove(ctx, topic("doc:03")))
		pass()
		p.has(topic("doc:03"), nil)
		for name, revision := range map[string]uint64{"doc:04": 2, "doc:new": 1} {
			if got, err := p.Load(ctx, topic(name)); err != nil || got.Revision != revision || string(got.Guest) != "doc:03" {
				t.Errorf("%s is %+v: %v", name, got, err)
			}
		}
		if err := p.Remove(ctx, topic("doc:03")); err == nil {
			t.Error("removed twice")
		}
	})
}

// A backup is made while actors send each other posts, and is as of one moment: what was sent has come, or waits.
func TestBackup(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{CheckpointEvery: 20 * time.Millisecond})
	ctx := limited(t)
	const pairs = 40
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := range pairs {
		from, to := topic(fmt.Sprint("from:", i)), topic(fmt.Sprint("to:", i))
		group.Go(func() {
			for n := uint64(1); ; n++ {
				select {
				case <-done:
					return
				default:
				}
				id := durable.PostID{Born: uint64(i), Revision: n}
				if err := p.Commit(ctx, &durable.Commit{Actor: from, Last: n - 1, State: state(n, strings.Repeat("x", int(n%300))), Posts: []durable.Post{{ID: id, To: to}}}); err != nil {
					t.Error(err)
					return
				}
				if n%2 == 0 {
					took := []durable.PostID{id, {Born: uint64(i), Revision: n - 1}}
					if err := p.Commit(ctx, &durable.Commit{Actor: to, Last: n/2 - 1, State: state(n/2, ""), Took: took}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 3 {
		before := p.Status()
		eventually(t, "checkpoint and commits", func() bool {
			s := p.Status()
			return s.Checkpoints > before.Checkpoints && s.Commits > before.Commits+500
		})
		var backup bytes.Buffer
		must(t, p.Backup(ctx, &backup))
		at := bus.Options{Dir: t.TempDir()}
		b, err := bus.Open(at)
		must(t, err)
		must(t, b.Up(ctx))
		must(t, store.Restore(ctx, b, "", bytes.NewReader(backup.Bytes())))
		if err := store.Restore(ctx, b, "", bytes.NewReader(backup.Bytes())); err == nil {
			t.Error("restored into a store that is not empty")
		}
		must(t, b.Close())
		restored := openAt(t, at, store.Options{})
		for i := range pairs {
			sent, err := restored.Load(ctx, topic(fmt.Sprint("from:", i)))
			must(t, err)
			taken := uint64(0)
			if s, err := restored.Load(ctx, topic(fmt.Sprint("to:", i))); err == nil {
				taken = 2 * s.Revision
			}
			if waiting := uint64(len(restored.Posts(topic(fmt.Sprint("to:", i))))); taken+waiting != sent.Revision {
				t.Errorf("%d: %d were sent, %d taken, %d wait", i, sent.Revision, taken, waiting)
			}
		}
		restored.put(topic("from:0"), mustLoad(restored, topic("from:0")).Revision, "goes on")
	}
	close(done)
	group.Wait()
	p.checkpoint()

	// What is no backup is refused, and so is what a refused one has left.
	var backup bytes.Buffer
	must(t, p.Backup(ctx, &backup))
	for name, data := range map[string][]byte{
		"empty": nil, "cut": backup.Bytes()[:backup.Len()-10], "altered": alter(backup.Bytes(), backup.Len()/2), "other": []byte("rtd durable backup 2\n"),
	} {
		at := bus.Options{Dir: t.TempDir()}
		b, err := bus.Open(at)
		must(t, err)
		must(t, b.Up(ctx))
		if err := store.Restore(ctx, b, "", bytes.NewReader(data)); err == nil {
			t.Errorf("%s: restored", name)
		}
		if name == "cut" {
			k := store.Open(b, store.Options{})
			want(t, k.Up(ctx), durable.ErrDamaged)
			must(t, k.Close())
		}
		must(t, b.Close())
	}
}

func mustLoad(p *place, a durable.Actor) *durable.State {
	p.t.Helper()
	s, err := p.Load(limited(p.t), a)
	must(p.t, err)
	return s
}

func alter(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// Topics that nobody has committed for long expire, unless something waits for them or they are awake.
func TestExpire(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{
		Keep: func(plugin string) time.Duration { return map[string]time.Duration{"chat": time.Hour}[plugin] },
		Busy: func(a durable.Actor) bool { return a.Name == "awake" },
	})
	ctx := limited(t)
	old := func(a durable.Actor, change func(*durable.State)) {
		s := state(1, "")
		s.At = now().Add(-2 * time.Hour)
		if change != nil {
			change(s)
		}
		must(t, p.Commit(ctx, &durable.Commit{Actor: a, State: s}))
	}
	for i := range 100 {
		old(topic(fmt.Sprint("old:", i)), nil)
	}
	stay := []durable.Actor{process("old"), {Plugin: "other", Kind: durable.Topic, Name: "old"}, topic("awake")}
	for _, a := range stay {
		old(a, nil)
	}
	old(topic("due"), func(s *durable.State) { s.Due = now().Add(time.Hour) })
	old(topic("posts"), nil)
	p.put(topic("new"), 0, "")
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("new"), Last: 1, State: state(2, ""), Posts: []durable.Post{{To: topic("posts")}}}))
	p.checkpoint()
	old2 := state(2, "committed meanwhile")
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("old:7"), Last: 1, State: old2}))
	if n, err := p.Expire(ctx); n != 99 || err != nil {
		t.Errorf("%d have expired: %v", n, err)
	}
	for _, a := range append(stay, topic("due"), topic("posts"), topic("new")) {
		mustLoad(p, a)
	}
	p.has(topic("old:7"), old2)
	p.has(topic("old:8"), nil)
	if s := p.Status(); s.Expired != 99 || s.Plugins["chat"].Topics != 5 {
		t.Errorf("%+v", s)
	}
}

// A post that is set aside is the same post, in place of the one that waited, in each state of the store, and takes no room twice.
func TestPostsAreSetAside(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, p *place, pass func()) {
		ctx := limited(t)
		a := topic("a")
		waits := durable.Post{ID: durable.PostID{Born: 7, Revision: 1}, To: a, Kind: 300, Payload: bytes.Repeat([]byte("x"), 300<<10)}
		must(t, p.Commit(ctx, &durable.Commit{Actor: topic("b"), State: state(1, ""), Posts: []durable.Post{waits}}))
		pass()
		aside := waits
		aside.Aside = &durable.Aside{Event: "e", At: time.UnixMicro(7).UTC(), Cause: "trap"}
		must(t, p.Commit(ctx, &durable.Commit{Actor: a, State: state(1, ""), Took: []durable.PostID{waits.ID}, Posts: []durable.Post{aside}}))
		for range 2 {
			if got := p.SetAside(); len(got) != 1 || got[0].ID != waits.ID || *got[0].Aside != *aside.Aside || len(p.Posts(a)) != 1 {
				t.Errorf("set aside: %d of %d", len(got), len(p.Posts(a)))
			}
			pass()
		}
		must(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: state(2, ""), Took: []durable.PostID{waits.ID}}))
		pass()
		if got := p.SetAside(); len(got) != 0 {
			t.Errorf("%d are set aside", len(got))
		}
	})
}
