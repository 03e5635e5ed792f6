package suite_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

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

// earlier are the languages of testdata/earlier/GENERATION, as LANGUAGE@GENERATION. There are none
// yet of the latest one, until its modules are kept.
func earlier(t testing.TB, generation int) []string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("testdata/earlier/%d/room-*.wasm.gz", generation))
	must(t, err)
	var names []string
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "room-"), ".wasm.gz")
		names = append(names, fmt.Sprintf("%s@%d", name, generation))
	}
	return names
}

// suiteGuest returns the module of the plugin suite in a language of [languages] or [earlier].
func suiteGuest(t testing.TB, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "./testdata/go")
	}
	return guest(t, language, "")
}

// roomGuest is suiteGuest for the plugin room.
func roomGuest(t testing.TB, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "./testdata/room")
	}
	return guest(t, language, "room-")
}

func guest(t testing.TB, language, prefix string) []byte {
	t.Helper()
	name, generation, old := strings.Cut(language, "@")
	if !old {
		return read(t, "testdata/"+prefix+name+".wasm")
	}
	packed, err := gzip.NewReader(bytes.NewReader(read(t, "testdata/earlier/"+generation+"/"+prefix+name+".wasm.gz")))
	must(t, err)
	wasm, err := io.ReadAll(packed)
	must(t, err)
	return wasm
}

// stack is a server with the plugins of one language.
type stack struct {
	*hosttest.Server
	language string
	control  *member // who asks the recorder
}

const suiteConfig = `
[server]
presence_grace = "0s"
[socket.socket]
connect = "suite"
[plugin.bare]
topics = ["bare:*"]
[plugin.suite]
deadline = "5s"
max_restarts = 1000
grants = ["granted:*"]
depends = ["base"]
allows = ["connect", "disconnect"]
services = ["rtd/clock"]
[plugin.suite.config]
greeting = "hello"
`

// serve runs a server until the test ends.
func serve(t *testing.T, language string) *stack { return serveAs(t, language, suiteConfig) }

func serveAs(t *testing.T, language, config string) *stack {
	t.Helper()
	s := &stack{language: language, Server: hosttest.Start(t, hosttest.Setup{
		Plugins: map[string][]byte{
			"base":  read(t, "../../sandbox/testdata/echo.wasm"),
			"suite": suiteGuest(t, language),
			"room":  roomGuest(t, language),
			"bare":  read(t, "testdata/bare.wasm"),
		},
		Config: config,
	})}
	for _, name := range []string{"suite", "room", "bare"} {
		s.logged(t, "plugin deployed", `"plugin":"`+name+`"`)
	}
	s.control = s.join(t, "suite:control", "{}")
	return s
}

// redeploy makes another version of the same code current, and waits until all have moved.
func (s *stack) redeploy(t *testing.T) {
	t.Helper()
	section := []byte("\x00\x05\x04next") // a custom one
	s.Rename(t, "suite", append(read(t, s.Path("suite")), section...))
	s.logged(t, "processes moved", `"plugin":"suite"`)
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
	hosttest.Eventually(t, fmt.Sprintf("log line with %q", texts), func() bool { return s.Log.Has(texts...) })
}

// eventually waits until check finds nothing wrong.
func eventually(t testing.TB, what string, check func() (wrong string)) {
	t.Helper()
	for end := time.Now().Add(hosttest.Patience); ; time.Sleep(5 * time.Millisecond) {
		wrong := check()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %s", hosttest.Patience, what, wrong)
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
