package image_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"rtd/sandbox/image"
)

// Each goroutine gets back what it has put, whatever the others do in the same chunks, and
// at the end a chunk for each size is left at most.
func TestStoreInParallel(t *testing.T) {
	var s image.Store
	defer s.Close()
	var all sync.WaitGroup
	for seed := range uint64(6) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			var refs []image.Ref
			var want [][]byte
			for range 5000 {
				if n := len(refs); n > 0 && (n > 200 || r.IntN(2) == 0) {
					k := r.IntN(n)
					if !bytes.Equal(s.Get(refs[k]), want[k]) {
						t.Error("not what was put")
						return
					}
					s.Free(refs[k])
					refs[k], want[k] = refs[n-1], want[n-1]
					refs, want = refs[:n-1], want[:n-1]
					continue
				}
				b := bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(1<<(4+r.IntN(13))))
				ref, err := s.Put(b)
				if err != nil {
					t.Error(err)
					return
				}
				refs, want = append(refs, ref), append(want, b)
			}
			for _, ref := range refs {
				s.Free(ref)
			}
		})
	}
	all.Wait()
	if n := s.Bytes(); n > 3<<20 {
		t.Errorf("%d bytes are kept for nothing", n)
	}
}
