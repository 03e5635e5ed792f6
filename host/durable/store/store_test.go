package store_test

import (
	"context"
	"errors"
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

var _ durable.Keeper = (*store.Keeper)(nil)

// everyWay runs an exercise where states are in memory, in the leaves, read from the log after a start, and from the leaves after one.
func everyWay(t *testing.T, exercise func(t *testing.T, p *place, pass func())) {
	for name, pass := range map[string]func(p *place){
		"memory":     func(*place) {},
		"leaves":     (*place).checkpoint,
		"log":        (*place).again,
		"checkpoint": func(p *place) { p.checkpoint(); p.again() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, store.Options{})
			exercise(t, p, func() { t.Helper(); pass(p) })
		})
	}
}

func TestStatesAreKept(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, p *place, pass func()) {
		ctx := limited(t)
		a, b, odd := topic("a"), process("b"), topic(strings.Repeat("ä.* >\x00", 500))
		p.has(a, nil)
		first := p.put(a, 0, "first")
		other := p.put(b, 0, "")
		strange := p.put(odd, 0, "strange")
		pass()
		p.has(a, first)
		p.has(b, other)
		p.has(odd, strange)
		p.has(topic("b"), nil)

		second := state(2, "second")
		second.Due, second.Guest = now().Add(time.Hour), nil
		must(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: second}))
		pass()
		p.has(a, second)
		for _, last := range []uint64{0, 1, 3} {
			want(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: last, State: state(last+1, "x")}), durable.ErrConflict)
		}
		p.has(a, second)

		must(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 2}))
		p.has(a, nil)
		pass()
		p.has(a, nil)
		want(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 2}), durable.ErrConflict)
		anew := p.put(a, 0, "anew")
		pass()
		p.has(a, anew)
	})
}

func TestPostsWaitUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, p *place, pass func()) {
		ctx := limited(t)
		a, b := topic("a"), topic("b")
		post := func(revision uint64, index uint32, to durable.Actor, text string) durable.Post {
			return durable.Post{ID: durable.PostID{Born: 7, Revision: revision, Index: index}, To: to, From: "me", Kind: 300, Binary: true, Payload: []byte(text)}
		}
		must(t, p.Commit(ctx, &durable.Commit{Actor: a, State: state(1, ""), Posts: []durable.Post{post(1, 0, b, "one"), post(1, 1, a, "self"), post(1, 2, b, "two")}}))
		pass()
		p.waits(b, "one", "two")
		p.waits(a, "self")
		p.has(b, nil)
		if got := p.Posts(b)[0]; fmt.Sprint(got) != fmt.Sprint(post(1, 0, b, "one")) {
			t.Errorf("%+v", got)
		}
		must(t, p.Commit(ctx, &durable.Commit{Actor: b, State: state(1, "b"), Took: []durable.PostID{{Born: 7, Revision: 1}}, Posts: []durable.Post{post(1, 3, b, "three")}}))
		p.waits(b, "two", "three")
		pass()
		p.waits(b, "two", "three")
		// Of a commit that fails nothing is done.
		want(t, p.Commit(ctx, &durable.Commit{Actor: b, Last: 5, State: state(6, "b"), Took: []durable.PostID{{Born: 7, Revision: 1, Index: 2}}, Posts: []durable.Post{post(9, 0, a, "lost")}}), durable.ErrConflict)
		p.waits(a, "self")
		must(t, p.Commit(ctx, &durable.Commit{Actor: b, Last: 1}))
		p.waits(b)
		pass()
		p.waits(b)
		p.waits(a, "self")
		p.has(b, nil)
		if s := p.Status().Plugins["chat"]; s.Posts != 1 || s.Topics != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestActorsAndUses(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, p *place, pass func()) {
		ctx := limited(t)
		var names []string
		var group sync.WaitGroup
		for i := range 300 {
			name := fmt.Sprintf("p-%03d", i)
			names = append(names, name)
			group.Go(func() { p.put(process(name), 0, strings.Repeat("x", i)) })
		}
		group.Wait()
		p.put(topic("t"), 0, "")
		must(t, p.Commit(ctx, &durable.Commit{Actor: durable.Actor{Plugin: "chat.other", Kind: durable.Process, Name: "p"}, State: state(1, "")}))
		pass()
		must(t, p.Commit(ctx, &durable.Commit{Actor: process("p-007"), Last: 1}))
		names = slices.Delete(names, 7, 8)
		moved := state(2, "moved")
		moved.Version = snapshot
		must(t, p.Commit(ctx, &durable.Commit{Actor: process("p-008"), Last: 1, State: moved}))
		pass()
		var got []string
		for a, err := range p.Actors(ctx, "chat", durable.Process) {
			must(t, err)
			got = append(got, a.Name)
		}
		if slices.Sort(got); !slices.Equal(got, names) {
			t.Errorf("%d actors: %v", len(got), got)
		}
		uses := p.Uses("chat")
		if len(uses) != 2 || uses[durable.Use{Version: version, Snapshot: snapshot}] != 299 || uses[durable.Use{Version: snapshot, Snapshot: snapshot}] != 1 {
			t.Errorf("%v", uses)
		}
		if s := p.Status().Plugins["chat"]; s.Processes != 299 || s.Topics != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Leaves are split as actors come, and every actor is found.
func TestManyActors(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	const many = 3000
	states := make([]*durable.State, many)
	for round := range uint64(3) {
		var group sync.WaitGroup
		for i := range many {
			if i%3 == int(round) || round == 0 {
				group.Go(func() {
					last := uint64(0)
					if states[i] != nil {
						last = states[i].Revision
					}
					states[i] = p.put(topic(fmt.Sprint(i)), last, strings.Repeat("x", i%500))
				})
			}
		}
		group.Wait()
		p.checkpoint()
		if round == 1 {
			p.again()
		}
	}
	for i, s := range states {
		p.has(topic(fmt.Sprint(i)), s)
	}
	if s := p.Status(); s.Leaves < many/50 || s.Leaves > many/4 {
		t.Errorf("%d leaves", s.Leaves)
	}
	large := p.put(topic("large"), 0, strings.Repeat("x", 500_000))
	p.checkpoint()
	p.again()
	p.has(topic("large"), large)
	for i, s := range states {
		p.has(topic(fmt.Sprint(i)), s)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{MaxState: 1000, Room: func(plugin string) int64 { return map[string]int64{"small": 2000}[plugin] }})
	ctx := limited(t)
	a := topic("a")
	s := p.put(a, 0, "small")
	want(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: state(2, strings.Repeat("x", 600))}), durable.ErrTooLarge)
	want(t, p.Commit(ctx, &durable.Commit{Actor: durable.Actor{Plugin: "chat", Kind: 9, Name: "x"}, State: state(1, "")}), durable.ErrNone)
	want(t, p.Commit(ctx, &durable.Commit{Actor: topic(strings.Repeat("x", 5000)), State: state(1, "")}), durable.ErrTooLarge)
	want(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: state(3, "")}), durable.ErrConflict)
	p.has(a, s)

	small := func(name string) durable.Actor {
		return durable.Actor{Plugin: "small", Kind: durable.Topic, Name: name}
	}
	p.put(small("a"), 0, strings.Repeat("x", 350))
	p.put(small("b"), 0, strings.Repeat("x", 350))
	full := &durable.Commit{Actor: small("c"), State: state(1, strings.Repeat("x", 350))}
	want(t, p.Commit(ctx, full), durable.ErrFull)
	p.put(small("b"), 1, "") // less is always possible
	must(t, p.Commit(ctx, full))
	post := durable.Post{To: small("d"), Payload: make([]byte, 1000)}
	want(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: state(2, ""), Posts: []durable.Post{post}}), durable.ErrFull)
	must(t, p.Commit(ctx, &durable.Commit{Actor: small("a"), Last: 1}))
	must(t, p.Commit(ctx, &durable.Commit{Actor: a, Last: 1, State: state(2, ""), Posts: []durable.Post{post}}))
	p.has(small("c"), full.State)

	// A queue has a bound, too.
	last := uint64(2)
	for i := range 1000 {
		post := durable.Post{ID: durable.PostID{Revision: last + 1}, To: topic("busy"), Payload: make([]byte, 100_000)}
		err := p.Commit(ctx, &durable.Commit{Actor: a, Last: last, State: state(last+1, ""), Posts: []durable.Post{post}})
		if errors.Is(err, durable.ErrFull) && i > 3 {
			break
		}
		must(t, err)
		last++
	}
	if n := len(p.Posts(topic("busy"))); n != 5 {
		t.Errorf("%d posts wait", n)
	}
}

