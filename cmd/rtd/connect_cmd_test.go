package main_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"rtd/host/hosttest"
)

// connected runs rtd connect against a server until it ends, with input, and returns what it prints, what it notes and its exit code.
func connected(t *testing.T, url, input string, args ...string) (printed, noted string, code int) {
	t.Helper()
	cmd := rtd(t, append([]string{"connect", url, "room:a"}, args...)...)
	var out, notes bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &notes
	_ = cmd.Run() // the code says it all
	return out.String(), notes.String(), cmd.ProcessState.ExitCode()
}

// roomWithHistory serves the suite's room, and returns the URL of its socket.
func roomWithHistory(t *testing.T) (p *process, url string) {
	t.Helper()
	p = serve(t, "[plugin.room]\nhistory = [\"room:*\"]\n")
	room, err := os.ReadFile("../../sdk/suite/testdata/room-c.wasm")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.cmd.Dir, "room.wasm"), room)
	p.wants(t, "room: version", "deploy", "room.wasm")
	url, _, _ = strings.Cut(p.url, "/websocket")
	return p, url
}

// Pushes come from flags and from the input, messages go to the output, the rest elsewhere; a position is where another run goes on.
func TestConnect(t *testing.T) {
	t.Parallel()
	p, url := roomWithHistory(t)
	ada := p.join(t, "room:a", `{"user":"ada"}`)
	printed, noted, code := connected(t, url, "new_message {\"n\": 2}\n\nnew_message {\"n\":3}\n", "--payload", `{"user":"eve"}`, "--quit", "--send", `new_message {"n":1}`)
	var events []string
	for line := range strings.Lines(printed) {
		if strings.HasPrefix(line, "new_message ") {
			events = append(events, line)
		}
	}
	if code != 0 || strings.Join(events, "") != "new_message {\"n\":1}\nnew_message {\"n\":2}\nnew_message {\"n\":3}\n" || strings.Count(printed, "reply new_message ok ") != 3 {
		t.Errorf("exit code %d, printed\n%s\nnoted\n%s", code, printed, noted)
	}
	position := regexp.MustCompile(`at ([0-9a-v]{10}):3\n$`).FindStringSubmatch(noted)
	if position == nil {
		t.Fatalf("noted\n%s", noted)
	}
	ada.WantReply(t, "room:a", "new_message", `{"n":4}`, "ok")

	printed, noted, code = connected(t, url, "", "--payload", `{"user":"eve"}`, "--quit", "--json", "--since", position[1]+":2")
	want := regexp.MustCompile(`(?s)"event":"new_message","position":"` + position[1] + `:3","payload":\{"n":3\}\}\n.*:4","payload":\{"n":4\}\}\n.*"event":"recovered".*"complete":true`)
	if code != 0 || !want.MatchString(printed) || !strings.Contains(noted, "recovered: 2 messages, nothing is missing") {
		t.Errorf("exit code %d, printed\n%s\nnoted\n%s", code, printed, noted)
	}
	printed, noted, code = connected(t, url, "", "--payload", `{"user":"eve"}`, "--count", "1", "--since", position[1]+":2")
	if code != 0 || strings.Count(printed, "new_message") != 1 || !strings.HasSuffix(noted, "at "+position[1]+":3\n") {
		t.Errorf("exit code %d, printed\n%s\nnoted\n%s", code, printed, noted)
	}
	for _, bad := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--payload", "{"}, 2, "--payload is no JSON"},
		{[]string{"--send", "a {"}, 2, "is no JSON"},
		{[]string{"--param", "a"}, 2, "no name=value"},
		{[]string{"--since", "17"}, 2, "EPOCH:OFFSET"},
		{[]string{"--since", position[1] + ":2", "--payload", "7"}, 2, "needs an object"},
	} {
		if _, noted, code := connected(t, url, "", bad.args...); code != bad.code || !strings.Contains(noted, bad.want) {
			t.Errorf("%q: exit code %d, %s", bad.args, code, noted)
		}
	}
	if _, noted, code := connected(t, "ftp://x", ""); code != 2 || !strings.Contains(noted, "ws://127.0.0.1:4000/socket") {
		t.Errorf("exit code %d, %s", code, noted)
	}
	if _, noted, code := connected(t, url, "nonsense {\n", "--quit", "--payload", `{"user":"eve"}`); code != 1 || !strings.Contains(noted, "1 lines were no pushes") {
		t.Errorf("exit code %d, %s", code, noted)
	}
	refused := rtd(t, "connect", url, "nobody:a")
	if output, code := run(refused); code != 1 || !strings.Contains(output, `join refused: {"reason":"unmatched topic"}`) {
		t.Errorf("exit code %d, %s", code, output)
	}
}

// With --reconnect a client comes back when the server does, and goes on where it was; it leaves on Ctrl-C.
func TestConnectComesBack(t *testing.T) {
	t.Parallel()
	p, url := roomWithHistory(t)
	ada := p.join(t, "room:a", `{"user":"ada"}`)
	ada.WantReply(t, "room:a", "new_message", `{"n":1}`, "ok")
	cmd := rtd(t, "connect", url, "room:a", "--payload", `{"user":"eve"}`, "--reconnect")
	notes, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	noted, printed := bufio.NewReader(notes), bufio.NewReader(out)
	wantLine(t, noted, `^joined room:a`)
	wantLine(t, printed, `^position .*:1"`)
	ada.WantReply(t, "room:a", "new_message", `{"n":2}`, "ok")
	wantLine(t, printed, `^new_message \{"n":2\}`)

	p.signal(t)
	p.wait(t)
	wantLine(t, noted, `connection lost: closed with 1012 .*; again in`)
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	next := &process{cmd: again(p.cmd, address), done: make(chan struct{})}
	next.start(t)
	wantLine(t, noted, `^joined room:a`)
	wantLine(t, printed, `^recovered .*"reason":"epoch"`)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	wantLine(t, noted, `^at [0-9a-v]{10}:0`)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// again returns a command that runs once more, at an address that is known by now.
func again(cmd *exec.Cmd, address string) *exec.Cmd {
	next := exec.Command(cmd.Path, append(cmd.Args[1:], "--listen", address)...)
	next.Dir, next.Env = cmd.Dir, cmd.Env
	return next
}

// wantLine reads lines until one is as it should be.
func wantLine(t *testing.T, from *bufio.Reader, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	hosttest.Within(t, "a line like "+pattern, func() error {
		for {
			line, err := from.ReadString('\n')
			if err != nil || want.MatchString(line) {
				return err
			}
		}
	})
}
