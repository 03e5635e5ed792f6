package bus_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/bus"
)

// A log takes records one behind the other, and nothing else.
func TestLog(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		b, ctx := open(t, o), limited(t)
		l, err := b.Log(ctx, "node-1")
		must(t, err)
		for i := range 600 {
			n, err := l.Append(ctx, uint64(i), []byte(strconv.Itoa(i+1)))
			must(t, err)
			if n != uint64(i+1) {
				t.Fatalf("record %d has sequence %d", i+1, n)
			}
		}
		list, err := texts(t, l, 0)
		must(t, err)
		for i, text := range list {
			if text != fmt.Sprintf("%d:%d", i+1, i+1) {
				t.Fatalf("record %d is %s", i+1, text)
			}
		}
		if len(list) != 600 {
			t.Fatalf("%d records", len(list))
		}

		_, err = l.Append(ctx, 599, []byte("late"))
		want(t, err, bus.ErrConflict)
		_, err = l.Append(ctx, 601, []byte("early"))
		want(t, err, bus.ErrConflict)
		_, err = l.Append(ctx, 600, make([]byte, bus.MaxData+1))
		want(t, err, bus.ErrTooLarge)
		n, err := l.Append(ctx, 600, make([]byte, bus.MaxData))
		must(t, err)
		r, err := l.Get(ctx, n)
		must(t, err)
		if len(r.Data) != bus.MaxData || r.Sequence != 601 || time.Since(r.Time).Abs() > time.Hour {
			t.Errorf("record %d of %d bytes at %v", r.Sequence, len(r.Data), r.Time)
		}
		_, err = l.Get(ctx, 602)
		want(t, err, bus.ErrNotFound)

		must(t, l.Purge(ctx, 598))
		must(t, l.Purge(ctx, 598))
		if first, last, err := l.Bounds(ctx); err != nil || first != 599 || last != 601 {
			t.Errorf("from %d to %d: %v", first, last, err)
		}
		_, err = texts(t, l, 598)
		want(t, err, bus.ErrGone)
		must(t, l.Purge(ctx, 601))
		if first, last, err := l.Bounds(ctx); err != nil || first != 602 || last != 601 {
			t.Errorf("from %d to %d: %v", first, last, err)
		}
		if list, err := texts(t, l, 602); err != nil || len(list) > 0 {
			t.Errorf("%v: %v", list, err)
		}
		if n, err := l.Append(ctx, 601, nil); err != nil || n != 602 {
			t.Errorf("%d: %v", n, err)
		}

		if names, err := b.Logs(ctx); err != nil || !slices.Equal(names, []string{"node-1"}) {
			t.Errorf("%v: %v", names, err)
		}
		must(t, l.Drop(ctx))
		must(t, l.Drop(ctx))
		if names, err := b.Logs(ctx); err != nil || len(names) > 0 {
			t.Errorf("%v: %v", names, err)
		}
		_, err = b.Log(ctx, "a.b")
		want(t, err, bus.ErrName)
	})
}

// Of two who append to one log each place is one's alone. The same call again finds what it has stored.
func TestLogHasOneOrder(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		b, ctx := open(t, o), limited(t)
		var all sync.WaitGroup
		var mu sync.Mutex
		stored := map[uint64]string{}
		for _, name := range []string{"a", "b", "c"} {
			all.Go(func() {
				l, err := b.Log(ctx, "shared")
				if err != nil {
					t.Error(err)
					return
				}
				last := uint64(0)
				for i := 0; i < 50; {
					text := name + strconv.Itoa(i)
					n, err := l.Append(ctx, last, []byte(text))
					if err != nil {
						last++
						continue
					}
					again, err := l.Append(ctx, last, []byte(text))
					if err != nil || again != n {
						t.Errorf("%s is %d, and then %d: %v", text, n, again, err)
					}
					mu.Lock()
					stored[n] = text
					mu.Unlock()
					last, i = n, i+1
				}
			})
		}
		all.Wait()
		l, err := b.Log(ctx, "shared")
		must(t, err)
		list, err := texts(t, l, 1)
		must(t, err)
		if len(list) != 150 || len(stored) != 150 {
			t.Fatalf("%d records, %d acknowledged", len(list), len(stored))
		}
		for i, text := range list {
			if want := fmt.Sprintf("%d:%s", i+1, stored[uint64(i+1)]); text != want {
				t.Errorf("there is %s, and acknowledged was %s", text, want)
			}
		}
	})
}

