// Compare runs the scenarios of rtd bench against rtd and centrifuge in turns, each
// run with a fresh server on core 0 and the generator on core 1, and prints the
// medians as a Markdown table. It is called by ../run with what that has built. Called by
// ../guard, it runs a few of them against two builds of rtd, in pairs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rtd/cmd/rtd/bench"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case (len(args) == 2 || len(args) == 3) && (args[0] == "full" || args[0] == "quick"):
		c := &comparison{dir: args[1], quick: args[0] == "quick"}
		if len(args) == 3 {
			c.only = args[2]
		}
		return c.run()
	case len(args) == 4 && args[0] == "guard":
		percent, err := strconv.ParseFloat(args[2], 64)
		if err != nil {
			return fmt.Errorf("limit in percent: %w", err)
		}
		pairs, err := strconv.Atoi(args[3])
		if err != nil || pairs < 1 {
			return fmt.Errorf("number of pairs: %q", args[3])
		}
		g := &guard{comparison: comparison{dir: filepath.Join(args[1], after.name)}, limit: 1 + percent/100, pairs: pairs}
		return g.run()
	}
	return errors.New("usage: compare full|quick FOLDER [TEXT], or compare guard FOLDER PERCENT PAIRS, as .ci/bench/run and .ci/bench/guard do")
}

// server is one that is compared.
type server struct {
	name     string
	protocol bench.Protocol
	path     string
	command  func(dir, address string) []string
}

var (
	rtdC       = server{"rtd, guest in C", bench.Phoenix, "/socket", rtd("c")}
	rtdGo      = server{"rtd, guest in Go", bench.Phoenix, "/socket", rtd("go")}
	centrifuge = server{"centrifuge", bench.Centrifuge, "/connection/websocket", func(dir, address string) []string {
		return []string{filepath.Join(dir, "centrifuge"), "--listen", address}
	}}
)

// temporary returns the server as it is when a client that crashed has to join again.
func (s server) temporary() server { return s.configured("temporary.toml") }

// packed returns the server as it is when it compresses frames.
func (s server) packed() server { return s.configured("packed.toml") }

// remembering returns the server as it is when topics have a history of 100 messages.
func (s server) remembering() server {
	if s.protocol == bench.Phoenix {
		return s.configured("remembering.toml")
	}
	command := s.command
	s.command = func(dir, address string) []string { return append(command(dir, address), "--history", "100") }
	return s
}

func (s server) configured(file string) server {
	command := s.command
	s.command = func(dir, address string) []string {
		return append(command(dir, address), "--config", filepath.Join(dir, file))
	}
	return s
}

func rtd(plugins string) func(dir, address string) []string {
	return func(dir, address string) []string {
		return []string{filepath.Join(dir, "rtd"), "--config", filepath.Join(dir, "config.toml"),
			"--plugins", filepath.Join(dir, plugins), "--listen", address}
	}
}

// job is what one run of the generator does; figures are rows of the table.
type job struct {
	args    []string
	rounds  int
	servers []server
	figures []figure
}

type figure struct {
	name string
	goal string
	unit string
	of   func(*bench.Result) float64
}

