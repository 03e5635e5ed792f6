package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/sandbox/sandboxtest"
)

// patience bounds every wait.
const patience = 60 * time.Second

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

func TestMain(m *testing.M) {
	var err error
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// serve starts rtd with the echo guest and waits until it is ready.
func serve(t *testing.T, config string) *process {
	t.Helper()
	p := &process{cmd: rtd(t, "--config", "rtd.toml", "--plugins", "guests", "--listen", "127.0.0.1:0"), done: make(chan struct{})}
	wasm, err := os.ReadFile("../../sandbox/testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.cmd.Dir, "guests"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.cmd.Dir, "guests", "echo.wasm"), wasm)
	write(t, filepath.Join(p.cmd.Dir, "guests", "nasty.wasm"), sandboxtest.BuildGo(t, "rtd/host/testdata/nasty"))
	// What the flags override is wrong here.
	write(t, filepath.Join(p.cmd.Dir, "rtd.toml"), []byte(fmt.Sprintf("[plugins]\ndir = \"nowhere\"\ncache = %q\n[server]\nlisten = \"256.0.0.1:1\"\n", cache())+config))
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
			if _, url, ok := strings.Cut(lines.Text(), "msg=ready url=http://"); ok {
				ready <- "ws://" + strings.TrimSuffix(strings.Fields(url)[0], "/") + "/socket/websocket?vsn=2.0.0"
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
	case <-time.After(patience):
		t.Fatal("it is not ready")
	}
	return p
}

// cache is the folder of compiled code that all tests share, see sandboxtest.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rtd-test", "wazero")
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

// dial opens a socket that has joined a topic.
func (p *process) dial(t *testing.T, topic string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	if got := ask(t, ws, fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic)); !strings.Contains(got, `"status":"ok"`) {
		t.Fatal(got)
	}
	return ws
}

func ask(t *testing.T, ws *websocket.Conn, frame string) string {
	t.Helper()
	if err := ws.Write(context.Background(), websocket.MessageText, []byte(frame)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := ws.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestTerminate(t *testing.T) {
	p := serve(t, "")
	ws := p.dial(t, "echo:a")
	ended := make(chan error, 1)
	answered := 0
	go func() {
		for {
			if err := ws.Write(context.Background(), websocket.MessageText, []byte(`["1","2","echo:a","x",{}]`)); err != nil {
				// The close frame is for the reader below.
				_, _, err = ws.Read(context.Background())
				ended <- err
				return
			}
			if _, _, err := ws.Read(context.Background()); err != nil {
				ended <- err
				return
			}
			answered++
		}
	}()
	time.Sleep(200 * time.Millisecond) // of traffic
	begin := time.Now()
	p.signal(t)
	state := p.wait(t)
	if state.ExitCode() != 0 || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v, want exit code 0 within 10 s", state, time.Since(begin))
	}
	select {
	case err := <-ended:
		if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("the socket ended with %v, want 1012", err)
		}
	case <-time.After(patience):
		t.Error("the socket is open")
	}
	if answered == 0 {
		t.Error("no traffic")
	}
	if !p.says("msg=draining") || !p.says("msg=stopped") {
		t.Error("the log does not tell of the drain")
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := serve(t, "[plugin.nasty]\ndeadline = \"30s\"\n")
	ws := p.dial(t, "nasty:a")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`["1","2","nasty:a","loop",{}]`)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // so that the loop has begun, and the drain waits for it
	p.signal(t)
	for end := time.Now().Add(patience); !p.says("msg=draining"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not drain")
		}
	}
	begin := time.Now()
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 1 || !p.says("second signal") {
		t.Errorf("%v, want exit code 1 and a word about it", state)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A guest that would run for longer than the grace period does not hold up the exit.
func TestGraceBoundsTheDrain(t *testing.T) {
	p := serve(t, "grace = \"2s\"\n[plugin.nasty]\ndeadline = \"50s\"\n")
	ws := p.dial(t, "nasty:a")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`["1","2","nasty:a","loop",{}]`)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // so that the loop has begun
	begin := time.Now()
	p.signal(t)
	state := p.wait(t)
	if took := time.Since(begin); state.ExitCode() != 0 || took > 5*time.Second {
		t.Errorf("%v after %v, want exit code 0 within the grace period of 2 s", state, took)
	}
}
