package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

// entries returns what is in the store of the bus.
func entries(t testing.TB, b *bus.Bus) (*bus.Store, []bus.Entry) {
	t.Helper()
	s, err := b.Store(limited(t), "durable")
	must(t, err)
	list, _, err := s.List(limited(t), "leaf", 0, 1000)
	must(t, err)
	return s, list
}

// A leaf that is damaged concerns those in it. The others go on, new ones come beside it, and who is removed can begin anew.
func TestDamagedLeaf(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"head":  func(b []byte) []byte { return alter(b, 6) },
		"entry": func(b []byte) []byte { return alter(b, len(b)-30) },
		"cut":   func(b []byte) []byte { return b[:len(b)-30] },
		"empty": func(b []byte) []byte { return nil },
		"noise": func(b []byte) []byte { return []byte(strings.Repeat("\xff", len(b))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ctx := open(t, store.Options{}), limited(t)
			const many = 100
			for i := range many {
				p.put(topic(fmt.Sprint(i)), 0, strings.Repeat("x", 200))
			}
			p.checkpoint()
			s, list := entries(t, p.b)
			hurt := list[len(list)/2]
			_, err := s.Put(ctx, bus.Write{Key: hurt.Key, Value: damage(hurt.Value), Last: bus.Any})
			must(t, err)
			p.again()
			var bad []durable.Actor
			for i := range many {
				_, err := p.Load(ctx, topic(fmt.Sprint(i)))
				if errors.Is(err, durable.ErrDamaged) {
					bad = append(bad, topic(fmt.Sprint(i)))
				} else {
					must(t, err)
				}
			}
			if len(bad) == 0 || len(bad) > many/len(list)*3 {
				t.Fatalf("%d of %d actors in %d leaves are damaged", len(bad), many, len(list))
			}
			want(t, p.Commit(ctx, &durable.Commit{Actor: bad[0], State: state(1, "")}), durable.ErrDamaged)
			// Others change, so that leaves are written, and it stays as it is.
			for i := range many {
				err := p.Commit(ctx, &durable.Commit{Actor: topic(fmt.Sprint(i)), Last: 1, State: state(2, "more")})
				if !errors.Is(err, durable.ErrDamaged) {
					must(t, err)
				}
			}
			for range 2 {
				p.checkpoint()
				_, err = p.Load(ctx, bad[0])
				want(t, err, durable.ErrDamaged)
				p.again()
			}
			must(t, p.Remove(ctx, bad[0]))
			p.again()
			p.checkpoint()
			p.has(bad[0], nil)
			p.put(bad[0], 0, "anew")
			p.again()
			p.checkpoint()
			for i := range many {
				if _, err := p.Load(ctx, topic(fmt.Sprint(i))); err != nil {
					want(t, err, durable.ErrNone) // after damage to the whole leaf
				}
			}
		})
	}
}

// What a later version wrote is left alone, and so is a log that cannot be read.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(ctx context.Context, b *bus.Bus) error{
		"later rtd": func(ctx context.Context, b *bus.Bus) error {
			s, err := b.Store(ctx, "durable")
			if err == nil {
				_, err = s.Put(ctx, bus.Write{Key: "format", Value: []byte(`{"format":2}`), Last: bus.Any})
			}
			return err
		},
		"malformed": func(ctx context.Context, b *bus.Bus) error {
			l, err := b.Log(ctx, "durable-1")
			if err == nil {
				var last uint64
				if _, last, err = l.Bounds(ctx); err == nil {
					_, err = l.Append(ctx, last, []byte("\x01what is this"))
				}
			}
			return err
		},
		"has format 4": func(ctx context.Context, b *bus.Bus) error {
			l, err := b.Log(ctx, "durable-1")
			if err == nil {
				var last uint64
				if _, last, err = l.Bounds(ctx); err == nil {
					_, err = l.Append(ctx, last, []byte("\x04of later"))
				}
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ctx := open(t, store.Options{}), limited(t)
			p.put(topic("a"), 0, "")
			must(t, p.Keeper.Close())
			must(t, make(ctx, p.b))
			k := store.Open(p.b, p.opts)
			defer k.Close()
			err := k.Up(ctx)
			want(t, err, durable.ErrUnavailable)
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error is %v, and should say %q", err, name)
			}
			_, err = k.Load(ctx, topic("a"))
			want(t, err, durable.ErrUnavailable)
		})
	}
}

// While the bus is down commits fail at once, and then they go on.
func TestBusGoesDown(t *testing.T) {
	t.Parallel()
	p, ctx := open(t, store.Options{}), limited(t)
	s := p.put(topic("a"), 0, "")
	must(t, p.b.Close())
	err := p.Commit(ctx, &durable.Commit{Actor: topic("a"), Last: 1, State: state(2, "")})
	want(t, err, durable.ErrUnavailable)
	want(t, p.Err(), durable.ErrUnavailable)
	p.again()
	p.has(topic("a"), s)
}

// A bus that is full takes no more states. What is stored can be read, and removed, and then it goes on by itself.
func TestFull(t *testing.T) {
	t.Parallel()
	p, ctx := openAt(t, bus.Options{Dir: t.TempDir(), MaxBytes: 8 << 20}, store.Options{}), limited(t)
	fill := func() (last int) {
		for ; last < 1000; last++ {
			s := state(1, strings.Repeat("x", 50_000))
			err := p.Commit(ctx, &durable.Commit{Actor: topic(fmt.Sprint(last)), State: s})
			if errors.Is(err, durable.ErrFull) {
				return last
			}
			if !errors.Is(err, durable.ErrConflict) { // of those that are there
				must(t, err)
			}
		}
		t.Fatal("it is never full")
		return 0
	}
	fill()
	p.checkpoint()
	eventually(t, "more room, as the log is empty", func() bool { return fill() > 60 }) // of 100 KB each
	last := fill()
	for i := range last {
		if s, err := p.Load(ctx, topic(fmt.Sprint(i))); err != nil || len(s.Guest) != 50_000 {
			t.Fatalf("%d: %v", i, err)
		}
	}
	for i := range last {
		must(t, p.Remove(ctx, topic(fmt.Sprint(i))))
	}
	eventually(t, "room", func() bool {
		err := p.Commit(ctx, &durable.Commit{Actor: topic("new"), State: state(1, strings.Repeat("x", 50_000))})
		if err != nil {
			want(t, err, durable.ErrFull)
		}
		return err == nil
	})
}
