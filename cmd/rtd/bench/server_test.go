package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/cmd/rtd/bench"
	"rtd/host"
	"rtd/host/hosttest"
)

// serverDir, in the environment, makes the test binary a server: rtd as it is, in a process
// of its own, so that it can be measured. Its value is a folder with config.toml and
// plugins. It ends with its standard input.
const serverDir = "RTD_TEST_BENCH_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverDir); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	c, err := hosttest.Config(filepath.Join(dir, "config.toml"), filepath.Join(dir, "plugins"))
	if err != nil {
		return err
	}
	s, err := host.New(host.Options{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return err
	}
	fmt.Println(s.URL())
	ctx, end := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		end()
	}()
	return s.Serve(ctx)
}

// start runs a server with the handler in C until the test ends, and returns options
// that load it.
func start(t *testing.T, settings string) func(bench.Scenario) bench.Options {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "plugins"), 0o755))
	wasm, err := os.ReadFile("../../../.ci/bench/guest/room.wasm")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "plugins", "room.wasm"), wasm, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(settings), 0o644))

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	url = strings.TrimSuffix(url, "/\n")
	hosttest.Eventually(t, "readiness", func() bool {
		r, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return func(s bench.Scenario) bench.Options {
		o := bench.Defaults(s)
		o.URL = "ws" + strings.TrimPrefix(url, "http") + "/socket"
		o.PIDs = []int{cmd.Process.Pid}
		o.Connections, o.Duration, o.Settle = 40, 200*time.Millisecond, 50*time.Millisecond
		return o
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
