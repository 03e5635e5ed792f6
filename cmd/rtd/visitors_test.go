package main_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"testing"

	"rtd/host/hosttest"
)

// Few file descriptors, held by requests that never come, shut nobody out.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	served := server(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -n 256 && exec "$0" "$@"`}, served.Args...)...)
	cmd.Dir = served.Dir
	p := &process{cmd: cmd, done: make(chan struct{})}
	p.start(t)
	at, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		c, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: hosttest.Patience}
	for _, path := range []string{"healthz", "readyz", "metrics", ""} {
		r, err := client.Get("http://" + at.Host + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("/%s: %s", path, r.Status)
		}
	}
	for range 20 {
		p.join(t, "echo:a", "{}")
	}
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("it ended with %v", state)
	}
	if p.says("the grace period is over") {
		t.Error("the drain took all of its grace")
	}
}
