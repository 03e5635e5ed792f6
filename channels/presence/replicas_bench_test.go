package presence_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"rtd/channels/presence"
)

// trio is three trackers that tell each other everything at once, and how many bytes that takes on one link.
type trio struct {
	b        *testing.B
	trackers []*presence.Tracker
	bytes    int
}

func newTrio(b *testing.B, topics int) *trio {
	m := &trio{b: b}
	for i := range 3 {
		tr := connected(b, fmt.Sprint("node", i), 1, presence.Options{Broadcast: func(_ string, d presence.Diff) { d.JSON() }})
		m.trackers = append(m.trackers, tr)
	}
	for i, tr := range m.trackers {
		tr.Up(fmt.Sprint("node", (i+1)%3))
		tr.Up(fmt.Sprint("node", (i+2)%3))
	}
	for i := range crowd {
		m.track(i, topics)
	}
	m.tell()
	time.Sleep(200 * time.Millisecond) // the diffs
	m.bytes = 0
	return m
}

func (m *trio) track(i, topics int) {
	if _, err := m.trackers[i%3].Track(i, fmt.Sprint("room:", i%topics), fmt.Sprint("user:", i), meta); err != nil {
		m.b.Fatal(err)
	}
}

func (m *trio) tell() {
	for i, tr := range m.trackers {
		for piece := tr.TakeChanges(); piece != nil; piece = tr.TakeChanges() {
			m.bytes += len(piece)
			for j := range m.trackers {
				if i == j {
					continue
				}
				if err := m.trackers[j].Merge(fmt.Sprint("node", i), piece); err != nil {
					m.b.Fatal(err)
				}
			}
		}
	}
}

// BenchmarkReplicas is a second of three nodes with 50,000 presences: 1,000 of them change, and the others are told 50 times. All diffs are
// encoded, on all nodes.
func BenchmarkReplicas(b *testing.B) {
	const changes, turns = 1000, 50
	for _, topics := range []int{1, 1000} {
		b.Run(fmt.Sprint(topics, " topics"), func(b *testing.B) {
			m := newTrio(b, topics)
			i := 0
			b.ResetTimer()
			for range b.N {
				for range turns {
					for range changes / turns / 2 { // a leave, and a join
						m.trackers[i%crowd%3].Leave(i % crowd)
						m.track(i%crowd, topics)
						i++
					}
					m.tell()
				}
			}
			b.ReportMetric(float64(m.bytes)/float64(b.N*changes), "B/change")
		})
	}
}

// BenchmarkReplicaMemory is the heap that an entry of another node takes, with its key and meta; and a snapshot of 50,000: how long it takes to make and to merge.
func BenchmarkReplicaMemory(b *testing.B) {
	for _, topics := range []int{1, 10_000} {
		b.Run(fmt.Sprint(topics, " topics"), func(b *testing.B) {
			a := connected(b, "a", 1, presence.Options{})
			for i := range crowd {
				if _, err := a.Track(i, fmt.Sprint("room:", i%topics), fmt.Sprint("user:", i), meta); err != nil {
					b.Fatal(err)
				}
			}
			var pieces [][]byte
			size := 0
			for piece := range a.Snapshot() {
				pieces = append(pieces, piece)
				size += len(piece)
			}
			time.Sleep(200 * time.Millisecond)
			b.ResetTimer()
			for range b.N {
				c := connected(b, "c", 1, presence.Options{Interval: -1})
				c.Up("a")
				before := heapNow()
				began := time.Now()
				for _, piece := range pieces {
					if err := c.Merge("a", piece); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "merge-ms")
				time.Sleep(200 * time.Millisecond)
				b.ReportMetric(float64(heapNow()-before)/crowd, "B/entry")
				began = time.Now()
				for range a.Snapshot() {
				}
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "make-ms")
				b.ReportMetric(float64(size)/crowd, "wire-B/entry")
				runtime.KeepAlive(c)
			}
		})
	}
}

// BenchmarkDownUp is a third of 50,000 presences of one topic that leave and come back, as their node is down and up.
func BenchmarkDownUp(b *testing.B) {
	m := newTrio(b, 1)
	for b.Loop() {
		m.trackers[0].Down("node1")
		m.trackers[0].Up("node1")
	}
}

func heapNow() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkConnectedChange is BenchmarkChange of a tracker with another node to tell, and its part of a piece.
func BenchmarkConnectedChange(b *testing.B) {
	for _, connect := range []bool{false, true} {
		b.Run(fmt.Sprint(connect), func(b *testing.B) {
			tr := presence.New(presence.Options{})
			b.Cleanup(tr.Close)
			if connect {
				if err := tr.Connect(presence.Replica{Name: "a"}, func() {}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := tr.Track(i, "room", "another", meta); err != nil {
					b.Fatal(err)
				}
				tr.Leave(i)
				if i%20 == 0 {
					tr.TakeChanges()
				}
			}
		})
	}
}
