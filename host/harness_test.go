package host_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// The guest without topics is built by wat2wasm of the package wabt.
//
//go:generate wat2wasm --debug-names testdata/silent.wat -o testdata/silent.wasm

// The tests wait most of the time: for files to be left alone, for deadlines, for intervals of a drain. So more
// of them than there are processors run side by side, but for those that measure. The flag -parallel overrides
// it.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// server is a server with more to ask.
type server struct{ *hosttest.Server }

func start(t testing.TB, o hosttest.Setup) *server {
	t.Helper()
	return &server{hosttest.Start(t, o)}
}

func launch(t testing.TB, o hosttest.Setup) *server {
	t.Helper()
	return &server{hosttest.Launch(t, o)}
}

// refusal dials and returns the status with which it is refused, or 101.
func (s *server) refusal(t testing.TB, query string, header http.Header) int {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), s.URL+"/socket/websocket"+query, &websocket.DialOptions{HTTPHeader: header, HTTPClient: hosttest.Web, Host: header.Get("Host")})
	if err == nil {
		ws.CloseNow()
		return http.StatusSwitchingProtocols
	}
	if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// connectAs opens a socket, with a header, which the test's end closes.
func connectAs(t testing.TB, url string, header http.Header) *hosttest.Client {
	t.Helper()
	c, err := hosttest.Dial(url, &websocket.DialOptions{HTTPHeader: header})
	must(t, err)
	t.Cleanup(c.Close)
	return c
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
	p, err := sandboxtest.Engine(t).Load(t.Context(), wasm, sandbox.LoadOptions{Name: "precompiled", Config: []byte("{}"), Limits: sandbox.Limits{Deadline: hosttest.Patience}})
	must(t, err)
	p.Close()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