// A store has the latest value of each key, and its revision fences writes.
func TestStore(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		b, ctx := open(t, o), limited(t)
		s, err := b.Store(ctx, "states")
		must(t, err)
		put := func(key, value string, last uint64) (uint64, error) {
			return s.Put(ctx, bus.Write{Key: key, Value: []byte(value), Last: last})
		}
		_, err = s.Get(ctx, "a.b")
		want(t, err, bus.ErrNotFound)
		first, err := put("a.b", "1", 0)
		must(t, err)
		if again, err := put("a.b", "1", 0); err != nil || again != first {
			t.Errorf("the same again is %d, and was %d: %v", again, first, err)
		}
		_, err = put("a.b", "other", 0)
		want(t, err, bus.ErrConflict)
		second, err := put("a.b", "2", first)
		must(t, err)
		_, err = put("a.b", "3", first)
		want(t, err, bus.ErrConflict)
		third, err := put("a.b", "3", bus.Any)
		must(t, err)
		if e, err := s.Get(ctx, "a.b"); err != nil || string(e.Value) != "3" || e.Revision != third || e.Key != "a.b" || third <= second {
			t.Errorf("%+v: %v", e, err)
		}
		want(t, s.Delete(ctx, "a.b", second), bus.ErrConflict)
		must(t, s.Delete(ctx, "a.b", third))
		want(t, s.Delete(ctx, "a.b", third), bus.ErrConflict)
		_, err = s.Get(ctx, "a.b")
		want(t, err, bus.ErrNotFound)
		_, err = put("a.b", "anew", third)
		want(t, err, bus.ErrConflict)
		fourth, err := put("a.b", "anew", 0)
		must(t, err)
		if fourth <= third {
			t.Errorf("revision %d after %d", fourth, third)
		}
		_, err = put("a.b", strings.Repeat("x", bus.MaxData+1), bus.Any)
		want(t, err, bus.ErrTooLarge)
		for _, key := range []string{"", ".", "a..b", "a.*", "a.>", "a b", "ä", strings.Repeat("x", 2000)} {
			_, err = put(key, "", bus.Any)
			want(t, err, bus.ErrName)
		}
		if names, err := b.Stores(ctx); err != nil || !slices.Equal(names, []string{"states"}) {
			t.Errorf("%v: %v", names, err)
		}
		must(t, s.Drop(ctx))
	})
}

// Many entries are stored at once, or none.
func TestStoreWriteAll(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		b, ctx := open(t, o), limited(t)
		s, err := b.Store(ctx, "states")
		must(t, err)
		writes := make([]bus.Write, bus.MaxWrites)
		for i := range writes {
			writes[i] = bus.Write{Key: fmt.Sprintf("k.%d", i), Value: []byte(strconv.Itoa(i)), Last: 0}
		}
		first, err := s.WriteAll(ctx, writes)
		must(t, err)
		if again, err := s.WriteAll(ctx, writes); err != nil || again != first {
			t.Errorf("the same again are from %d on, and were from %d on: %v", again, first, err)
		}
		mixed := []bus.Write{{Key: "mixed.any", Last: bus.Any}, {Key: "mixed.new", Last: 0}}
		once, err := s.WriteAll(ctx, mixed)
		must(t, err)
		if again, err := s.WriteAll(ctx, mixed); err != nil || again != once {
			t.Errorf("the same again are from %d on, and were from %d on: %v", again, once, err)
		}
		for _, i := range []int{0, 1, 500, 999} {
			if e, err := s.Get(ctx, writes[i].Key); err != nil || string(e.Value) != strconv.Itoa(i) || e.Revision != first+uint64(i) {
				t.Errorf("%d is %+v: %v", i, e, err)
			}
		}
		_, err = s.WriteAll(ctx, append(writes, bus.Write{Key: "one.more"}))
		want(t, err, bus.ErrTooLarge)

		// One that conflicts stops all, wherever it is.
		for _, at := range []int{0, 5, 9} {
			few := make([]bus.Write, 10)
			for i := range few {
				few[i] = bus.Write{Key: fmt.Sprintf("new.%d", i), Last: 0}
			}
			few[at] = bus.Write{Key: "k.7", Last: 0}
			_, err = s.WriteAll(ctx, few)
			want(t, err, bus.ErrConflict)
		}
		if list, _, err := s.List(ctx, "new", 0, 100); err != nil || len(list) > 0 {
			t.Errorf("%d entries: %v", len(list), err)
		}
		for i := range writes {
			writes[i].Last = first + uint64(i)
		}
		second, err := s.WriteAll(ctx, writes)
		must(t, err)
		if second < first+bus.MaxWrites {
			t.Errorf("revisions from %d on, and before from %d on", second, first)
		}
		if n, err := s.WriteAll(ctx, nil); n != 0 || err != nil {
			t.Errorf("nothing is %d, %v", n, err)
		}
	})
}

