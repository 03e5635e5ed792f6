package bench

import (
	"fmt"
	"time"
)

// idle holds connections: what does one cost that does nothing? Memory is read when
// the server has done nothing for a while, when all are connected, when each has joined its first topic, and when all have joined
// the others; and once more when all have gone.
func (g *generator) idle() error {
	memory := &g.result.Memory
	settle := func(rss *int64) error {
		g.status = func() string { return "settling" }
		err := g.pause(g.o.Settle)
		*rss, _ = g.server.memory()
		return err
	}
	if err := settle(&memory.Before); err != nil {
		return err
	}
	if err := g.connect(); err != nil {
		return err
	}
	if err := settle(&memory.Connected); err != nil {
		return err
	}
	s, err := g.joinAll(own)
	g.result.Join = s
	if err != nil {
		return err
	}
	if err := settle(&memory.Joined); err != nil {
		return err
	}
	n := len(g.conns)
	memory.PerConnection = float64(memory.Joined-memory.Before) / float64(n)
	g.result.Generator = g.ownUse()
	further := (g.o.Topics - 1) * n
	if further == 0 {
		return nil
	}
	m := g.mark()
	for t := 1; t < g.o.Topics; t++ {
		if _, err := g.joinAll(func(i int) int { return t*n + i }); err != nil {
			return fmt.Errorf("topic %d of each connection: %w", t+1, err)
		}
	}
	all := g.stage(m, further) // with the moments of calm in between
	g.result.Further = &all
	if err := settle(&memory.All); err != nil {
		return err
	}
	memory.PerTopic = float64(memory.All-memory.Joined) / float64(further)
	return nil
}

// left reads the memory of a server whose clients have gone.
func (g *generator) left() {
	if len(g.server) == 0 {
		return
	}
	select {
	case <-time.After(g.o.Settle):
		g.result.Memory.Left, _ = g.server.memory()
	case <-g.ctx.Done():
		g.result.Interrupted = true
	}
}
