package main_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// binary builds rtd once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "rtd")
	output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build rtd: %w\n%s", err, output)
	}
	return path, err
})

var buildDir string

// TestMain lets more tests run side by side than there are processors: they wait for processes most of the time.
func TestMain(m *testing.M) {
	err := flag.Set("test.parallel", "4")
	if err != nil {
		panic(err)
	}
	if buildDir, err = os.MkdirTemp("", "rtd-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// rtd returns a command that runs in a folder of its own.
func rtd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hosttest.Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// run runs it to its end and returns what it says and its exit code.
func run(cmd *exec.Cmd) (output string, code int) {
	text, _ := cmd.CombinedOutput() // the code says it all
	return string(text), cmd.ProcessState.ExitCode()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	output, code := run(rtd(t, "-h"))
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"--config", "--listen", "--plugins", "config.toml", "/socket", "/metrics", "SIGTERM"} {
		if !strings.Contains(output, want) {
			t.Errorf("the help does not mention %s:\n%s", want, output)
		}
	}
}

// A start that cannot be ends with 1, or 2 if rtd was called wrongly, and a line for
// each problem that says what to do.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, bad := range []struct {
		name  string
		args  []string
		file  string // config.toml
		lines []string
	}{
		{"unknown flag", []string{"--port", "1"}, "", []string{`unknown flag: --port`}},
		{"argument", []string{"serve"}, "", []string{`unknown command "serve"`}},
		{"missing config", []string{"--config", "other.toml"}, "", []string{`other.toml: no such file.*create it`}},
		{"invalid config", nil, "[server]\nlisten = 4000\nmax_frame = 1\n[log]\nlevle = \"info\"\n", []string{
			`config.toml:2: server.listen: .*expected a string`,
			`config.toml:3: server.max_frame: .*1024 to 268435456`,
			`config.toml:5: log.levle: unknown key; expected one of level, format`}},
		{"no plugin folder", []string{"--plugins", "nowhere", "--listen", "127.0.0.1:0"}, "", []string{`"nowhere".*create it, or name another one`}},
		{"address in use", []string{"--plugins", ".", "--listen", taken.Addr().String()}, "", []string{`address already in use; set server.listen in config.toml, or --listen`}},
		{"missing certificate", []string{"--plugins", ".", "--listen", "127.0.0.1:0"}, "[server]\ntls_cert = \"no.pem\"\ntls_key = \"no.pem\"\n", []string{`no.pem`}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			cmd := rtd(t, bad.args...)
			if bad.file != "" {
				write(t, filepath.Join(cmd.Dir, "config.toml"), []byte(bad.file))
			}
			output, code := run(cmd)
			want := 1
			if strings.HasPrefix(bad.lines[0], "unknown") {
				want = 2
			}
			if code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			var lines []string
			for line := range strings.Lines(output) {
				if !strings.HasPrefix(line, "time=") { // the log of a server that had begun
					lines = append(lines, line)
				}
			}
			if len(lines) != len(bad.lines) {
				t.Fatalf("it says\n%swant %d lines", output, len(bad.lines))
			}
			for i, want := range bad.lines {
				if !regexp.MustCompile(want).MatchString(lines[i]) {
					t.Errorf("line %d is %q, want %s", i+1, lines[i], want)
				}
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// process is a running rtd.
type process struct {
	cmd  *exec.Cmd
	url  string
	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{} // closed at the end of its log
}

// withNasty is a config by which server serves the guest nasty, too. It takes three times as long to start.
const withNasty = "[plugin.nasty]\n"

// server returns a command that serves the guest echo, and nasty if the config has its table.
func server(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	cmd := rtd(t, "--config", "rtd.toml", "--plugins", "guests", "--listen", "127.0.0.1:0")
	wasm, err := os.ReadFile("../../sandbox/testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(cmd.Dir, "guests"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cmd.Dir, "guests", "echo.wasm"), wasm)
	if strings.Contains(config, withNasty) {
		write(t, filepath.Join(cmd.Dir, "guests", "nasty.wasm"), sandboxtest.BuildGo(t, "rtd/host/testdata/nasty"))
	}
	// What the flags override is wrong here.
	write(t, filepath.Join(cmd.Dir, "rtd.toml"), []byte(fmt.Sprintf("[plugins]\ndir = \"nowhere\"\ncache = %q\n[server]\nlisten = \"256.0.0.1:1\"\n", sandboxtest.CacheDir())+config))
	return cmd
}

// readyAt is where clients connect, if a line of the log says so.
func readyAt(line string) (url string, ok bool) {
	_, url, ok = strings.Cut(line, "msg=ready url=http://")
	if !ok {
		return "", false
	}
	return "ws://" + strings.TrimSuffix(strings.Fields(url)[0], "/") + "/socket/websocket?vsn=2.0.0", true
}

// serve starts rtd and waits until it is ready.
func serve(t *testing.T, config string) *process {
	t.Helper()
	p := &process{cmd: server(t, config), done: make(chan struct{})}
	p.start(t)
	return p
}

// start runs it and waits until it is ready. It ends with the test.
func (p *process) start(t *testing.T) {
	t.Helper()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.log, lines.Text())
			p.mu.Unlock()
			if url, ok := readyAt(lines.Text()); ok {
				ready <- url
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // if it runs at all
		p.cmd.Wait()
		<-p.done
		if t.Failed() {
			t.Logf("its log:\n%s", &p.log)
		}
	})
	select {
	case p.url = <-ready:
	case <-p.done:
		t.Fatal("it ended before it was ready")
	case <-time.After(hosttest.Patience):
		t.Fatal("it is not ready")
	}
}

func (p *process) signal(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of the process.
func (p *process) wait(t *testing.T) *os.ProcessState {
	t.Helper()
	<-p.done
	p.cmd.Wait() // its error is in the state
	return p.cmd.ProcessState
}

func (p *process) says(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.log.String(), text)
}

// join opens a socket that has joined a topic.
func (p *process) join(t *testing.T, topic, payload string) *hosttest.Client {
	t.Helper()
	c := hosttest.Connect(t, p.url)
	c.MustJoin(t, topic, payload)
	return c
}

// loop lets a guest begin what it does not end.
func (p *process) loop(t *testing.T) {
	t.Helper()
	c := p.join(t, "nasty:a", "{}")
	if _, err := c.Push("nasty:a", "loop", "{}"); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "guest at work", func() bool {
		output, _ := p.asks(t, "ps", "nasty") // what is wrong shows in what it does not say
		return regexp.MustCompile(`nasty:a +channel +#\S+ +running`).MatchString(output)
	})
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	c := p.join(t, "echo:a", "{}")
	var answered atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := c.Call("echo:a", "x", "{}"); err != nil {
				return // the socket is closed
			}
			answered.Add(1)
		}
	}()
	hosttest.Eventually(t, "traffic", func() bool { return answered.Load() > 100 })
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("%v, want exit code 0", state)
	}
	c.WantClosed(t, websocket.StatusServiceRestart)
	<-ended
	if !p.says("msg=draining") || !p.says("msg=stopped") {
		t.Error("the log does not tell of the drain")
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := serve(t, "grace = \"5m\"\n[plugin.nasty]\ndeadline = \"5m\"\n")
	p.loop(t)
	p.signal(t)
	hosttest.Eventually(t, "drain", func() bool { return p.says("msg=draining") })
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 1 || !p.says("second signal") { // 5 min are more than any test waits
		t.Errorf("%v, want exit code 1 and a word about it", state)
	}
}

// A guest that would run for longer than the grace period does not hold up the exit.
func TestGraceBoundsTheDrain(t *testing.T) {
	t.Parallel()
	p := serve(t, "grace = \"2s\"\n[plugin.nasty]\ndeadline = \"10m\"\n") // which is more than any test waits
	p.loop(t)
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("%v, want exit code 0 after the grace period of 2 s", state)
	}
}
