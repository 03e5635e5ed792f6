package image_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rtd/sandbox/image"
)

const wasmPage = 64 << 10

func snapshot(t testing.TB, size int, seed uint64) *image.Snapshot {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	mem := make([]byte, size)
	for i := range mem {
		if i/512%3 != 0 { // zeros in between, as in a guest
			mem[i] = byte(r.Uint32())
		}
	}
	s, err := image.NewSnapshot(mem)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func memory(t testing.TB, s *image.Snapshot, limit int) *image.Memory {
	t.Helper()
	m, err := s.NewMemory(limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// scribble changes a memory as guests do: words, strings, cleared and filled
// stretches, in a few places.
func scribble(r *rand.Rand, mem []byte) {
	for range r.IntN(40) {
		at := r.IntN(len(mem))
		part := mem[at:min(len(mem), at+1+r.IntN(300))]
		switch r.IntN(4) {
		case 0:
			clear(part)
		case 1:
			for i := range part {
				part[i] = "\xef\xbe\xad\xde"[i%4]
			}
		case 2:
			part[0]++
		default:
			for i := range part {
				part[i] = byte(r.Uint32())
			}
		}
	}
}

// write scribbles as a guest that is not told of, or as one that is, in one event
// or more, with a pause in between or not.
func write(r *rand.Rand, m *image.Memory) {
	if r.IntN(4) == 0 {
		scribble(r, m.Bytes())
		return
	}
	for range 1 + r.IntN(5)/4 {
		m.Begin()
		scribble(r, m.Bytes())
		if r.IntN(2) == 0 {
			m.End()
			m.Resume()
			scribble(r, m.Bytes())
		}
		m.End()
	}
}

// Many states take turns in one memory, and each comes back bit for bit.
func TestStatesShareAMemory(t *testing.T) {
	for _, pages := range []int{0, 1, 2, 3, 53} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(pages), 2))
			s := snapshot(t, pages*wasmPage, 7)
			limit := (pages + 4) * wasmPage
			m := memory(t, s, limit)
			if r.IntN(2) == 0 || pages == 0 {
				m.Grow((pages + 2) * wasmPage)
			}
			base := bytes.Clone(m.Bytes())
			var want, deltas [][]byte
			for range 8 {
				want, deltas = append(want, bytes.Clone(base)), append(deltas, m.Save(nil))
			}
			for range 200 {
				i := r.IntN(len(want))
				if err := m.Load(deltas[i]); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(m.Bytes(), want[i]) {
					t.Fatal("a state came back changed")
				}
				write(r, m)
				copy(want[i], m.Bytes())
				deltas[i] = m.Save(deltas[i][:0])
				if !bytes.Equal(m.Bytes(), base) {
					t.Fatal("after Save something is left")
				}
				if r.IntN(5) == 0 {
					scribble(r, m.Bytes())
					m.Reset()
					if !bytes.Equal(m.Bytes(), base) {
						t.Fatal("after Reset something is left")
					}
				}
			}
			if !bytes.Equal(s.Bytes(), base[:pages*wasmPage]) {
				t.Fatal("the snapshot has changed")
			}
		})
	}
}

// Diff is Save without an end: it says the same, and the memory goes on, through other
// Diffs, growth, Save and Load.
func TestDiffLeavesTheMemory(t *testing.T) {
	for _, pages := range []int{0, 1, 2, 3, 53} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			s, err := image.ReadSnapshot(snapshot(t, pages*wasmPage, 21).Append(nil), pages*wasmPage)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			diffs(t, rand.New(rand.NewPCG(uint64(pages), 22)), s, memory(t, s, (pages+6)*wasmPage), 150)
		})
	}
}

// diffs writes to a memory and takes its difference, again and again, and looks whether
// another one that loads it has the same.
func diffs(t *testing.T, r *rand.Rand, s *image.Snapshot, m *image.Memory, rounds int) {
	t.Helper()
	limit := m.Size() + 6*wasmPage
	m.Grow(max(m.Size(), wasmPage))
	var delta []byte
	for range rounds {
		if r.IntN(20) == 0 {
			m.Grow(min(limit, m.Size()+r.IntN(3)*wasmPage)) // refused beyond its own limit, that is all
		}
		write(r, m)
		want := bytes.Clone(m.Bytes())
		for range 1 + r.IntN(3) { // the second time it knows what was written
			delta = m.Diff(delta[:0])
			if !bytes.Equal(m.Bytes(), want) {
				t.Fatal("Diff has changed the memory")
			}
		}
		fresh, err := s.NewMemory(limit)
		if err != nil {
			t.Fatal(err)
		}
		fresh.Grow(m.Size())
		if err := fresh.Load(delta); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fresh.Bytes(), want) {
			t.Fatal("the difference is not the state")
		}
		fresh.Close()
		switch r.IntN(6) {
		case 0: // it rests, and comes back
			saved := m.Save(nil)
			if !bytes.Equal(saved, delta) {
				t.Fatal("Save says something else than Diff")
			}
			if err := m.Load(saved); err != nil {
				t.Fatal(err)
			}
		case 1: // another one has the memory meanwhile
			saved := m.Save(nil)
			scribble(r, m.Bytes())
			m.Reset()
			if err := m.Load(saved); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(m.Bytes(), want) {
			t.Fatal("the state came back changed")
		}
	}
}