func (c *comparison) jobs() []job {
	many, most, rounds, idleRounds, seconds, steady := 10_000, 19_500, 3, 2, "5s", "25s"
	if c.quick {
		many, most, rounds, idleRounds, seconds, steady = 2000, 3000, 1, 1, "2s", "2s"
	}
	number := strconv.Itoa
	all, guests := []server{rtdC, centrifuge}, []server{rtdC, rtdGo, centrifuge}
	temporary := []server{rtdC.temporary(), rtdGo.temporary()}
	remembering := []server{rtdC.remembering(), rtdGo.remembering(), centrifuge.remembering()}
	perUnit := func(r *bench.Result) float64 { return r.Load.ServerCPU }
	p99 := func(r *bench.Result) float64 { return r.Load.Latency.P99 / 1000 }
	switches := func(r *bench.Result) float64 { return r.Load.ServerSwitches }
	load := func(name, goal string, rounds int, servers []server, args ...string) job {
		return job{append(args, "--duration", seconds), rounds, servers, []figure{
			{"server CPU per " + name, goal, "µs", perUnit},
			{"latency p99, the same", "", "ms", p99},
		}}
	}
	// At a low rate, a server pays above all for being woken.
	paced := func(j job) job {
		j.figures = append(j.figures, figure{"context switches per push, the same", "≤ 1", "", switches})
		return j
	}
	return []job{
		{[]string{"idle", "-n", number(most), "--topics", "2", "--settle", "5s"}, idleRounds, guests, []figure{
			{"RSS per connection with one topic, " + number(most) + " connections, 5 s after the joins", "≤ 3.5; Go ≤ 8", "KiB", func(r *bench.Result) float64 { return r.Memory.PerConnection / 1024 }},
			{"RSS per further topic", "≤ 1.2", "KiB", func(r *bench.Result) float64 { return r.Memory.PerTopic / 1024 }},
			{"RSS 5 s after the start", "Go ≤ 60", "MiB", func(r *bench.Result) float64 { return mib(r.Memory.Before) }},
			{"RSS 5 s after all these clients came and went", "Go ≤ 60", "MiB", func(r *bench.Result) float64 { return mib(r.Memory.Left) }},
			{"server CPU per connect and join", "≤ 110", "µs", func(r *bench.Result) float64 { return r.Connect.ServerCPU + r.Join.ServerCPU }},
		}},
		{[]string{"idle", "-n", number(most), "--deflate"}, idleRounds, []server{rtdC.packed()}, []figure{
			{"the same, with permessage-deflate", "≤ 0.3 more", "KiB", func(r *bench.Result) float64 { return r.Memory.PerConnection / 1024 }},
		}},
		load("delivery, 1 → 1,000, closed loop", "≤ 2", rounds, all, "fanout", "-n", "1000"),
		load("delivery, 1 → "+number(many)+", closed loop", "≤ 3", rounds, all, "fanout", "-n", number(many)),
		load("delivery, 1 → 1,000, 20 messages per second", "≤ 10", rounds, all, "fanout", "-n", "1000", "--rate", "20"),
		load("delivery, 1 → 1,000, closed loop, 100 messages of history kept", "", rounds, []server{remembering[0], remembering[2]}, "fanout", "-n", "1000"),
		{[]string{"recover", "-n", number(most)}, rounds, remembering, []figure{
			{"all of " + number(most) + " are back after their connections were cut, with 50 messages each", "≤ 15; ≤ centrifuge", "s", func(r *bench.Result) float64 { return r.Load.Seconds }},
			{"server CPU per client that comes back", "", "µs", perUnit},
		}},
		{[]string{"storm", "-n", "100", "--rate", "500", "--duration", steady}, 1, remembering, []figure{
			{"server CPU per delivery, 1 → 100, 500 messages a second, connections cut every 2 s", "", "µs", perUnit},
			{"messages lost without a word, the same", "0", "", func(r *bench.Result) float64 { return float64(r.Load.Lost) }},
		}},
		load("push and reply, 100 connections, closed loop", "≤ 12", rounds, guests, "echo", "-n", "100"),
		paced(load("push and reply, 100 connections, 5,000 a second", "0.7 × centrifuge", rounds, guests, "echo", "-n", "100", "--rate", "5000")),
		{[]string{"echo", "-n", "100", "--rate", "5000", "--duration", steady}, 1, guests, []figure{
			{"latency p50, the same for " + steady, "", "ms", func(r *bench.Result) float64 { return r.Load.Latency.P50 / 1000 }},
			{"latency p99, the same for " + steady, "≤ 3", "ms", p99},
			{"longest latency, the same for " + steady, "≤ 15", "ms", func(r *bench.Result) float64 { return r.Load.Latency.Max / 1000 }},
		}},
		load("delivery, 1,000 connections in rooms of 10, 200 messages per second", "", 1, all, "rooms", "-n", "1000"),
		{[]string{"crash", "-n", "1000", "--duration", seconds}, 1, guests[:2], []figure{
			{"back after a crash, p99", "", "ms", func(r *bench.Result) float64 { return r.Recovery.Latency.P99 / 1000 }},
			{"noticed by other channels", "0", "", func(r *bench.Result) float64 { return float64(r.Recovery.Disturbed) }},
		}},
		{[]string{"crash", "-n", "625", "--share", "0.8", "--rate", "500", "--duration", "1s"}, rounds, temporary, []figure{
			{"500 crashes in a second: joined again and usable, p50", "", "ms", func(r *bench.Result) float64 { return r.Recovery.Latency.P50 / 1000 }},
			{"the same, p99", "≤ 1", "ms", func(r *bench.Result) float64 { return r.Recovery.Latency.P99 / 1000 }},
			{"echo of 125 others meanwhile, 1,000 a second, p99", "≤ 1", "ms", p99},
		}},
		{[]string{"crash", "-n", "500", "--share", "1", "--rate", "500", "--duration", "1s"}, rounds, temporary, []figure{
			{"server CPU per crash, join and echo, 500 a second", "≤ 150", "µs", perUnit},
		}},
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

type comparison struct {
	dir    string
	quick  bool
	only   string // jobs whose arguments contain it; all if empty
	pinned bool
	wrong  int // of rtd: messages lost, repeated or reordered, connections closed, errors, crashes without recovery
	runs   int
}

func (c *comparison) run() error {
	limit := 18 * time.Minute
	if c.quick {
		limit = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := c.prepare(); err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %s", time.Now().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if c.pinned {
		fmt.Print(", server and generator on a core each")
	}
	fmt.Printf("\n\n| figure | to reach | %s | %s | %s | C / centrifuge |\n| --- | --- | --- | --- | --- | --- |\n", rtdC.name, rtdGo.name, centrifuge.name)
	for _, j := range c.jobs() {
		if !strings.Contains(strings.Join(j.args, " "), c.only) {
			continue
		}
		if err := c.do(ctx, j); err != nil {
			return err
		}
	}
	fmt.Printf("| lost, repeated or reordered messages, closed connections, errors, channels that did not come back | 0 | %d in %d runs | | | |\n", c.wrong, c.runs)
	return nil
}

// prepare writes the servers' configs, and finds out whether cores can be chosen.
func (c *comparison) prepare() error {
	_, err := exec.LookPath("taskset")
	c.pinned = err == nil && runtime.NumCPU() > 1
	const config = "[log]\nlevel = \"warn\"\n[plugins]\nbuild = false\n"
	for name, more := range map[string]string{
		"config":      "",
		"temporary":   "[plugin.room]\nrestart = \"temporary\"\n",
		"remembering": "[plugin.room]\nhistory = [\"bench:*\"]\n", // as before
		"packed":      "[socket.socket]\ndeflate_from = 256\n",    // a key that a build before may not know
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name+".toml"), []byte(config+more), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// do does a job against all of its servers in turns, and prints its rows.
func (c *comparison) do(ctx context.Context, j job) error {
	results := map[string][]*bench.Result{}
	for range j.rounds {
		for _, s := range j.servers {
			r, err := c.measure(ctx, s, j.args)
			if err != nil {
				said, _ := os.ReadFile(filepath.Join(c.dir, "server.log")) // if it said anything
				return fmt.Errorf("%s against %s: %w; the server said:\n%s", strings.Join(j.args, " "), s.name, err, said[max(0, len(said)-2000):])
			}
			results[s.name] = append(results[s.name], r)
		}
	}
	for _, f := range j.figures {
		fmt.Printf("| %s | %s |", f.name, f.goal)
		medians := map[string]float64{}
		for _, s := range []server{rtdC, rtdGo, centrifuge} {
			if len(results[s.name]) == 0 {
				fmt.Print(" |")
				continue
			}
			var values []float64
			for _, r := range results[s.name] {
				values = append(values, f.of(r))
			}
			medians[s.name] = median(values)
			fmt.Printf(" %s |", strings.TrimSpace(fmt.Sprintf("%.2f %s", medians[s.name], f.unit)))
		}
		if theirs := medians[centrifuge.name]; theirs > 0 {
			fmt.Printf(" %.2f |\n", medians[rtdC.name]/theirs)
		} else {
			fmt.Println(" |")
		}
	}
	return nil
}

// measure runs a fresh server, and the generator against it.
func (c *comparison) measure(ctx context.Context, s server, args []string) (*bench.Result, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(c.dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	serving := c.on(ctx, 0, s.command(c.dir, address))
	serving.Stderr = log // of crashes on purpose, mostly
	if err := serving.Start(); err != nil {
		return nil, err
	}
	defer func() {
		serving.Process.Kill()
		serving.Wait() // killed: it has nothing to say
	}()
	if err := ready(ctx, address); err != nil {
		return nil, err
	}
	args = append([]string{filepath.Join(c.dir, "rtd"), "bench"}, args...)
	args = append(args, "ws://"+address+s.path, "--protocol", string(s.protocol), "--pid", strconv.Itoa(serving.Process.Pid), "--json", "-")
	loading := c.on(ctx, 1, args)
	loading.Stderr = os.Stderr
	output, err := loading.Output()
	if err != nil {
		return nil, err
	}
	r := new(bench.Result)
	if err := json.Unmarshal(output, r); err != nil {
		return nil, err
	}
	c.note(s, r)
	return r, nil
}

// note adds up what must not be, and says on the standard error how the run went.
func (c *comparison) note(s server, r *bench.Result) {
	wrong := r.Closed + r.Errors
	line := fmt.Sprintf("%-18s %-7s %6d connections, connect %.0f/s, join %.0f/s", s.name, r.Scenario, r.Connections, r.Connect.PerSecond, r.Join.PerSecond)
	if l := r.Load; l != nil && l.Latency.Count > 0 {
		wrong += l.Lost + l.Duplicated + l.Reordered
		line += fmt.Sprintf(", %.0f/s, %.2f µs, p50 %.2f ms, p99 %.2f ms, server %.0f %%, generator %.0f %%",
			l.PerSecond, l.ServerCPU, l.Latency.P50/1000, l.Latency.P99/1000, 100*l.ServerLoad, 100*l.GeneratorLoad)
	} else {
		line += fmt.Sprintf(", %.2f + %.2f KiB, %.0f + %.0f µs", r.Memory.PerConnection/1024, r.Memory.PerTopic/1024, r.Connect.ServerCPU, r.Join.ServerCPU)
	}
	if back := r.Recovery; back != nil {
		wrong += back.Crashes - back.Recovered
		line += fmt.Sprintf(", %d of %d crashes recovered", back.Recovered, back.Crashes)
	}
	if wrong > 0 {
		line += fmt.Sprintf("; %d wrong: %s %s", wrong, r.ClosedCause, r.ErrorCause)
	}
	fmt.Fprintln(os.Stderr, line)
	if s.protocol == bench.Phoenix && s.name != before.name {
		c.wrong += wrong
		c.runs++
	}
}

// on returns a command that runs on one core, if cores can be chosen.
func (c *comparison) on(ctx context.Context, core int, args []string) *exec.Cmd {
	if c.pinned {
		args = append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// ready waits until a server is. Centrifuge has no page that says so, but answers.
func ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // the first time, rtd compiles the guest
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		if r, err := http.DefaultClient.Do(request); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK || r.StatusCode == http.StatusNotFound {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the server: %w", ctx.Err())
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
