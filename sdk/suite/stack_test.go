package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host"
	"rtd/host/config"
	"rtd/sandbox/sandboxtest"
)

const patience = 20 * time.Second

// languages are those whose guests are here.
func languages(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/room-*.wasm")
	must(t, err)
	names := []string{"go"}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "room-"), ".wasm"))
	}
	return names
}

func suiteGuest(t testing.TB, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "./testdata/go")
	}
	return read(t, "testdata/"+language+".wasm")
}

func roomGuest(t testing.TB, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "./testdata/room")
	}
	return read(t, "testdata/room-"+language+".wasm")
}

// stack is a server with the plugins of one language.
type stack struct {
	language string
	url      string // of WebSockets
	file     string
	log      *logText
	cancel   context.CancelFunc
	ended    chan error
	control  *member // who asks the recorder
}

const suiteConfig = `
[server]
presence_grace = "0s"
[plugin.bare]
topics = ["bare:*"]
[plugin.suite]
deadline = "5s"
max_restarts = 1000
grants = ["granted:*"]
[plugin.suite.config]
greeting = "hello"
`

// serve runs a server until the test ends.
func serve(t *testing.T, language string) *stack {
	t.Helper()
	dir := t.TempDir()
	plugins := filepath.Join(dir, "plugins")
	must(t, os.Mkdir(plugins, 0o755))
	for name, wasm := range map[string][]byte{
		"base":  read(t, "../../sandbox/testdata/echo.wasm"),
		"suite": suiteGuest(t, language),
		"room":  roomGuest(t, language),
		"bare":  read(t, "testdata/bare.wasm"),
	} {
		must(t, os.WriteFile(filepath.Join(plugins, name+".wasm"), wasm, 0o644))
	}
	s := &stack{language: language, file: filepath.Join(dir, "rtd.toml"), log: &logText{}, ended: make(chan error, 1)}
	s.configure(t, suiteConfig)
	load := func(file string) (*config.Config, error) {
		c, err := config.Load(file)
		if err == nil {
			c.Server.Listen, c.Plugins.Dir, c.Plugins.Build, c.Plugins.Cache = "127.0.0.1:0", plugins, false, cache()
		}
		return c, err
	}
	c, err := load(s.file)
	must(t, err)
	h, err := host.New(host.Options{Config: c, ConfigFile: s.file, Reload: load, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	must(t, h.Listen())
	s.url = "ws" + strings.TrimPrefix(strings.TrimSuffix(h.URL(), "/"), "http") + "/socket/websocket?vsn=2.0.0"
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.ended <- h.Serve(ctx) }()
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", language, s.log.worth())
		}
	})
	eventually(t, "the plugins are deployed", func() string {
		for _, name := range []string{"suite", "room", "bare"} {
			if !s.log.has("plugin deployed", `"plugin":"`+name+`"`) {
				return name + " is not\n" + s.log.worth()
			}
		}
		if !s.log.has(`"msg":"ready"`) {
			return "the server is not ready"
		}
		return ""
	})
	s.control = s.join(t, "suite:control", "{}")
	return s
}

// stop ends the server and waits for it, once.
func (s *stack) stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case err, first := <-s.ended:
		if first {
			must(t, err)
			close(s.ended)
		}
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
}

// configure writes the config file, which a running server takes over.
func (s *stack) configure(t testing.TB, text string) {
	t.Helper()
	must(t, os.WriteFile(s.file+".new", []byte(text), 0o644))
	must(t, os.Rename(s.file+".new", s.file))
}

// recorded waits until the recorder has exactly these lines, and clears it. A * in
// a line stands for anything.
func (s *stack) recorded(t *testing.T, want ...string) {
	t.Helper()
	s.awaitRecord(t, want, func(lines []string) []string { return lines })
}

// recordedInAnyOrder is recorded for lines of several processes.
func (s *stack) recordedInAnyOrder(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	s.awaitRecord(t, want, func(lines []string) []string { return slices.Sorted(slices.Values(lines)) })
}

func (s *stack) awaitRecord(t *testing.T, want []string, order func(lines []string) []string) {
	t.Helper()
	eventually(t, fmt.Sprintf("recorder has %q", want), func() string {
		answer := s.control.get(t, "call", "to", "recorder", "text", "read")["answer"].(string)
		if got := order(strings.Split(strings.TrimSuffix(answer, "\n"), "\n")); !slices.EqualFunc(got, want, matches) {
			return fmt.Sprintf("it has %q", got)
		}
		return ""
	})
	s.forget(t)
}

// forget clears the recorder.
func (s *stack) forget(t *testing.T) {
	t.Helper()
	s.control.get(t, "call", "to", "recorder", "text", "clear")
}

// matches compares texts of which any may stand where want has a *.
func matches(got, want string) bool {
	parts := strings.Split(want, "*")
	last := len(parts) - 1
	rest, ok := strings.CutPrefix(got, parts[0])
	if last == 0 {
		return ok && rest == ""
	}
	for _, part := range parts[1:last] {
		if !ok {
			return false
		}
		_, rest, ok = strings.Cut(rest, part)
	}
	return ok && strings.HasSuffix(rest, parts[last])
}

// logged waits for a log line that has all of these texts.
func (s *stack) logged(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("log line with %q", texts), func() string {
		if s.log.has(texts...) {
			return ""
		}
		return "it has none"
	})
}

// logText is the log of a server.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(l.text.String(), "\n")
}

func (l *logText) has(texts ...string) bool {
	return slices.ContainsFunc(l.lines(), func(line string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
	})
}

// worth is the end of what is worth reading.
func (l *logText) worth() string {
	lines := slices.DeleteFunc(l.lines(), func(line string) bool { return strings.Contains(line, `"DEBUG"`) })
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// cache is the folder of sandboxtest: what one run has compiled no other has to.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rtd-test", "wazero")
}

// eventually waits until check finds nothing wrong.
func eventually(t testing.TB, what string, check func() (wrong string)) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		wrong := check()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %s", patience, what, wrong)
		}
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares JSON as values.
func same(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(a, b)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}