// What a Snapshot has appended it is again, elsewhere.
func TestSnapshotAsBytes(t *testing.T) {
	for _, pages := range []int{0, 1, 53} {
		s := snapshot(t, pages*wasmPage, 23)
		content := s.Append([]byte("before"))[len("before"):]
		same, err := image.ReadSnapshot(content, pages*wasmPage)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(same.Bytes(), s.Bytes()) {
			t.Fatal("another content")
		}
		same.Close()
		if pages == 0 {
			continue
		}
		if _, err := image.ReadSnapshot(content, pages*wasmPage-1); err == nil {
			t.Error("larger than the limit")
		}
		for cut := range 40 {
			if _, err := image.ReadSnapshot(content[:len(content)-1-cut], 1<<30); err == nil && cut > 20 {
				t.Errorf("%d bytes less are not missed", cut)
			}
		}
	}
	empty, err := image.NewSnapshot(make([]byte, 50*wasmPage))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if n := len(empty.Append(nil)); n > 10 {
		t.Errorf("%d bytes for nothing but zeros", n)
	}
}

func TestGrow(t *testing.T) {
	s := snapshot(t, 2*wasmPage, 3)
	m := memory(t, s, 5*wasmPage)
	m.Bytes()[wasmPage] = 0x55
	grown := m.Grow(4 * wasmPage)
	if len(grown) != 4*wasmPage || grown[wasmPage] != 0x55 || !bytes.Equal(grown[2*wasmPage:], make([]byte, 2*wasmPage)) {
		t.Fatal("growing changed the content")
	}
	grown[3*wasmPage] = 0xaa
	if m.Grow(6*wasmPage) != nil || m.Size() != 4*wasmPage {
		t.Fatal("grown beyond the limit")
	}
	delta := m.Save(nil)
	if err := memory(t, s, 5*wasmPage).Load(delta); err == nil {
		t.Fatal("loaded into a memory of another size")
	}
	other := memory(t, s, 5*wasmPage)
	other.Grow(4 * wasmPage)
	if err := other.Load(delta); err != nil {
		t.Fatal(err)
	}
	if b := other.Bytes(); b[wasmPage] != 0x55 || b[3*wasmPage] != 0xaa {
		t.Fatal("not what was saved")
	}
}

// Pages written once are looked at for ever, unless there are too many.
func TestManyDirtyPages(t *testing.T) {
	s := snapshot(t, 100*wasmPage, 4)
	m := memory(t, s, 200*wasmPage)
	m.Grow(200 * wasmPage)
	base := bytes.Clone(m.Bytes())
	for range 3 {
		for i := 0; i < m.Size(); i += 1024 {
			m.Bytes()[i]++
		}
		m.Reset()
		if !bytes.Equal(m.Bytes(), base) {
			t.Fatal("after Reset something is left")
		}
	}
}

// Freed memory that is clobbered, and cleared stretches, cost next to nothing.
func TestFilledRunsAreShort(t *testing.T) {
	m := memory(t, snapshot(t, 2*wasmPage, 5), 2*wasmPage)
	clear(m.Bytes()[1000:9000])
	for i := 20000; i < 60000; i += 4 {
		copy(m.Bytes()[i:], "\xef\xbe\xad\xde")
	}
	if delta := m.Save(nil); len(delta) > 400 {
		t.Errorf("delta of %d bytes", len(delta))
	}
}

func FuzzLoad(f *testing.F) {
	s := snapshot(f, wasmPage, 6)
	m := memory(f, s, wasmPage)
	m.Bytes()[77] = 1
	clear(m.Bytes()[600:700])
	f.Add(m.Save(nil))
	base := bytes.Clone(m.Bytes())
	f.Fuzz(func(t *testing.T, delta []byte) {
		if size, err := image.DeltaSize(delta); m.Load(delta) == nil { // else refused; it must stay within the memory
			if err != nil || size != m.Size() {
				t.Fatalf("loaded, but of %d bytes: %v", size, err)
			}
			want := bytes.Clone(m.Bytes())
			again := m.Diff(nil)
			m.Reset()
			if err := m.Load(again); err != nil || !bytes.Equal(m.Bytes(), want) {
				t.Fatalf("another state by its difference: %v", err)
			}
		}
		m.Reset()
		if !bytes.Equal(m.Bytes(), base) {
			t.Fatal("after Reset something is left")
		}
	})
}

// A file with a snapshot may have become anything.
func FuzzReadSnapshot(f *testing.F) {
	const limit = 4 * wasmPage
	f.Add(snapshot(f, wasmPage, 6).Append(nil)[:3000])
	f.Add([]byte{0x80, 0x80, 4, 3, 9, 1, 2, 3, 4})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x10})
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := image.ReadSnapshot(content, limit)
		if err != nil {
			return
		}
		defer s.Close()
		if s.Size() > limit || s.Size()%wasmPage != 0 {
			t.Fatalf("a snapshot of %d bytes", s.Size())
		}
		again, err := image.ReadSnapshot(s.Append(nil), limit)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if !bytes.Equal(again.Bytes(), s.Bytes()) {
			t.Fatal("not what was written")
		}
	})
}

