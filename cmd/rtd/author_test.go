package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// The commands of a new project's README lead from nothing to the first message.
func TestFirstMessage(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	inWork := func(args ...string) *exec.Cmd {
		cmd := rtd(t, args...)
		cmd.Dir = work
		return cmd
	}
	first := "rtd new talk --lang go"
	if output, code := run(inWork(strings.Fields(first)[1:]...)); code != 0 || !strings.Contains(output, "rtd dev talk") {
		t.Fatalf("%s: exit code %d\n%s", first, code, output)
	}
	readme, err := os.ReadFile(filepath.Join(work, "talk", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	commands := strings.Split(strings.TrimSpace(block), "\n")
	if 1+len(commands) > 4 {
		t.Errorf("%d commands until the first message: %q", 1+len(commands), commands)
	}
	// A free port, beside whatever else runs.
	write(t, filepath.Join(work, "talk", "config.toml"), fmt.Appendf(nil, "[server]\nlisten = \"127.0.0.1:0\"\n[plugins]\ncache = %q\n", sandboxtest.CacheDir()))
	last := len(commands) - 1
	for _, command := range commands[:last] {
		output, code := run(inWork(strings.Fields(command)[1:]...))
		if code != 0 || !strings.Contains(output, "passed") {
			t.Errorf("%s: exit code %d\n%s", command, code, output)
		}
	}

	dev := startDev(t, inWork(strings.Fields(commands[last])[1:]...))
	dev.await(t, "plugin deployed")
	dev.await(t, "msg=ready") // clients are let in from now on
	ada := dev.join(t, "talk:lobby", `{"user":"ada"}`)
	if _, err := ada.Push("talk:lobby", "new_message", `{"body":"hi"}`); err != nil {
		t.Fatal(err)
	}
	if m := ada.Expect(t, "talk:lobby", "new_message"); !strings.Contains(m.String(), `{"body":"hi"}`) {
		t.Errorf("the first message is %v", m)
	}

	// A save that does not compile changes nothing; one that does takes over while the client is there.
	source := filepath.Join(work, "talk", "main.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	write(t, source, append(text, "func {\n"...))
	dev.await(t, "not built")
	if !dev.says("main.go:") {
		t.Error("it does not say where the error is")
	}
	write(t, source, []byte(strings.Replace(string(text), "unknown event", "what is that?", 1)))
	dev.await(t, "plugin deployed")
	hosttest.Eventually(t, "answer of the new version", func() bool {
		r, err := ada.Call("talk:lobby", "sing", "{}")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(r.String(), "what is that?")
	})
	dev.signal(t)
	if state := dev.wait(t); state.ExitCode() != 0 {
		t.Errorf("the end of rtd dev: %v", state)
	}
}

// devProcess is a running rtd dev.
type devProcess struct {
	*process
	lines chan string
}

func startDev(t *testing.T, cmd *exec.Cmd) *devProcess {
	t.Helper()
	p := &devProcess{&process{cmd: cmd, done: make(chan struct{})}, make(chan string, 10_000)}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.log, scanner.Text())
			p.mu.Unlock()
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // if it runs at all
		cmd.Wait()
		<-p.done
		if t.Failed() {
			t.Logf("it said:\n%s", &p.log)
		}
	})
	_, address, _ := strings.Cut(p.await(t, "serving"), "http://")
	address, _, _ = strings.Cut(address, "/")
	p.url = "ws://" + address + "/socket/websocket?vsn=2.0.0"
	return p
}

// await waits for the next line that has this text.
func (p *devProcess) await(t *testing.T, text string) string {
	t.Helper()
	for late := time.After(hosttest.Patience); ; {
		select {
		case line := <-p.lines:
			if strings.Contains(line, text) {
				return line
			}
		case <-p.done:
			t.Fatalf("it ended before it said %q", text)
		case <-late:
			t.Fatalf("it does not say %q", text)
		}
	}
}

// A command that is called wrongly ends with 2, and one that has bad luck with 1; both a line that says what to do.
func TestAuthorRefusals(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		args string
		code int
		want string
	}{
		{"new", 2, "accepts 1 arg"},
		{"new room", 2, `required flag(s) "lang" not set`},
		{"new room --lang cobol", 2, `want one of go, rust, as, c`},
		{"new Room --lang go", 2, `the name is "Room"; expected 1 to 64 of a-z`},
		{"new 1room --lang go", 2, `begins with a letter`},
		{"new there --lang go", 1, `there is there already: choose another name`},
		{"build nowhere", 1, "rtd new NAME --lang go"},
		{"build there", 1, "it has none of Cargo.toml"},
		{"build a b", 2, "accepts at most 1 arg"},
		{"check", 2, "accepts 1 arg"},
		{"check nowhere.wasm", 1, "no such file"},
		{"check there", 1, "is a folder: build it with rtd build there"},
		{"check x.wasm --join {", 2, "--join is no JSON"},
		{"check text.wasm", 1, "a server would refuse it: malformed module at offset 0x0: not a WebAssembly module"},
		{"check echo.wasm --name Echo", 1, `the name of the file is "Echo"`},
		{"test echo.wasm", 1, "there are no scripts"},
		{"test echo.wasm bad.rtd", 1, `bad.rtd:2: there is no client bob: begin with connect bob; see rtd test -h`},
		{"test echo.wasm --run [", 2, "--run: "},
		{"dev nowhere", 1, "rtd new NAME --lang go"},
	} {
		cmd := rtd(t, strings.Fields(bad.args)...)
		if err := os.Mkdir(filepath.Join(cmd.Dir, "there"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(cmd.Dir, "text.wasm"), []byte("text"))
		write(t, filepath.Join(cmd.Dir, "bad.rtd"), []byte("connect ada\nbob join x\n"))
		write(t, filepath.Join(cmd.Dir, "echo.wasm"), echo(t))
		output, code := run(cmd)
		if code != bad.code || !strings.Contains(output, bad.want) {
			t.Errorf("rtd %s: exit code %d, want %d and %q:\n%s", bad.args, code, bad.code, bad.want, output)
		}
	}
}

// rtd check says what a server says, in text and in JSON.
func TestCheckReports(t *testing.T) {
	t.Parallel()
	cmd := rtd(t, "check", "echo.wasm", "--json")
	write(t, filepath.Join(cmd.Dir, "echo.wasm"), echo(t))
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Name       string
		Size       int
		Topics     []string
		Hibernates bool
		Idle       struct{ Bytes float64 }
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if report.Name != "echo" || report.Size != len(echo(t)) || !report.Hibernates || report.Idle.Bytes <= 0 || len(report.Topics) == 0 {
		t.Errorf("the report is %s", output)
	}
	cmd = rtd(t, "check", "echo.wasm")
	write(t, filepath.Join(cmd.Dir, "echo.wasm"), echo(t))
	text, code := run(cmd)
	for _, want := range []string{"rtd_v1.op", "memory memory", "hibernates", "idle actor", "manifest"} {
		if code != 0 || !strings.Contains(text, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, text)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"completion bash":             "__start_rtd",
		"__complete new room --lang ": "rust",
		"__complete check x":          "wasm",
		"__complete ne":               "new",
	} {
		words := strings.Split(args, " ")
		if output, code := run(rtd(t, words...)); code != 0 || !strings.Contains(output, want) {
			t.Errorf("rtd %s: exit code %d, no %q in\n%.1000s", args, code, want, output)
		}
	}
}

func echo(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../sandbox/testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
