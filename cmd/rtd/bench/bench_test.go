package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/cmd/rtd/bench"
	"rtd/host/hosttest"
)

// Every scenario against a real server: nothing is lost, nobody is closed.
func TestScenarios(t *testing.T) {
	t.Parallel()
	options := start(t, "[plugin.room]\nhistory = [\"bench:*\"]\n")
	type check func(*testing.T, *bench.Result)
	load := func(t *testing.T, r *bench.Result) {
		l := r.Load
		if l == nil || l.Count == 0 || l.Received == 0 || l.Latency.Count == 0 {
			t.Fatalf("no load: %+v", l)
		}
		if l.Lost != 0 || l.Duplicated != 0 || l.Reordered != 0 {
			t.Errorf("lost %d, duplicated %d, reordered %d", l.Lost, l.Duplicated, l.Reordered)
		}
		if p := l.Latency; p.P50 <= 0 || p.P50 > p.P90 || p.P90 > p.P99 || p.P99 > p.P999 || p.P999 > p.Max {
			t.Errorf("latencies %+v", p)
		}
	}
	for _, test := range []struct {
		name  string
		of    bench.Scenario
		with  func(*bench.Options)
		check check
	}{
		{"idle", bench.Idle, func(o *bench.Options) { o.Topics = 3 }, func(t *testing.T, r *bench.Result) {
			if r.Further == nil || r.Further.Count != 80 || r.Load != nil {
				t.Errorf("further joins %+v, load %+v", r.Further, r.Load)
			}
			if (r.Memory.Left > 0) != (r.Memory.All > 0) {
				t.Errorf("memory %+v", r.Memory)
			}
		}},
		{"fanout", bench.Fanout, nil, load},
		{"fanout with a rate", bench.Fanout, func(o *bench.Options) { o.Rate = 100 }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			if got := r.Load.Sent; got > 25 { // in 0.2 s; on a busy machine it may come to fewer
				t.Errorf("sent %d messages at 100 per second", got)
			}
			if r.Load.Received != r.Load.Sent*40 {
				t.Errorf("%d deliveries of %d messages", r.Load.Received, r.Load.Sent)
			}
		}},
		{"echo", bench.Echo, nil, load},
		{"echo with a rate", bench.Echo, func(o *bench.Options) { o.Rate = 1000 }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			if got := r.Load.Sent; got > 250 {
				t.Errorf("sent %d pushes at 1000 per second", got)
			}
		}},
		{"large echo", bench.Echo, func(o *bench.Options) { o.Body = 30_000; o.Connections = 5 }, load},
		{"rooms", bench.Rooms, func(o *bench.Options) { o.Members = 7; o.Rate = 500 }, load}, // 40 is no multiple
		{"crash", bench.Crash, func(o *bench.Options) { o.Rate = 20 }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			c := r.Recovery
			if c.Crashes < 3 || c.Recovered != c.Crashes || c.Disturbed != 0 || c.Latency.Count != uint64(c.Crashes) {
				t.Errorf("recovery %+v", c)
			}
		}},
		{"recover", bench.Recover, func(o *bench.Options) { o.Members, o.Topic = 15, "bench:recover-%d" }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			back := r.Return
			if back.Cuts != 40 || back.Returned != 40 || back.Gaps != 0 || back.Missed != 40*50 || r.Load.Received != 40*52 {
				t.Errorf("%+v, load %+v", back, r.Load)
			}
		}},
		{"recover more than is kept", bench.Recover, func(o *bench.Options) { o.Missed, o.Topic = 120, "bench:gone" }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			if back := r.Return; back.Returned != 40 || back.Gaps != 40 || back.Told != 40*20 || back.Missed != 40*100 {
				t.Errorf("%+v, load %+v", back, r.Load)
			}
		}},
		{"storm", bench.Storm, func(o *bench.Options) { o.Cut, o.Topic = 20*time.Millisecond, "bench:storm" }, func(t *testing.T, r *bench.Result) {
			load(t, r)
			if back := r.Return; back.Cuts < 40 || back.Returned < 40 || back.Missed == 0 {
				t.Errorf("%+v, load %+v", back, r.Load)
			}
		}},
		{"storm without recovery", bench.Storm, func(o *bench.Options) { o.Forget, o.Cut, o.Topic = true, 20*time.Millisecond, "bench:forget" }, func(t *testing.T, r *bench.Result) {
			if back := r.Return; back.Cuts < 40 || back.Missed != 0 || r.Load.Lost == 0 {
				t.Errorf("%+v, load %+v", back, r.Load)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options(test.of)
			if test.with != nil {
				test.with(&o)
			}
			r := run(t, o)
			clients := o.Connections
			switch o.Scenario {
			case bench.Fanout:
				clients++ // the publisher
			case bench.Recover, bench.Storm: // one for each room
				clients += (o.Connections + o.Members - 1) / o.Members
			}
			if r.Connect.Count != clients || r.Join.Count != clients || r.Closed != 0 || r.Errors != 0 || r.Interrupted {
				t.Errorf("connect %d, join %d of %d; closed %d (%s), errors %d (%s)",
					r.Connect.Count, r.Join.Count, clients, r.Closed, r.ClosedCause, r.Errors, r.ErrorCause)
			}
			if runtime.GOOS == "linux" && (r.Connect.ServerCPU <= 0 || r.Connect.ServerSwitches <= 0 || r.Connect.ServerWrites <= 0 || r.Memory.Before <= 0 || r.Memory.Peak < r.Memory.Before) {
				t.Errorf("the server was not measured: %+v %+v", r.Connect, r.Memory)
			}
			test.check(t, r)
		})
	}
}