func TestStore(t *testing.T) {
	var s image.Store
	defer s.Close()
	type item struct {
		ref  image.Ref
		want []byte
	}
	var items []item
	r := rand.New(rand.NewPCG(9, 9))
	for range 20000 {
		if len(items) > 0 && r.IntN(3) == 0 {
			i := r.IntN(len(items))
			if got := s.Get(items[i].ref); !bytes.Equal(got, items[i].want) {
				t.Fatalf("got %x, want %x", got, items[i].want)
			}
			s.Free(items[i].ref)
			items[i] = items[len(items)-1]
			items = items[:len(items)-1]
			continue
		}
		n := 1 + r.IntN(1<<r.IntN(17))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		ref, err := s.Put(b)
		if err != nil {
			t.Fatal(err)
		}
		if ref.Size() != n || ref.IsZero() {
			t.Fatalf("ref of %d bytes: %+v", n, ref)
		}
		items = append(items, item{ref, b})
	}
	total := 0
	for _, it := range items {
		if !bytes.Equal(s.Get(it.ref), it.want) {
			t.Fatal("changed")
		}
		total += len(it.want)
	}
	if got := int(s.Bytes()); got < total || got > total+total/3+50*(128<<10) {
		t.Errorf("%d bytes taken for %d", got, total)
	}
	for _, it := range items {
		s.Free(it.ref)
	}
	if got := s.Bytes(); got > 50*(128<<10) {
		t.Errorf("%d bytes kept for nothing", got)
	}
}

func BenchmarkCycle(b *testing.B) {
	for _, c := range []struct {
		name         string
		pages, dirty int
	}{{"1 page", 1, 3}, {"2 pages", 2, 3}, {"53 pages", 53, 20}, {"53 pages, 60 dirty", 53, 60}} {
		b.Run(c.name, func(b *testing.B) {
			s := snapshot(b, c.pages*wasmPage, 8)
			m := memory(b, s, (c.pages+1)*wasmPage)
			var delta []byte
			b.ReportAllocs()
			for b.Loop() {
				mem := m.Bytes()
				for i := range c.dirty {
					at := i * len(mem) / c.dirty
					mem[at]++
					copy(mem[at+100:], "a state of some bytes")
				}
				delta = m.Save(delta[:0])
				if err := m.Load(delta); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(delta)), "B/delta")
		})
	}
}

// What Diff costs beside Save: both in one run, by turns, each after the same writes, so that
// machine and caches are the same for both. The medians are in nanoseconds.
func BenchmarkDiff(b *testing.B) {
	patterns := []struct {
		name  string
		pages int
		write func(mem []byte, round int)
	}{
		{"3 words", 2, func(mem []byte, round int) { spread(mem, round, 3, 8) }},
		{"20 strings", 53, func(mem []byte, round int) { spread(mem, round, 20, 40) }},
		{"60 strings", 53, func(mem []byte, round int) { spread(mem, round, 60, 200) }},
		{"300 words", 53, func(mem []byte, round int) { spread(mem, round, 300, 8) }},
		{"64 KiB", 4, func(mem []byte, round int) { spread(mem, round, 1, 64<<10) }},
		{"1 MiB", 53, func(mem []byte, round int) { spread(mem, round, 1, 1<<20) }},
		{"every 64th byte", 4, func(mem []byte, round int) { spread(mem, round, len(mem)/64, 1) }},
	}
	for _, p := range patterns {
		for _, told := range []bool{false, true} {
			name := p.name
			if told {
				name += ", told"
			}
			b.Run(name, func(b *testing.B) {
				s := snapshot(b, p.pages*wasmPage, 8)
				m := memory(b, s, p.pages*wasmPage)
				var delta []byte
				var times [2][]float64
				for round := 0; b.Loop(); round++ {
					for which := range times {
						m.Reset()
						if told {
							m.Begin()
						}
						p.write(m.Bytes(), round)
						if told {
							m.End()
						}
						begin := time.Now()
						if which == 0 {
							delta = m.Save(delta[:0])
						} else {
							delta = m.Diff(delta[:0])
						}
						times[which] = append(times[which], float64(time.Since(begin)))
					}
				}
				slices.Sort(times[0])
				slices.Sort(times[1])
				save, diff := times[0][len(times[0])/2], times[1][len(times[1])/2]
				b.ReportMetric(0, "ns/op") // of both, and of the writes
				b.ReportMetric(save, "ns/Save")
				b.ReportMetric(diff, "ns/Diff")
				b.ReportMetric(diff/save, "Diff/Save")
				b.ReportMetric(float64(len(delta)), "B/delta")
			})
		}
	}
}

// spread writes to n places, size bytes each.
func spread(mem []byte, round, n, size int) {
	for i := range n {
		at := i * (len(mem) - size) / n
		for j := range size {
			mem[at+j] += byte(1 + round + j*7)
		}
	}
}
