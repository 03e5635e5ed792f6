package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// serveTo starts rtd with a pipe for its log, which is read until it is ready and then
// left to the test.
func serveTo(t *testing.T, config string) (p *process, log *os.File) {
	t.Helper()
	log, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p = &process{cmd: server(t, config), done: make(chan struct{})}
	p.cmd.Stderr = stderr
	err = p.cmd.Start()
	stderr.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait() // patience bounds it
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // if it runs at all
		<-p.done
		log.Close()
	})
	for line := ""; p.url == ""; p.url, _ = readyAt(line) {
		// No more than the line is taken from the pipe.
		if line, err = readLine(log); err != nil {
			t.Fatal("it ended before it was ready")
		}
	}
	return p, log
}

func readLine(from io.Reader) (line string, err error) {
	for b := make([]byte, 1); err == nil && b[0] != '\n'; line += string(b) {
		_, err = from.Read(b)
	}
	return line, err
}

// chatter lets guests write more than a pipe and the queue before it take together,
// while whoever waits for them is served.
func chatter(t *testing.T, p *process) {
	t.Helper()
	noisy, other := p.join(t, "nasty:noisy", "{}"), p.join(t, "echo:a", "{}")
	for n := range 10 { // of some 360 KB each
		noisy.WantReply(t, "nasty:noisy", "chatter", "{}", "ok")
		other.WantReply(t, "echo:a", "x", fmt.Sprintf(`{"n":%d}`, n), fmt.Sprintf(`ok {"n":%d}`, n))
	}
	noisy.Close()
	other.Close()
}

// drains ends the server in order, with a client that is asked to come again.
func (p *process) drains(t *testing.T) {
	t.Helper()
	c := p.join(t, "echo:last", "{}")
	p.signal(t)
	c.WantClosed(t, websocket.StatusServiceRestart)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("%v, want exit code 0", state)
	}
}

// A server does not end because the process that reads its log does.
func TestReaderOfTheLogGoes(t *testing.T) {
	t.Parallel()
	p, log := serveTo(t, withNasty)
	log.Close()
	chatter(t, p)
	p.drains(t)
}

// Nor does one stop whose log is not read, whatever its guests print.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	p, log := serveTo(t, withNasty)
	chatter(t, p)
	p.drains(t)

	t.Log("what the pipe had taken is whole lines")
	text, err := io.ReadAll(log)
	if err != nil || len(text) == 0 {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("%.200q", line)
		}
	}
}

// A reader that goes on is told what it has missed.
func TestReaderOfTheLogGoesOn(t *testing.T) {
	t.Parallel()
	p, log := serveTo(t, withNasty)
	chatter(t, p)
	lost := make(chan string, 1)
	go func() {
		defer close(lost)
		told := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if line := lines.Text(); strings.Contains(line, `msg="log lines lost"`) && !told {
				lost <- line
				told = true
			}
		}
	}()
	select {
	case line := <-lost:
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "faster than the reader") {
			t.Error(line)
		}
	case <-time.After(hosttest.Patience):
		t.Error("it is not told")
	}
	page, err := http.Get(strings.Replace(p.url[:strings.Index(p.url, "/socket")], "ws:", "http:", 1) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if text, err := io.ReadAll(page.Body); err != nil || bytes.Contains(text, []byte("rtd_log_lines_lost_total 0\n")) || !bytes.Contains(text, []byte("rtd_log_lines_lost_total ")) {
		t.Errorf("the metrics do not count them: %v", err)
	}
	p.drains(t)
}

// The second signal ends it at once, also if nobody reads why.
func TestSecondSignalWithoutReader(t *testing.T) {
	t.Parallel()
	p, _ := serveTo(t, "grace = \"10m\"\n[plugin.nasty]\ndeadline = \"10m\"\n")
	chatter(t, p)
	p.loop(t)
	p.signal(t)
	hosttest.Eventually(t, "drain", func() bool {
		other, err := hosttest.Dial(p.url, nil)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 1 {
		t.Errorf("%v, want exit code 1", state)
	}
}

// A reader that follows the log and takes nothing stops nobody either.
func TestStalledFollowers(t *testing.T) {
	t.Parallel()
	p := serve(t, withNasty)
	for range 8 {
		conn, err := net.Dial("unix", filepath.Join(p.cmd.Dir, "guests", ".rtd", "admin.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /admin/logs?follow=1&level=debug HTTP/1.1\r\nHost: rtd\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // and nothing more
			t.Fatal(err)
		}
	}
	chatter(t, p)
	p.drains(t)
}

// On a full disk there is no log, and rtd logs tells what is in none.
func TestLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Log("this system has no /dev/full")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	p := &process{cmd: server(t, withNasty), done: make(chan struct{})}
	p.cmd.Stderr = full
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait() // patience bounds it
	}()
	defer func() { p.cmd.Process.Kill(); <-p.done }()
	for p.url == "" {
		select {
		case <-p.done:
			t.Fatal("it has ended")
		case <-time.After(20 * time.Millisecond):
		}
		logs := rtd(t, "logs", "--plugins", "guests", "--json")
		logs.Dir = p.cmd.Dir
		text, _ := logs.Output() // it is not there yet
		if _, url, ok := strings.Cut(string(text), `"msg":"ready","url":"http://`); ok {
			p.url = "ws://" + url[:strings.Index(url, "/")] + "/socket/websocket?vsn=2.0.0"
		}
	}
	chatter(t, p)
	p.drains(t)
}

// A command whose reader goes, as in rtd logs -f | head, ends without a word.
func TestCommandWhoseReaderGoes(t *testing.T) {
	t.Parallel()
	p := serve(t, withNasty)
	logs := rtd(t, "logs", "-f", "--plugins", "guests")
	logs.Dir = p.cmd.Dir
	var said bytes.Buffer
	logs.Stderr = &said
	out, err := logs.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := readLine(out); err != nil {
		t.Fatal(err)
	}
	out.Close()
	chatter(t, p)
	logs.Wait()
	if status := logs.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || said.Len() > 0 {
		t.Errorf("%v, and it says %q", logs.ProcessState, said.String())
	}
	p.drains(t)
}
