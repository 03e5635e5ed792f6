package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"rtd/cmd/rtd/bench"
)

// guard compares two builds of rtd, in the folders before and after of dir, with the
// generator of the later one.
type guard struct {
	comparison
	limit float64 // the ratio after / before that is a loss
	pairs int
}

var before, after = build("before"), build("after")

// build is rtd as it lies in a folder; which of its guests serves is told by guest.
func build(folder string) server {
	return server{name: folder, protocol: bench.Phoenix, path: "/socket", command: func(dir, address string) []string {
		return []string{filepath.Join(dir, "..", folder, "rtd"), "--config", filepath.Join(dir, "config.toml"), "--listen", address}
	}}
}

// with returns the server with the guests of that folder.
func (s server) with(guest string) server {
	command, folder := s.command, s.name
	s.command = func(dir, address string) []string {
		return append(command(dir, address), "--plugins", filepath.Join(dir, "..", folder, guest))
	}
	return s
}

// watched are the rows: few, and each a figure that does not depend on who else has the machine.
func watched() []job {
	cpu := func(r *bench.Result) float64 { return r.Load.ServerCPU }
	row := func(name, unit string, of func(*bench.Result) float64) figure {
		return figure{name: name, unit: unit, of: of}
	}
	both := func(guest string) []server { return []server{before.with(guest), after.with(guest)} }
	return []job{
		{args: []string{"echo", "-n", "100", "--duration", "3s"}, servers: both("c"), figures: []figure{row("push and reply, C, CPU", "µs", cpu)}},
		{args: []string{"echo", "-n", "100", "--rate", "5000", "--duration", "3s"}, servers: both("c"), figures: []figure{
			row("push and reply at 5,000 a second, C, CPU", "µs", cpu),
			row("the same, context switches", "", func(r *bench.Result) float64 { return r.Load.ServerSwitches }),
		}},
		{args: []string{"echo", "-n", "100", "--duration", "3s"}, servers: both("go"), figures: []figure{row("push and reply, Go, CPU", "µs", cpu)}},
		{args: []string{"fanout", "-n", "1000", "--rate", "20", "--duration", "4s"}, servers: both("c"), figures: []figure{row("delivery, 1 → 1,000, 20 a second, CPU", "µs", cpu)}},
		{args: []string{"idle", "-n", "6000", "--topics", "2", "--settle", "5s"}, servers: both("c"), figures: []figure{
			row("connect and join, CPU", "µs", func(r *bench.Result) float64 { return r.Connect.ServerCPU + r.Join.ServerCPU }),
			row("memory of a connection with a topic", "KiB", func(r *bench.Result) float64 { return r.Memory.PerConnection / 1024 }),
			row("memory of a further topic", "KiB", func(r *bench.Result) float64 { return r.Memory.PerTopic / 1024 }),
			row("memory when the clients have gone", "MiB", func(r *bench.Result) float64 { return mib(r.Memory.Left) }),
		}},
		{args: []string{"idle", "-n", "3000", "--topics", "2"}, servers: both("go"), figures: []figure{
			row("connect and join, Go, CPU", "µs", func(r *bench.Result) float64 { return r.Connect.ServerCPU + r.Join.ServerCPU }),
			row("memory of a further topic, Go", "KiB", func(r *bench.Result) float64 { return r.Memory.PerTopic / 1024 }),
		}},
		{args: []string{"crash", "-n", "500", "--rate", "400", "--duration", "3s"}, servers: both("c"), figures: []figure{row("crash and restart, CPU", "µs", cpu)}},
	}
}

// run prints a row for each figure, and fails if one of them got worse by more than the limit.
func (g *guard) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if err := g.prepare(); err != nil {
		return err
	}
	fmt.Printf("| medians of pairs | before | after | after / before | pairs |\n| --- | --- | --- | --- | --- |\n")
	var losses []string
	for _, j := range watched() {
		lost, err := g.judge(ctx, j)
		if err != nil {
			return err
		}
		losses = append(losses, lost...)
	}
	switch {
	case g.wrong > 0:
		return fmt.Errorf("%d messages lost, repeated or reordered, connections closed, errors, or channels that did not come back", g.wrong)
	case len(losses) > 0:
		return fmt.Errorf("worse by more than %.0f %%: %q", 100*(g.limit-1), losses)
	}
	return nil
}

// judge measures a job in pairs, and prints its rows. What seems to be a loss is measured twice as
// often again, since one pair in a few meets a moment in which the machine did something else.
func (g *guard) judge(ctx context.Context, j job) (losses []string, err error) {
	results := make([][]*bench.Result, len(j.servers))
	for n := 0; n < g.pairs || n < 3*g.pairs && len(g.losses(j, results)) > 0; n++ {
		for turn := range j.servers {
			at := (n + turn) % len(j.servers) // who is first alternates
			r, err := g.measure(ctx, j.servers[at], j.args)
			if err != nil {
				said, _ := os.ReadFile(filepath.Join(g.dir, "server.log")) // if it said anything
				return nil, fmt.Errorf("%q against the build %s: %w; the server said:\n%s", j.args, j.servers[at].name, err, said[max(0, len(said)-2000):])
			}
			results[at] = append(results[at], r)
		}
	}
	for _, f := range j.figures {
		was, is, ratio := f.compare(results)
		fmt.Printf("| %s | %s %s | %s %s | %.3f | %d |\n", f.name, number(was), f.unit, number(is), f.unit, ratio, len(results[0]))
	}
	return g.losses(j, results), nil
}

func (g *guard) losses(j job, results [][]*bench.Result) (names []string) {
	for _, f := range j.figures {
		if _, _, ratio := f.compare(results); ratio > g.limit {
			names = append(names, f.name)
		}
	}
	return names
}

// compare returns the medians of the figure before and after, and that of the ratios of all pairs.
func (f figure) compare(results [][]*bench.Result) (was, is, ratio float64) {
	var a, b, ratios []float64
	for n := range results[0] {
		a, b = append(a, f.of(results[0][n])), append(b, f.of(results[1][n]))
		ratios = append(ratios, b[n]/a[n])
	}
	return median(a), median(b), median(ratios)
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
