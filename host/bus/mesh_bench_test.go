package bus_test

import (
	"testing"

	"rtd/host/bus"
)

// From nothing to a mesh that works, and its end.
func BenchmarkMeshOpen(b *testing.B) {
	for b.Loop() {
		m, err := bus.OpenMesh(bus.MeshOptions{Cluster: "c", Node: "a", Listen: "127.0.0.1:0", Secret: secret, Log: (&lines{}).logger()})
		must(b, err)
		must(b, m.Up(b.Context()))
		must(b, m.Close())
	}
}

// nodesOf opens some nodes with an inbox each.
func nodesOf(b *testing.B, o bus.MeshOptions, names ...string) (all []*bus.Mesh, inboxes []*bus.Inbox) {
	for _, name := range names {
		o.Node = name
		m := mesh(b, o)
		if o.URL == "" {
			o.Seeds = []string{first(append(all, m)).Address()}
		}
		all = append(all, m)
		inboxes = append(inboxes, inbox(b, m, 100_000, "to."+name, "all"))
	}
	for n, i := range inboxes {
		for k, m := range all {
			if k != n {
				reached(b, m, i, "to."+names[n])
			}
		}
	}
	return all, inboxes
}

// first of all is whom the others begin with.
func first(list []*bus.Mesh) *bus.Mesh { return list[0] }

// There and back between two nodes, one message at a time.
func BenchmarkMeshRoundTrip(b *testing.B) {
	for _, p := range meshPlaces {
		b.Run(p.name, func(b *testing.B) {
			all, inboxes := nodesOf(b, p.options(b), "a", "b")
			data := make([]byte, 256)
			go func() {
				for {
					if m, err := inboxes[1].Next(b.Context()); err != nil || all[1].Publish("to.a", m.Data) != nil {
						return
					}
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				must(b, all[0].Publish("to.b", data))
				_, err := inboxes[0].Next(b.Context())
				must(b, err)
			}
		})
	}
}

// Messages of 256 bytes from one node to the two others, of which up to 1,000 are under way. An operation is one message, which both get.
func BenchmarkMeshToTwo(b *testing.B) {
	for _, p := range meshPlaces {
		b.Run(p.name, func(b *testing.B) {
			all, inboxes := nodesOf(b, p.options(b), "a", "b", "c")
			const window = 1000
			free := make(chan struct{}, window)
			for range window {
				free <- struct{}{}
			}
			got := make(chan int, 2)
			done := b.Context().Done()
			for _, i := range inboxes[1:] {
				go func() {
					for n := 0; ; {
						m, err := i.Next(b.Context())
						if err != nil {
							return
						}
						if m.Subject != "all" {
							continue
						}
						if n++; len(m.Data) == 1 {
							got <- n
							n = 0
							continue
						}
						if i == inboxes[1] {
							select {
							case free <- struct{}{}:
							case <-done:
							}
						}
					}
				}()
			}
			data := make([]byte, 256)
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			count := 0
			for b.Loop() {
				<-free
				must(b, all[0].Publish("all", data))
				count++
			}
			must(b, all[0].Publish("all", data[:1])) // the last
			for range 2 {
				if n := <-got; n != count+1 {
					b.Errorf("%d of %d messages came", n, count+1)
				}
			}
		})
	}
}
