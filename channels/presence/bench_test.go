package presence_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"rtd/channels/presence"
)

const crowd = 50_000 // presences in one topic

var meta = []byte(`{"name":"somebody","online_at":1700000000000,"status":"away"}`)

// crowded is a tracker with a crowd in one topic, after its diffs have gone out.
func crowded(b *testing.B, n int, broadcast func(string, presence.Diff)) *presence.Tracker {
	b.Helper()
	tr := presence.New(presence.Options{Broadcast: broadcast})
	b.Cleanup(tr.Close)
	for i := range n {
		if _, err := tr.Track(i, "room", fmt.Sprint("user:", i), meta); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	return tr
}

// BenchmarkChange is one owner more and one less; it should not depend on the
// size of the crowd.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1, 500, crowd} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := crowded(b, n, nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := n + i
				if _, err := tr.Track(id, "room", "another", meta); err != nil {
					b.Fatal(err)
				}
				tr.Leave(id)
			}
		})
	}
}

// BenchmarkUpdate is an update by one owner after the other.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1, crowd} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := crowded(b, n, nil)
			keys := make([]string, n)
			for i := range keys {
				keys[i] = fmt.Sprint("user:", i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := tr.Update(i%n, "room", keys[i%n], meta); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSameKey is a change in a crowd of which all have one key.
func BenchmarkSameKey(b *testing.B) {
	tr := presence.New(presence.Options{})
	b.Cleanup(tr.Close)
	for i := range crowd {
		if _, err := tr.Track(i, "room", "guest", meta); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		tr.Leave(i % crowd)
		if _, err := tr.Track(i%crowd, "room", "guest", meta); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	tr := crowded(b, crowd, nil)
	for _, n := range []int{1, 1000} { // changes before the list
		b.Run(fmt.Sprint("changed ", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i := range n {
					id := i * (crowd / n)
					tr.Update(id, "room", fmt.Sprint("user:", id), meta)
				}
				b.SetBytes(int64(len(tr.List("room"))))
			}
		})
	}
	b.Run("herd", func(b *testing.B) { // each changes the topic and then reads it
		b.SetParallelism(100)
		b.RunParallel(func(pb *testing.PB) {
			id := new(int)
			for pb.Next() {
				if _, err := tr.Track(id, "room", "another", meta); err != nil {
					b.Error(err)
					return
				}
				tr.List("room")
				tr.Leave(id)
			}
		})
	})
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			tr.List("room")
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			tr.Count("room")
		}
	})
}

func BenchmarkDiffJSON(b *testing.B) {
	for _, n := range []int{1, 20, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := presence.NewState(presence.Replica{Name: "a"})
			var d presence.Diff
			for i := range n {
				d.Joins = append(d.Joins, s.Add("room", fmt.Sprintf("user:%06d", i), meta))
			}
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(d.JSON())))
			}
		})
	}
}

// BenchmarkCrowd is a second of a crowded topic with 1,000 changes, 10 new lists
// and all diffs encoded: what it takes of one core.
func BenchmarkCrowd(b *testing.B) {
	var diffs, bytes int
	tr := crowded(b, crowd, func(topic string, d presence.Diff) { diffs, bytes = diffs+1, bytes+len(d.JSON()) })
	diffs, bytes = 0, 0
	b.ResetTimer()
	for round := range b.N {
		for i := range 1000 {
			id := (round*1000 + i) % crowd
			tr.Leave(id)
			if _, err := tr.Track(id, "room", fmt.Sprint("user:", id), meta); err != nil {
				b.Fatal(err)
			}
			if i%100 == 0 {
				tr.List("room")
			}
		}
	}
}

// BenchmarkMemory is the heap that an entry takes, its owner included, but not
// the key and meta that it was given.
func BenchmarkMemory(b *testing.B) {
	for range b.N {
		var before, after runtime.MemStats
		ids := make([]any, crowd)
		keys := make([]string, crowd)
		for i := range crowd {
			ids[i], keys[i] = new(int), fmt.Sprint("user:", i)
		}
		tr := presence.New(presence.Options{Interval: -1})
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range crowd {
			if _, err := tr.Track(ids[i], "room", keys[i], meta); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(200 * time.Millisecond) // the diffs
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/crowd, "B/entry")
		runtime.KeepAlive(ids)
		runtime.KeepAlive(keys)
		tr.Close()
	}
}
