package image_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

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
	if size, err := image.SizeOf(delta); err != nil || size != 4*wasmPage {
		t.Fatalf("SizeOf = %d, %v", size, err)
	}
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
		_ = m.Load(delta) // may be refused, must stay within the memory
		m.Reset()
		if !bytes.Equal(m.Bytes(), base) {
			t.Fatal("after Reset something is left")
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