// Where a crash ends the channel, as in Phoenix, its client joins again.
func TestCrashTemporary(t *testing.T) {
	t.Parallel()
	o := start(t, "[plugin.room]\nrestart = \"temporary\"\n")(bench.Crash)
	o.Rate, o.Duration = 40, 600*time.Millisecond
	r := run(t, o)
	if c := r.Recovery; c.Crashes < 5 || c.Recovered != c.Crashes || c.Disturbed != 0 || r.Load.Lost != 0 {
		t.Errorf("recovery %+v, load %+v", c, r.Load)
	}
}

// The generator is lighter than what it measures. Not in parallel: it is this process
// that is measured.
func TestLight(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere it has a goroutine for each connection
	}
	o := start(t, "")(bench.Idle)
	o.Connections = 1500
	if r := run(t, o); r.Generator.PerConnection <= 0 || r.Generator.PerConnection > 1024 {
		t.Errorf("%.0f B for each connection, want at most 1024", r.Generator.PerConnection)
	}
}

// Clients that all come at once wait for their turn, in one slot, and all get in: their guests' time is what they use of the processor, not how long they wait.
func TestHerd(t *testing.T) {
	t.Parallel()
	o := start(t, "[plugin.room]\nslots = 1\ndeadline = \"20ms\"\nhistory = [\"bench:*\"]\n")(bench.Recover)
	o.Connections, o.Window = 1500, 1500
	r := run(t, o)
	if r.Join.Count != 1502 || r.Return.Returned != 1500 || r.Load.Lost != 0 || r.Closed != 0 || r.Errors != 0 {
		t.Errorf("joined %d, returned %+v, load %+v, closed %d (%s), errors %d (%s)", r.Join.Count, r.Return, r.Load, r.Closed, r.ClosedCause, r.Errors, r.ErrorCause)
	}
}

// An interrupt ends the run early, with what there is.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	o := start(t, "")(bench.Fanout)
	o.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r, err := bench.Run(ctx, o)
	must(t, err)
	if !r.Interrupted || r.Load.Received == 0 || r.Load.Lost != 0 {
		t.Errorf("interrupted %t, load %+v", r.Interrupted, r.Load)
	}
}

// Scripts read the JSON; its keys stay.
func TestJSON(t *testing.T) {
	t.Parallel()
	o := start(t, "")(bench.Crash)
	text, err := json.Marshal(run(t, o))
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(text, &got))
	const want = `closed connect.count connect.generator_load connect.per_second connect.seconds connect.server_cpu_us connect.server_load connect.server_switches connect.server_writes connections errors generator.bytes_per_connection interrupted join.count join.generator_load join.per_second join.seconds join.server_cpu_us join.server_load join.server_switches join.server_writes load.count load.duplicated load.generator_load load.latency.count load.latency.max_us load.latency.mean_us load.latency.p50_us load.latency.p90_us load.latency.p999_us load.latency.p99_us load.lost load.per_second load.received load.reordered load.seconds load.sent load.server_cpu_us load.server_load load.server_switches load.server_writes memory.rss_before memory.rss_joined memory.rss_peak protocol recovery.crashes recovery.disturbed recovery.latency.count recovery.latency.max_us recovery.latency.mean_us recovery.latency.p50_us recovery.latency.p90_us recovery.latency.p999_us recovery.latency.p99_us recovery.recovered scenario url`
	if keys := strings.Join(keysOf("", got), " "); keys != want {
		t.Errorf("keys %s\nwant %s", keys, want)
	}
}

func keysOf(prefix string, object map[string]any) (keys []string) {
	for key, value := range object {
		if inner, ok := value.(map[string]any); ok {
			keys = append(keys, keysOf(prefix+key+".", inner)...)
		} else {
			keys = append(keys, prefix+key)
		}
	}
	slices.Sort(keys)
	return keys
}

// What cannot be run is refused, with what to do about it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := fmt.Sprintf("ws://%s/socket", free.Addr())
	free.Close()
	for _, test := range []struct {
		name string
		with func(*bench.Options)
		want string
	}{
		{"another machine", func(o *bench.Options) { o.URL = "ws://192.0.2.1/socket" }, "--allow-remote"},
		{"TLS", func(o *bench.Options) { o.URL = "wss://127.0.0.1/socket" }, "no TLS"},
		{"no URL", func(o *bench.Options) { o.URL = "localhost:4000" }, "ws://127.0.0.1:4000/socket"},
		{"small body", func(o *bench.Options) { o.Body = 10 }, "use 32 to"},
		{"one topic for several", func(o *bench.Options) { o.Topics, o.Topic = 2, "a" }, "%d"},
		{"quotes", func(o *bench.Options) { o.Topic = `a"b` }, "quotes"},
		{"no such process", func(o *bench.Options) { o.PIDs = []int{1 << 30} }, "process"},
		{"too many", func(o *bench.Options) { o.Connections = 1 << 24 }, "use 1 to"},
		{"nobody there", func(o *bench.Options) { o.URL = nobody }, "refused"},
		{"protocol", func(o *bench.Options) { o.Protocol = "sse" }, `"phoenix" or "centrifuge"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := bench.Defaults(bench.Idle)
			o.URL = nobody
			test.with(&o)
			if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// A join that the server refuses ends the run with the server's own words.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	o := start(t, "")(bench.Echo)
	o.Topic = "nobody:%d"
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "unmatched topic") {
		t.Errorf("error %v", err)
	}
}

func run(t *testing.T, o bench.Options) *bench.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	defer cancel()
	r, err := bench.Run(ctx, o)
	must(t, err)
	return r
}
