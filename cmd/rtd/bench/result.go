package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Result is what a run has measured. Its JSON keys are stable; those of what a
// scenario does not measure are left out. CPU times and memory of the server are 0
// without a PID.
type Result struct {
	Scenario    Scenario `json:"scenario"`
	Protocol    Protocol `json:"protocol"`
	URL         string   `json:"url"`
	Connections int      `json:"connections"`
	Interrupted bool     `json:"interrupted"` // the run ended early

	Connect  Stage     `json:"connect"`
	Join     Stage     `json:"join"`
	Further  *Stage    `json:"further_joins,omitempty"` // of more topics on the same connections
	Load     *Load     `json:"load,omitempty"`
	Recovery *Recovery `json:"recovery,omitempty"`
	Return   *Return   `json:"return,omitempty"`
	Memory   Memory    `json:"memory"`

	Closed      int    `json:"closed"` // connections that the server has closed
	ClosedCause string `json:"closed_cause,omitempty"`
	Errors      int    `json:"errors"` // replies other than ok under load, and channels that ended
	ErrorCause  string `json:"error_cause,omitempty"`
	Generator   Use    `json:"generator"`
}

// Stage is a part of a run, and what the server used for it.
type Stage struct {
	Count     int     `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	ServerCPU float64 `json:"server_cpu_us"` // microseconds for each one counted
	// ServerSwitches are the context switches of the server's threads, and ServerWrites its calls of
	// write, for each one counted. Neither depends on who else has the machine, as time does.
	// They are 0 where the system does not tell.
	ServerSwitches float64 `json:"server_switches"`
	ServerWrites   float64 `json:"server_writes"`
	// ServerLoad and GeneratorLoad say how many cores the two kept busy. A generator
	// near one core was the bottleneck: the server could have done more per second.
	ServerLoad    float64 `json:"server_load"`
	GeneratorLoad float64 `json:"generator_load"`
}

// Load is the measured part of a scenario. Its Stage counts deliveries (Fanout,
// Rooms, Storm), answers (Echo), crashes (Crash) or clients that are back (Recover) until the load ended; what follows counts
// what was still under way then, too. Latency is that of each, in Recover from when the first may come back.
type Load struct {
	Stage
	Sent       int      `json:"sent"`     // messages; in Crash, echoes of the other channels
	Received   int      `json:"received"` // deliveries or answers
	Lost       int      `json:"lost"`     // deliveries or answers that never came; those that a client was told are gone do not count
	Duplicated int      `json:"duplicated"`
	Reordered  int      `json:"reordered"`
	Latency    *Latency `json:"latency"`
}

// Latency are percentiles in microseconds.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

func latencyOf(h *Histogram) *Latency {
	q := func(q float64) float64 { return micros(h.Quantile(q)) }
	return &Latency{h.Count(), micros(h.Mean()), q(.5), q(.9), q(.99), q(.999), micros(h.Max())}
}

// Recovery is how channels came back from a crash. Latency counts from when the crash
// was due to the first answer afterwards.
type Recovery struct {
	Crashes   int      `json:"crashes"`
	Recovered int      `json:"recovered"`
	Disturbed int      `json:"disturbed"` // things that other channels noticed
	Latency   *Latency `json:"latency"`
}

// Memory is the server's resident memory in bytes.
type Memory struct {
	Before        int64   `json:"rss_before"`
	Connected     int64   `json:"rss_connected,omitempty"`
	Joined        int64   `json:"rss_joined,omitempty"` // one topic each
	All           int64   `json:"rss_all_topics,omitempty"`
	Left          int64   `json:"rss_left,omitempty"`       // when all clients had gone
	Peak          int64   `json:"rss_peak"`                 // since the server began
	PerConnection float64 `json:"per_connection,omitempty"` // with one topic joined
	PerTopic      float64 `json:"per_further_topic,omitempty"`
}

// Use is what the generator itself needs: bytes of heap and stacks for each connection.
// What there is once, 300 KB, is in it, too, and shows if there are few connections.
type Use struct {
	PerConnection float64 `json:"bytes_per_connection"`
}

func (g *generator) ownUse() Use {
	return Use{float64(int64(ownMemory()-g.heap)) / float64(len(g.conns))}
}

// progress is the status of a load.
func progress(what string, n int, h *Histogram) string {
	return fmt.Sprintf("%d %s, p50 %v, p99 %v", n, what, h.Quantile(.5).Round(time.Microsecond), h.Quantile(.99).Round(time.Microsecond))
}

// fail notes that the server answered with something other than ok.
func (g *generator) fail(answer []byte) {
	if g.result.Errors == 0 {
		g.result.ErrorCause = fmt.Sprintf("%.200s", answer)
	}
	g.result.Errors++
}

// finish adds what is known at the end.
func (g *generator) finish() {
	now, peak := g.server.memory()
	m := &g.result.Memory
	m.Peak = max(peak, m.Before, m.Connected, m.Joined, m.All) // the kernel's peak is off by some pages
	if g.o.Scenario != Idle {
		m.Joined = now
	}
}

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, values...)...)
	}
	row("scenario", "%s, %d connections to %s", r.Scenario, r.Connections, r.URL)
	if r.Interrupted {
		row("", "interrupted: the figures are of what was done until then")
	}
	r.Connect.row(row, "connect", "connections")
	r.Join.row(row, "join", "joins")
	if r.Further != nil {
		r.Further.row(row, "further joins", "joins")
	}
	if l := r.Load; l != nil {
		l.Stage.row(row, "load", map[Scenario]string{Fanout: "deliveries", Rooms: "deliveries", Echo: "answers", Crash: "crashes", Recover: "clients back", Storm: "deliveries"}[r.Scenario])
		row("sent", "%d, lost %d, duplicated %d, reordered %d", l.Sent, l.Lost, l.Duplicated, l.Reordered)
		l.Latency.row(row, "latency")
	}
	if c := r.Recovery; c != nil {
		row("crashes", "%d, recovered %d, noticed by other channels %d", c.Crashes, c.Recovered, c.Disturbed)
		c.Latency.row(row, "recovery")
	}
	if c := r.Return; c != nil {
		row("cut", "%d connections, returned %d; %d messages came late", c.Cuts, c.Returned, c.Missed)
		row("gaps", "%d, with %d messages", c.Gaps, c.Told)
		c.Latency.row(row, "return")
	}
	r.Memory.rows(row)
	if r.Closed > 0 {
		row("closed", "%d connections by the server: %s", r.Closed, r.ClosedCause)
	}
	if r.Errors > 0 {
		row("errors", "%d, the first: %s", r.Errors, r.ErrorCause)
	}
	if r.Generator.PerConnection > 0 && r.Connections >= 1000 { // of fewer, it is mostly what there is once
		row("generator", "%.0f B for each connection", r.Generator.PerConnection)
	}
	return t.Flush()
}

func (s Stage) row(row func(name, format string, values ...any), name, what string) {
	if s.Count == 0 && s.Seconds == 0 {
		return
	}
	text := fmt.Sprintf("%d %s in %.2f s, %.0f/s", s.Count, what, s.Seconds, s.PerSecond)
	if s.ServerCPU > 0 {
		text += fmt.Sprintf(", server CPU %.2f µs each (%.0f %% of a core)", s.ServerCPU, 100*s.ServerLoad)
	}
	if s.ServerSwitches > 0 {
		text += fmt.Sprintf(", %.3f context switches and %.3f writes each", s.ServerSwitches, s.ServerWrites)
	}
	if s.GeneratorLoad > 0.9 {
		text += fmt.Sprintf("; the generator was busy (%.0f %%)", 100*s.GeneratorLoad)
	}
	row(name, "%s", text)
}

func (l *Latency) row(row func(name, format string, values ...any), name string) {
	if l == nil || l.Count == 0 {
		return
	}
	row(name, "p50 %.3f, p90 %.3f, p99 %.3f, p99.9 %.3f, max %.3f ms", l.P50/1000, l.P90/1000, l.P99/1000, l.P999/1000, l.Max/1000)
}

func (m Memory) rows(row func(name, format string, values ...any)) {
	if m.Peak == 0 {
		return
	}
	const mib = 1 << 20
	row("server RSS", "%.1f MiB before, %.1f MiB joined, peak %.1f MiB", float64(m.Before)/mib, float64(m.Joined)/mib, float64(m.Peak)/mib)
	if m.Left != 0 {
		row("", "%.1f MiB when the clients had gone", float64(m.Left)/mib)
	}
	if m.PerConnection != 0 {
		row("", "%.2f KiB for each connection with its topic", m.PerConnection/1024)
	}
	if m.PerTopic != 0 {
		row("", "%.2f KiB for each further topic", m.PerTopic/1024)
	}
}
