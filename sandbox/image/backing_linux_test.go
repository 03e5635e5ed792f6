package image_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"rtd/sandbox/image"
)

// Whatever a system can do to find written pages, nothing that was written is overlooked.
func TestEveryWayToFindPages(t *testing.T) {
	for way, name := range []string{"asking", "reading", "nothing"} {
		t.Run(name, func(t *testing.T) {
			if !image.FindPages(t, way) {
				t.Logf("this system has no finding by %s, another way was tested", name)
			}
			const pages, limit = 20, 40 * wasmPage
			s := snapshot(t, pages*wasmPage, 11)
			takeTurns(t, memory(t, s, limit), memory(t, s, limit))
			diffs(t, rand.New(rand.NewPCG(24, 25)), s, memory(t, s, limit), 50)
		})
	}
}

// What one backing has saved another can load.
func TestPlainBacking(t *testing.T) {
	const pages, limit = 5, 12 * wasmPage
	s := snapshot(t, pages*wasmPage, 12)
	takeTurns(t, s.NewPlainMemory(limit), memory(t, s, limit))
	diffs(t, rand.New(rand.NewPCG(26, 27)), s, s.NewPlainMemory(limit), 50)
	if b := s.NewPlainMemory(limit); b.Grow(limit+wasmPage) != nil || len(b.Grow(limit)) != limit {
		t.Error("the limit does not hold")
	}
	empty := snapshot(t, 0, 1)
	if empty.NewPlainMemory(limit).Grow(0) == nil || memory(t, empty, limit).Grow(0) == nil {
		t.Error("an empty memory is none")
	}
}

// takeTurns moves states between two memories that grow.
func takeTurns(t *testing.T, a, b *image.Memory) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	base := bytes.Clone(a.Bytes())
	for range 60 {
		told := r.IntN(4) > 0
		if told {
			a.Begin()
		}
		if r.IntN(8) == 0 && a.Size() < 10*len(base) {
			if more := a.Grow(a.Size() + wasmPage); more != nil {
				base = append(base, make([]byte, wasmPage)...)
			}
		}
		scribble(r, a.Bytes())
		if r.IntN(3) == 0 { // pages in a row
			at := r.IntN(len(base) / 2)
			clear(a.Bytes()[at : at+len(base)/3])
			a.Bytes()[at] = 1
		}
		if told {
			a.End()
		}
		b.Grow(a.Size())
		want := bytes.Clone(a.Bytes())
		delta := a.Save(nil)
		if !bytes.Equal(a.Bytes(), base) {
			t.Fatal("after Save something is left")
		}
		if err := b.Load(delta); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Fatal("the other has something else")
		}
		switch r.IntN(3) {
		case 0:
			b.Reset()
		case 1:
			b.Renew()
		}
		a, b = b, a
		if !bytes.Equal(a.Bytes(), base) && !bytes.Equal(a.Bytes(), want) {
			t.Fatal("neither the snapshot nor the state")
		}
	}
}

// A guest declares its scratch, so that it may be any range.
func TestScratchMayBeAnyRange(t *testing.T) {
	const size = 3 * wasmPage
	s := snapshot(t, size, 13)
	base := bytes.Clone(s.Bytes())
	for _, c := range [][2]int{
		{0, 0}, {0, size}, {0, math.MaxUint32}, {math.MaxUint32, math.MaxUint32}, {math.MaxUint32, 0},
		{size, size + 1}, {size - 1, math.MaxUint32}, {1, 2}, {4095, 4097}, {100, 99}, {5000, 140_000},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			m := memory(t, s, size)
			m.Forget(c[0], c[1])
			want := bytes.Clone(base)
			for i := range m.Bytes() {
				m.Bytes()[i]++
				if i < c[0] || i >= c[1] {
					want[i]++
				}
			}
			before := bytes.Clone(m.Bytes())
			diff := m.Diff(nil)
			if !bytes.Equal(m.Bytes(), before) {
				t.Fatal("Diff has changed the memory")
			}
			delta := m.Save(nil)
			if !bytes.Equal(delta, diff) {
				t.Fatal("Save says something else than Diff")
			}
			if !bytes.Equal(m.Bytes(), base) {
				t.Fatal("after Save something is left")
			}
			if err := m.Load(delta); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.Bytes(), want) {
				t.Fatal("more or less than the scratch was forgotten")
			}
		})
	}
}