// Pages have every key once, also while they change.
func TestStoreList(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		b, ctx := open(t, o), limited(t)
		s, err := b.Store(ctx, "states")
		must(t, err)
		var writes []bus.Write
		for i := range 300 {
			writes = append(writes, bus.Write{Key: fmt.Sprintf("a.%d", i), Last: 0}, bus.Write{Key: fmt.Sprintf("ab.%d", i), Last: 0})
		}
		_, err = s.WriteAll(ctx, writes)
		must(t, err)
		seen := map[string]int{}
		after, more := uint64(0), true
		for pages := 0; more; pages++ {
			var list []bus.Entry
			list, more, err = s.List(ctx, "a", after, 50)
			must(t, err)
			if len(list) > 50 {
				t.Fatalf("a page of %d", len(list))
			}
			for _, e := range list {
				if e.Revision <= after {
					t.Fatalf("revision %d after %d", e.Revision, after)
				}
				after = e.Revision
				seen[e.Key]++
			}
			if pages == 0 { // one that was seen, and one that was not
				for _, key := range []string{"a.3", "a.299"} {
					_, err := s.Put(ctx, bus.Write{Key: key, Last: bus.Any})
					must(t, err)
				}
			}
		}
		if len(seen) != 300 || seen["a.3"] != 2 || seen["a.299"] != 1 || seen["a.100"] != 1 {
			t.Errorf("%d keys, %v", len(seen), seen)
		}
		if list, more, err := s.List(ctx, "", 0, 10); err != nil || len(list) != 10 || !more {
			t.Errorf("%d entries, more: %v: %v", len(list), more, err)
		}
		if list, more, err := s.List(ctx, "none", 0, 10); err != nil || len(list) != 0 || more {
			t.Errorf("%d entries, more: %v: %v", len(list), more, err)
		}
	})
}

// What is stored is there for the next one who opens the bus, and systems with other prefixes do not see it.
func TestReopen(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, o bus.Options) {
		ctx := limited(t)
		b := open(t, o)
		l, err := b.Log(ctx, "log")
		must(t, err)
		s, err := b.Store(ctx, "store")
		must(t, err)
		_, err = l.Append(ctx, 0, []byte("one"))
		must(t, err)
		_, err = s.Put(ctx, bus.Write{Key: "key", Value: []byte("value")})
		must(t, err)
		must(t, b.Close())
		want(t, b.Up(ctx), bus.ErrClosed)
		_, err = l.Append(ctx, 1, nil)
		want(t, err, bus.ErrClosed)

		b = open(t, o)
		l, err = b.Log(ctx, "log")
		must(t, err)
		if list, err := texts(t, l, 1); err != nil || !slices.Equal(list, []string{"1:one"}) {
			t.Errorf("%v: %v", list, err)
		}
		s, err = b.Store(ctx, "store")
		must(t, err)
		if e, err := s.Get(ctx, "key"); err != nil || !bytes.Equal(e.Value, []byte("value")) {
			t.Errorf("%+v: %v", e, err)
		}
		if status := b.Status(); status.Cause != nil || status.Streams != 2 || status.Bytes == 0 {
			t.Errorf("%+v", status)
		}
		must(t, b.Close())

		o.Prefix = "another"
		b = open(t, o)
		if names, err := b.Logs(ctx); err != nil || len(names) > 0 {
			t.Errorf("%v: %v", names, err)
		}
	})
}

// Any text is a token, and different ones are different tokens.
func TestToken(t *testing.T) {
	t.Parallel()
	texts := []string{"", "a", "A", "room:lobby", "room.lobby", "room=3Alobby", "=e", "é", "a b", "*", ">", "\x00", "=h"}
	for _, n := range []int{85, 86, 255, 256, 60_000} {
		texts = append(texts, strings.Repeat("x", n), strings.Repeat(":", n))
	}
	b, ctx := open(t, bus.Options{Dir: t.TempDir()}), limited(t)
	s, err := b.Store(ctx, "tokens")
	must(t, err)
	whose := map[string]string{}
	for _, text := range texts {
		token := bus.Token(text)
		if other, taken := whose[token]; taken {
			t.Errorf("%.20q and %.20q are both %s", text, other, token)
		}
		whose[token] = text
		_, err := s.Put(ctx, bus.Write{Key: "a." + token + ".b", Last: 0})
		must(t, err)
	}
}
