package image_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"rtd/sandbox/image"
)

// A memory of which many pages were written, and few in each event, as those of guests with a collector are: what Diff says is
// what a comparison of all of it says, and soon it has to look at little.
func TestSettledMemory(t *testing.T) {
	for way, name := range []string{"asking", "reading", "nothing"} {
		t.Run(name, func(t *testing.T) { settles(t, image.FindPages(t, way) && way != image.ByNothing) })
	}
	t.Run("few mappings", func(t *testing.T) {
		image.FewMappings(t)
		settles(t, image.FindPages(t, image.ByAsking))
	})
	if n := image.Mappings(); n != 0 {
		t.Errorf("%d mappings are still counted", n)
	}
}

func settles(t *testing.T, able bool) {
	const pages, limit = 16, 20 * wasmPage
	r := rand.New(rand.NewPCG(31, 32))
	s := snapshot(t, pages*wasmPage, 33)
	a, all := memory(t, s, limit), s.NewPlainMemory(limit)
	a.Forget(70_000, 150_003)
	all.Forget(70_000, 150_003)
	settled, little := false, false
	var diff, want []byte
	for round := range 400 {
		a.Begin()
		mem := a.Bytes()
		switch {
		case round%100 == 50: // as a collector: some words of many pages, in some of them as they were before
			for at := 0; at+4000 < len(mem); at += 5000 + r.IntN(9000) {
				mem[at] ^= byte(r.IntN(2))
				mem[at+4000] ^= 1
			}
		case round%100 == 70 && a.Size() < limit:
			mem = a.Grow(a.Size() + wasmPage)
			all.Grow(len(mem))
			mem[len(mem)-1] = 1
		case round%100 == 90:
			scribble(r, mem)
		}
		scribble(r, mem[:90_000])
		scribble(r, mem[len(mem)-40_000:])
		a.End()
		copy(all.Bytes(), mem)
		before := bytes.Clone(mem)
		diff, want = a.Diff(diff[:0]), all.Diff(want[:0])
		if !bytes.Equal(diff, want) {
			t.Fatalf("round %d: Diff is not all", round)
		}
		if !bytes.Equal(a.Bytes(), before) {
			t.Fatalf("round %d: Diff has changed the memory", round)
		}
		if n, looked := a.Settled(); n > 0 {
			settled, little = true, little || looked < n/4
			if own := a.Own(); own < n {
				t.Fatalf("%d bytes are its own, and %d settled", own, n)
			}
		}
		if r.IntN(150) != 0 {
			continue
		}
		if got := a.Save(nil); !bytes.Equal(got, want) {
			t.Fatalf("round %d: Save says something else than Diff", round)
		}
		if got := a.Bytes()[:s.Size()]; !bytes.Equal(got, s.Bytes()) || len(bytes.Trim(a.Bytes()[s.Size():], "\x00")) > 0 {
			t.Fatalf("round %d: after Save something is left", round)
		}
		if n, _ := a.Settled(); n > 0 {
			t.Fatalf("round %d: after Save %d bytes are settled", round, n)
		}
		if r.IntN(2) == 0 {
			a.Reset()
		}
		if err := a.Load(want); err != nil {
			t.Fatal(err)
		}
		all.Reset()
		if err := all.Load(want); err != nil || !bytes.Equal(a.Bytes(), all.Bytes()) {
			t.Fatalf("round %d: a state came back changed: %v", round, err)
		}
	}
	if settled != able || little != able {
		t.Errorf("settled: %v, and looked at little: %v; want %v", settled, little, able)
	}
	a.Close()
}