// A second keeper takes over, and the first one fails for good.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	s := p.put(topic("a"), 0, "one")
	second := store.Open(p.b, p.opts)
	defer second.Close()
	must(t, second.Up(limited(t)))
	want(t, p.Commit(limited(t), &durable.Commit{Actor: topic("a"), Last: 1, State: state(2, "two")}), durable.ErrUnavailable)
	want(t, p.Err(), durable.ErrUnavailable)
	if err := p.Err(); !errors.Is(err, bus.ErrConflict) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("%v", err)
	}
	_, err := p.Load(limited(t), topic("a"))
	want(t, err, durable.ErrUnavailable)
	if got, err := second.Load(limited(t), topic("a")); err != nil || string(got.Guest) != "one" {
		t.Errorf("%v: %v", got, err)
	}
	must(t, second.Commit(limited(t), &durable.Commit{Actor: topic("a"), Last: s.Revision, State: state(2, "two")}))
}

// Who has asked for it is told of posts and of alarms, also of those from before the start.
func TestTold(t *testing.T) {
	t.Parallel()
	posted, due := make(chan durable.Actor, 100), make(chan durable.Actor, 100)
	p := open(t, store.Options{Posted: func(a durable.Actor) { posted <- a }, Due: func(a durable.Actor) { due <- a }})
	ctx := limited(t)
	told := func(what chan durable.Actor, a durable.Actor) {
		t.Helper()
		select {
		case got := <-what:
			if got != a {
				t.Errorf("told of %v, and should be of %v", got, a)
			}
		case <-ctx.Done():
			t.Fatalf("not told of %v", a)
		}
	}
	past, future, never := state(1, "past"), state(1, "future"), state(1, "never")
	past.Due, future.Due, never.Due = now().Add(-time.Hour), now().Add(300*time.Millisecond), now().Add(10*time.Hour)
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("never"), State: never}))
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("future"), State: future}))
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("past"), State: past}))
	told(due, topic("past"))
	told(due, topic("future"))
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("past"), Last: 1, State: state(2, "")}))
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("a"), State: state(1, ""), Posts: []durable.Post{{To: topic("b")}}}))
	told(posted, topic("b"))
	for range 2 {
		p.again()
		told(due, topic("future"))
		told(posted, topic("b"))
		p.checkpoint()
	}
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("future"), Last: 1}))
	if s := p.Status(); s.Alarms != 1 {
		t.Errorf("%d alarms", s.Alarms)
	}
	if len(due) > 0 || len(posted) > 0 {
		t.Errorf("told of more: %d, %d", len(due), len(posted))
	}
}

// A commit that nobody waits for any more may be stored or not, and the actor is as one of both says.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	p := open(t, store.Options{})
	last := uint64(0)
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*50*time.Microsecond)
		err := p.Commit(ctx, &durable.Commit{Actor: topic("a"), Last: last, State: state(last+1, fmt.Sprint(i))})
		cancel()
		if err != nil {
			want(t, err, durable.ErrUnavailable)
		}
		s, loaded := p.Load(limited(t), topic("a"))
		switch {
		case errors.Is(loaded, durable.ErrNone) && err != nil && last == 0:
		case loaded != nil:
			t.Fatal(loaded)
		case s.Revision == last && err != nil:
		case s.Revision == last+1 && string(s.Guest) == fmt.Sprint(i):
			last++
		default:
			t.Fatalf("revision %d after %d: %v", s.Revision, last, err)
		}
	}
}
