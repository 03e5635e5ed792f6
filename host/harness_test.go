package host_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host"
	"rtd/host/config"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// The guest without topics is built by wat2wasm of the package wabt.
//
//go:generate wat2wasm --debug-names testdata/silent.wat -o testdata/silent.wasm

// patience bounds every wait. It is generous, for slow machines and the race
// detector; tests that pass do not wait that long.
const patience = 60 * time.Second

// setup says which server a test wants.
type setup struct {
	plugins map[string][]byte // by name
	config  string            // TOML, beside what start sets
	dir     string            // where a former server ran; default: a new place
}

// server is a running host.Server with its plugin folder and config file.
type server struct {
	*host.Server
	url  string // without a slash at the end
	dir  string
	file string
	log  *logRecorder

	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Serve; read after ended
}

// start runs a server and waits until it is ready. The test's end stops it, if
// the test has not, and checks that nothing of it is left.
func start(t testing.TB, o setup) *server {
	t.Helper()
	s := launch(t, o)
	eventually(t, "readiness", func() bool { status, _ := s.get(t, "/readyz"); return status == http.StatusOK })
	return s
}

// launch is start without the wait.
func launch(t testing.TB, o setup) *server {
	t.Helper()
	before := goroutines()
	dir := o.dir
	if dir == "" {
		dir = t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "plugins"), 0o755))
	}
	s := &server{
		dir:   filepath.Join(dir, "plugins"),
		file:  filepath.Join(dir, "rtd.toml"),
		log:   &logRecorder{},
		ended: make(chan struct{}),
	}
	for name, wasm := range o.plugins {
		s.write(t, name, wasm)
	}
	s.configure(t, o.config)
	c, err := s.load(s.file)
	must(t, err)
	h, err := host.New(host.Options{Config: c, ConfigFile: s.file, Reload: s.load, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	must(t, h.Listen())
	s.Server = h
	s.url = strings.TrimSuffix(h.URL(), "/")
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		s.err = h.Serve(ctx)
	}()
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log.tail(20))
		}
		wantNoMoreGoroutines(t, before)
	})
	return s
}

// load reads the config file as cmd/rtd does: what the test decides is like a
// flag, and overrides it.
func (s *server) load(file string) (*config.Config, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	c.Server.Listen = "127.0.0.1:0"
	c.Plugins.Dir = s.dir
	c.Plugins.Build = false
	if c.Plugins.Cache == "" {
		c.Plugins.Cache = sharedCache()
	}
	// CI runs the tests of connections once more without epoll.
	if poller := os.Getenv("RTD_TEST_POLLER"); poller != "" {
		c.Server.Poller = poller
	}
	return c, nil
}

// sharedCache is the folder of sandboxtest: what one run has compiled no other
// has to.
func sharedCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rtd-test", "wazero")
}

// stop ends the server and checks how it ended.
func (s *server) stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatalf("the server does not stop\n%s", stacks())
	}
	if s.err != nil {
		t.Errorf("Serve: %v", s.err)
	}
}

// write puts a plugin into the folder, in the way of editors and compilers: in place.
func (s *server) write(t testing.TB, name string, wasm []byte) {
	t.Helper()
	must(t, os.WriteFile(s.path(name), wasm, 0o644))
}

// rename puts a plugin into the folder in the way of deploy scripts: in one step.
func (s *server) rename(t testing.TB, name string, wasm []byte) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(s.dir), "upload")
	must(t, os.WriteFile(temporary, wasm, 0o644))
	must(t, os.Rename(temporary, s.path(name)))
}

func (s *server) remove(t testing.TB, name string) {
	t.Helper()
	must(t, os.Remove(s.path(name)))
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name+".wasm") }

// configure writes the config file.
func (s *server) configure(t testing.TB, text string) {
	t.Helper()
	temporary := s.file + ".new"
	must(t, os.WriteFile(temporary, []byte(text), 0o644))
	must(t, os.Rename(temporary, s.file))
}

// get asks for a page and returns its status and text.
func (s *server) get(t testing.TB, path string) (status int, text string) {
	t.Helper()
	response, err := web.Get(s.url + path)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}

// web leaves no connections behind.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// metric adds up the samples of a metric whose labels contain all those given,
// as in metric(t, "rtd_joins_total", `result="ok"`).
func (s *server) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	_, text := s.get(t, "/metrics")
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

// logRecorder keeps what a server logs, a JSON object to a line.
type logRecorder struct {
	mu    sync.Mutex
	lines []logLine
}

