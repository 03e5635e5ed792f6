package hosttest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host"
	"rtd/host/config"
	"rtd/sandbox/sandboxtest"
)

// Setup says which server a test wants.
type Setup struct {
	Plugins map[string][]byte // by name
	Config  string            // TOML, besides what Load sets
	Awaits  []string          // plugins that will come
	Dir     string            // where a former server ran; default: a new place
	Web     *http.Client      // asks for pages and opens sockets, as with TLS; default: the package's
}

// Server is a running [host.Server] with its plugin folder and config file.
type Server struct {
	*host.Server
	URL  string // without a slash at the end
	Dir  string // of the plugins
	File string // the config
	Log  *Log

	web        *http.Client
	goroutines goroutines
	cancel     context.CancelFunc
	ended      chan struct{}
	err        error // of Serve; read after ended
}

// Start runs a server and waits until it is ready. The test's end stops it, if
// the test has not, and checks that nothing of it is left.
func Start(t testing.TB, o Setup) *Server {
	t.Helper()
	s := Launch(t, o)
	Eventually(t, "readiness, as far as the plugins go", func() bool {
		status, text := s.Get(t, "/readyz")
		return status == http.StatusOK || strings.Contains(text, "does not run")
	})
	return s
}

// Launch is Start without the wait.
func Launch(t testing.TB, o Setup) *Server {
	t.Helper()
	dir := o.Dir
	if dir == "" {
		dir = t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "plugins"), 0o755))
	}
	s := &Server{
		Dir:        filepath.Join(dir, "plugins"),
		File:       filepath.Join(dir, "rtd.toml"),
		Log:        &Log{},
		web:        cmp.Or(o.Web, Web),
		ended:      make(chan struct{}),
		goroutines: mark(),
	}
	for name, wasm := range o.Plugins {
		s.Write(t, name, wasm)
	}
	s.Configure(t, o.Config)
	c, err := s.Load(s.File)
	must(t, err)
	h, err := host.New(host.Options{Config: c, ConfigFile: s.File, Reload: s.Load, Awaits: o.Awaits, Log: slog.New(slog.NewJSONHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	must(t, h.Listen())
	s.Server = h
	s.URL = strings.TrimSuffix(h.URL(), "/")
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		s.err = h.Serve(ctx)
	}()
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log.Tail(20))
		}
		s.goroutines.wantNone(t)
	})
	return s
}

// Load reads the config file as cmd/rtd does; see [Config].
func (s *Server) Load(file string) (*config.Config, error) { return Config(file, s.Dir) }

// Config reads a config file for a server in a test: with plugins from dir, any free port, and, unless
// the file names another one, the cache of compiled code that all tests share, and more patience with clients that say nothing. As
// flags do, that overrides the file.
func Config(file, dir string) (*config.Config, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	c.Server.Listen = "127.0.0.1:0"
	c.Plugins.Dir = dir
	c.Plugins.Build = false
	if c.Plugins.Cache == "" {
		c.Plugins.Cache = sandboxtest.CacheDir()
	}
	if c.Server.IdleTimeout == config.Default().Server.IdleTimeout {
		c.Server.IdleTimeout = 2 * Patience // clients of tests have no heartbeat, and wait
	}
	// CI runs the tests of connections once more without epoll.
	if poller := os.Getenv("RTD_TEST_POLLER"); poller != "" {
		c.Server.Poller = poller
	}
	return c, nil
}

// Cancel tells the server to end, and does not wait.
func (s *Server) Cancel() { s.cancel() }

// Stop ends the server and checks how it ended.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case <-s.ended:
	case <-time.After(Patience):
		t.Fatalf("the server does not stop\n%s", stacks())
	}
	if s.err != nil {
		t.Errorf("Serve: %v", s.err)
	}
}

// Write puts a plugin into the folder, in the way of editors and compilers: in place.
func (s *Server) Write(t testing.TB, name string, wasm []byte) {
	t.Helper()
	must(t, os.WriteFile(s.Path(name), wasm, 0o644))
}

// Rename puts a plugin into the folder in the way of deploy scripts: in one step.
func (s *Server) Rename(t testing.TB, name string, wasm []byte) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(s.Dir), "upload")
	must(t, os.WriteFile(temporary, wasm, 0o644))
	must(t, os.Rename(temporary, s.Path(name)))
}

// Remove takes a plugin out of the folder.
func (s *Server) Remove(t testing.TB, name string) {
	t.Helper()
	must(t, os.Remove(s.Path(name)))
}

// Path is where the folder has a plugin.
func (s *Server) Path(name string) string { return filepath.Join(s.Dir, name+".wasm") }

// Configure writes the config file, which a running server takes over.
func (s *Server) Configure(t testing.TB, text string) {
	t.Helper()
	temporary := s.File + ".new"
	must(t, os.WriteFile(temporary, []byte(text), 0o644))
	must(t, os.Rename(temporary, s.File))
}

// Socket is the URL of a WebSocket: of the default mount, version 2 of the protocol, and further
// parameters, which begin with &.
func (s *Server) Socket(params string) string {
	return s.URL + "/socket/websocket?vsn=2.0.0" + params
}

// Connect opens a socket, which the test's end closes.
func (s *Server) Connect(t testing.TB) *Client {
	t.Helper()
	c, err := Dial(s.Socket(""), &websocket.DialOptions{HTTPClient: s.web})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// ConnectAll opens sockets that are in a topic.
func (s *Server) ConnectAll(t testing.TB, n int, topic, params string) []*Client {
	t.Helper()
	clients := make([]*Client, n)
	var all sync.WaitGroup
	var failed FirstError
	for i := range clients {
		clients[i] = s.Connect(t)
		all.Go(func() {
			r, err := clients[i].Join(topic, params)
			if err == nil && r.Status != "ok" {
				err = fmt.Errorf("join of %s: %v", topic, r)
			}
			failed.Set(err)
		})
	}
	all.Wait()
	must(t, failed.Get())
	return clients
}

// Get asks for a page and returns its status and text.
func (s *Server) Get(t testing.TB, path string) (status int, text string) {
	t.Helper()
	response, err := s.web.Get(s.URL + path)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}

// Metric adds up the samples of a metric whose labels contain all those given,
// as in Metric(t, "rtd_joins_total", `result="ok"`).
func (s *Server) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	_, text := s.Get(t, "/metrics")
	sum := 0.0
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.Contains(line, "{") {
			series, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		family, have, _ := strings.Cut(series, "{")
		if family != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(have, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		must(t, err)
		sum += n
	}
	return sum
}
