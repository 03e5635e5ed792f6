package host_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// plainEcho, in the environment, makes the test binary a server which answers
// pushes as rtd does, from nothing but coder/websocket. Its value is the address.
const plainEcho = "RTD_TEST_PLAIN_ECHO"

func init() {
	address := os.Getenv(plainEcho)
	if address == "" {
		return
	}
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			kind, frame, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			// [join_ref,ref,topic,event,payload] becomes a reply by cutting it.
			parts := bytes.SplitN(bytes.Trim(frame, "[]"), []byte(","), 5)
			answer := fmt.Appendf(nil, `[%s,%s,%s,"phx_reply",{"status":"ok","response":%s}]`, parts[0], parts[1], parts[2], parts[4])
			if ws.Write(context.Background(), kind, answer) != nil {
				return
			}
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// BenchmarkEcho is what a push, its handling in a guest and the reply cost the
// server, in CPU time beside that of a server without any channel layer:
//
//	go test ./host -run '^$' -bench Echo -benchtime 1x
func BenchmarkEcho(b *testing.B) {
	dir := b.TempDir()
	bin := filepath.Join(dir, "rtd")
	if out, err := exec.Command("go", "build", "-o", bin, "rtd/cmd/rtd").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	plugins := filepath.Join(dir, "plugins")
	must(b, os.Mkdir(plugins, 0o755))
	must(b, os.WriteFile(filepath.Join(plugins, "echo.wasm"), fixture(b, "testdata/echo/echo.wasm"), 0o644))
	must(b, os.WriteFile(filepath.Join(plugins, "chat.wasm"), sandboxtest.BuildGo(b, "rtd/plugins/chat"), 0o644))
	config := filepath.Join(dir, "config.toml")
	must(b, os.WriteFile(config, []byte("[log]\nlevel = \"warn\"\n[plugins]\ncache = \""+sandboxtest.CacheDir()+"\"\nbuild = false\n[plugin.chat.config]\ntoken = \"demo\"\n"), 0o644))

	address, plain := freeAddress(b), freeAddress(b)
	server := run(b, exec.Command(bin, "--config", config, "--listen", address, "--plugins", plugins), address)
	bare := exec.Command(os.Args[0])
	bare.Env = append(os.Environ(), plainEcho+"="+plain)
	echo := run(b, bare, plain)

	guests := []struct{ name, topic, join, event string }{
		{"plain", "echo:1", "{}", "echo"},
		{"c", "echo:1", "{}", "echo"},
		{"go", "room:1", `{"token":"demo","user":"Ada"}`, "echo"},
	}
	cost := map[string][]float64{}
	for range b.N {
		for range 5 { // in turns, as machines change their mind
			for _, g := range guests {
				address, pid := address, server
				if g.name == "plain" {
					address, pid = plain, echo
				}
				cost[g.name] = append(cost[g.name], echoes(b, address, pid, g.topic, g.join, g.event))
			}
		}
	}
	median := func(name string) float64 { slices.Sort(cost[name]); return cost[name][len(cost[name])/2] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median("plain"), "µs-plain")
	b.ReportMetric(median("c"), "µs-c")
	b.ReportMetric(median("go"), "µs-go")
	b.ReportMetric(median("c")/median("plain"), "×-c")
	b.ReportMetric(median("go")/median("plain"), "×-go")
}

// echoes lets 50 clients, each with one push under way, work for a second, and
// returns the server's CPU time for each push in µs.
func echoes(b *testing.B, address string, pid int, topic, join, event string) float64 {
	const clients = 50
	var stop atomic.Bool
	var pushes atomic.Int64
	var all sync.WaitGroup
	var failed hosttest.FirstError
	ready := make(chan struct{}, clients)
	begin := make(chan struct{})
	for n := range clients {
		all.Go(func() {
			ws, _, err := websocket.Dial(b.Context(), "ws://"+address+"/socket/websocket?vsn=2.0.0", nil)
			if err != nil {
				failed.Set(err)
				ready <- struct{}{}
				return
			}
			defer ws.CloseNow()
			exchange := func(event, payload string) {
				frame := fmt.Appendf(nil, `["1","%d",%q,%q,%s]`, n, topic, event, payload)
				failed.Set(ws.Write(b.Context(), websocket.MessageText, frame))
				var answer []byte
				for !bytes.Contains(answer, []byte("phx_reply")) { // presence comes in between
					if _, answer, err = ws.Read(b.Context()); err != nil {
						failed.Set(err)
						return
					}
				}
				if !bytes.Contains(answer, []byte(`"ok"`)) {
					failed.Set(fmt.Errorf("%s was answered %s", frame, answer))
				}
			}
			exchange("phx_join", join)
			ready <- struct{}{}
			<-begin
			for !stop.Load() && failed.Get() == nil {
				exchange(event, `{"body":"`+strings.Repeat("x", 64)+`"}`)
				pushes.Add(1)
			}
		})
	}
	for range clients {
		<-ready
	}
	before := cpuTime(b, pid)
	close(begin)
	time.Sleep(time.Second)
	used, n := cpuTime(b, pid)-before, pushes.Load()
	stop.Store(true)
	all.Wait()
	must(b, failed.Get())
	return float64(used.Microseconds()) / float64(n)
}

// run starts a server that ends with the test, and returns its pid when it answers.
func run(b *testing.B, cmd *exec.Cmd, address string) int {
	cmd.Stderr = os.Stderr
	must(b, cmd.Start())
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	hosttest.Eventually(b, "an answer from "+address, func() bool {
		r, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK || r.StatusCode == http.StatusUpgradeRequired
	})
	return cmd.Process.Pid
}

func freeAddress(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer l.Close()
	return l.Addr().String()
}

// cpuTime is what a process has used so far.
func cpuTime(b *testing.B, pid int) time.Duration {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Fatalf("this figure needs /proc of Linux: %v", err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		must(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