type logLine map[string]any

func (l logLine) text(key string) string {
	if l[key] == nil {
		return ""
	}
	return fmt.Sprint(l[key])
}

func (r *logRecorder) Write(p []byte) (int, error) {
	var line logLine
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return len(p), nil
}

// all returns the lines with this message whose attributes, written as key and text, contain
// those given.
func (r *logRecorder) all(msg string, attributes ...string) []logLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []logLine
	for _, line := range r.lines {
		if line.text("msg") != msg {
			continue
		}
		match := true
		for pair := range slices.Chunk(attributes, 2) {
			match = match && strings.Contains(line.text(pair[0]), pair[1])
		}
		if match {
			found = append(found, line)
		}
	}
	return found
}

// wait returns the last such line, as soon as there is one.
func (r *logRecorder) wait(t testing.TB, msg string, attributes ...string) logLine {
	t.Helper()
	var found []logLine
	eventually(t, fmt.Sprintf("log line %q %q", msg, attributes), func() bool {
		found = r.all(msg, attributes...)
		return len(found) > 0
	})
	return found[len(found)-1]
}

// forget lets wait see only what comes from now on.
func (r *logRecorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = nil
}

func (r *logRecorder) tail(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	worth := slices.DeleteFunc(slices.Clone(r.lines), func(l logLine) bool { return l.text("level") == "DEBUG" })
	for _, line := range worth[max(0, len(worth)-n):] {
		text, _ := json.Marshal(line) // was JSON before
		if len(text) > 500 {
			text = append(text[:500], "…"...)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}

// The guests. Each is built once for all tests.

func chatGuest(t testing.TB) []byte { t.Helper(); return sandboxtest.BuildGo(t, "rtd/plugins/chat") }

func nastyGuest(t testing.TB) []byte { t.Helper(); return sandboxtest.BuildGo(t, "./testdata/nasty") }

// echoGuest serves "echo:*" and answers a message with its payload. It is tiny.
func echoGuest(t testing.TB) []byte { t.Helper(); return fixture(t, "../sandbox/testdata/echo.wasm") }

func fixture(t testing.TB, path string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(path)
	must(t, err)
	return wasm
}

// patched replaces text of a module's data by text of the same length, so that
// versions can be told apart by what they do.
func patched(t testing.TB, wasm []byte, from, to string) []byte {
	t.Helper()
	if len(from) != len(to) || !bytes.Contains(wasm, []byte(from)) {
		t.Fatalf("cannot replace %q by %q", from, to)
	}
	return bytes.ReplaceAll(wasm, []byte(from), []byte(to))
}

// chatVersion is chat with another name for nameless users: 0 to 99.
func chatVersion(t testing.TB, n int) []byte {
	t.Helper()
	return patched(t, chatGuest(t), "anonymous", versionName(n))
}

func versionName(n int) string { return fmt.Sprintf("version%02d", n) }

// chatToken is the table without which chat lets nobody in.
const chatToken = "[plugin.chat.config]\ntoken = \"demo\"\n"

// patientChat is the same for tests that keep the machine busy.
const patientChat = "[plugin.chat]\ndeadline = \"30s\"\n" + chatToken

// precompile puts a module's code into the cache, for tests that have no time for
// the compiler.
func precompile(t testing.TB, wasm []byte) {
	t.Helper()
	p, err := sandboxtest.Engine(t).Load(t.Context(), wasm, sandbox.LoadOptions{Name: "precompiled", Config: []byte("{}"), Limits: sandbox.Limits{Deadline: patience}})
	must(t, err)
	p.Close()
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// within returns f's result, or fails the test if f takes too long.
func within(t testing.TB, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s takes longer than %v\n%s", what, patience, stacks())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goroutines counts those that run, or were started by, code of rtd or of the
// connections that it serves.
func goroutines() int {
	n := 0
	for stack := range strings.SplitSeq(stacks(), "\n\n") {
		if strings.Contains(stack, "rtd/") || strings.Contains(stack, "net/http.(*conn)") || strings.Contains(stack, "coder/websocket") {
			n++
		}
	}
	return n
}

func wantNoMoreGoroutines(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); goroutines() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d goroutines, %d before\n%s", goroutines(), before, stacks())
			return
		}
	}
}

func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

var errTooLate = errors.New("nothing came in time")

// firstError is the error of the first of many goroutines that had one.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = cmp.Or(f.err, err)
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
