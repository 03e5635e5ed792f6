package main_test

import (
	"bufio"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// slow are a few of those that take time to be initialized.
var slow = regexp.MustCompile(`^init (net/http|.*/prometheus|.*/wazero|.*/protobuf|rtd/host)`)

// From its first moments on a server takes signals as it does later: SIGHUP does not end
// it, and after SIGTERM it ends in order. Nothing that takes time is initialized before.
func TestSignalsAtTheStart(t *testing.T) {
	t.Parallel()
	cmd := server(t, "")
	cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for taken := false; !taken && lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "init ") || slow.MatchString(line) {
			t.Errorf("before signals are taken: %s", line)
		}
		if taken = strings.HasPrefix(line, "init rtd/cmd/rtd/signals "); taken {
			for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("its end: %v", err)
	}
	if said := strings.Join(rest, "\n"); !strings.Contains(said, "msg=stopped") {
		t.Errorf("it said\n%s", said)
	}
}

// SIGHUP ends other commands, as their terminal has gone.
func TestHangupEndsOtherCommands(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	cmd := rtd(t, "logs", "-f", "--plugins", "guests")
	cmd.Dir = p.cmd.Dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Error("it says nothing")
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if !cmd.ProcessState.Exited() && cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		t.Error("it had to be killed")
	}
}
