package host_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are what each package of rtd may import besides the standard library:
// packages of rtd, and modules from outside. To add one is to decide about the
// architecture: give the reason in the doc.go of the package that the arrow
// leaves, and then draw it here.
var arrows = map[string][]string{
	"supervisor":        {},
	"sandbox/abi":       {},
	"sandbox/image":     {"golang.org/x/sys"},
	"sandbox/sections":  {},
	"sandbox/manifest":  {"sandbox/sections"},
	"sandbox/rewrite":   {"sandbox/sections"},
	"sandbox/helper":    {"golang.org/x/sys"},
	"sandbox":           {"sandbox/abi", "sandbox/helper", "sandbox/image", "sandbox/rewrite", "golang.org/x/sys", "github.com/tetratelabs/wazero", "github.com/klauspost/compress"},
	"channels/history":  {},
	"channels/presence": {},
	"channels/client":   {},
	"channels":          {"channels/history", "channels/presence", "supervisor", "sandbox/abi"},
	"host/admin":        {"host/gate", "host/httpapi"},
	"host/ask":          {"sandbox/abi", "supervisor"},
	"host/auth":         {"github.com/golang-jwt/jwt/v5"},
	"host/backup":       {"host/disk", "host/names"},
	"host/bus":          {"host/disk", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/nats-io/nkeys", "github.com/minio/highwayhash"},
	"host/clock":        {"host/ask", "supervisor"},
	"host/config":       {"host/names", "github.com/BurntSushi/toml"},
	"host/cluster":      {"channels", "channels/history", "host/bus"},
	"host/crashes":      {"host/disk", "sandbox", "sandbox/abi"},
	"host/deploy":       {"host/durable", "host/folder", "host/names", "host/release", "host/rollout", "host/versions", "sandbox"},
	"host/disk":         {},
	"host/durable":      {},
	"host/folder":       {"host/disk", "host/names", "sandbox/sections", "github.com/fsnotify/fsnotify"},
	"host/gate":         {},
	"host/api":          {"host/httpapi"},
	"host/httpapi":      {},
	"host/logs":         {},
	"host/names":        {},
	"host/versions":     {"host/disk", "host/names", "sandbox"},
	"host/web":          {"sdk/js"},
	"host/release":      {"channels", "host/durable", "sandbox", "sandbox/abi", "sandbox/manifest", "supervisor"},
	"host/process":      {"channels", "channels/presence", "host/ask", "host/durable", "host/release", "sandbox", "sandbox/abi", "supervisor"},
	"host/app":          {"channels", "host/ask", "host/durable", "host/process", "host/release", "sandbox", "supervisor"},
	"host/rollout":      {"channels", "host/app", "host/ask", "host/durable", "host/process", "host/release", "sandbox", "supervisor"},
	"host/settings":     {"channels", "channels/history", "host/config", "host/release", "host/rollout", "sandbox", "supervisor"},

	"host/durable/store": {"channels/history", "host/bus", "host/durable"},

	"host/gateway": {"channels", "host/auth", "host/config", "host/gate", "host/gateway/deflate", "host/gateway/handshake", "host/gateway/longpoll", "host/gateway/wire",
		"host/process", "host/rollout", "supervisor", "github.com/coder/websocket"},
	"host/gateway/deflate":   {"github.com/klauspost/compress"},
	"host/gateway/handshake": {"host/config"},
	"host/gateway/longpoll":  {"channels"},
	"host/gateway/wire":      {"golang.org/x/sys"},

	"host": {"channels", "channels/presence", "sandbox", "supervisor", "host/admin", "host/api", "host/app", "host/ask", "host/auth", "host/backup", "host/bus", "host/clock", "host/cluster", "host/config", "host/crashes", "host/deploy", "host/disk", "host/durable", "host/durable/store", "host/folder",
		"host/gateway", "host/gateway/longpoll", "host/httpapi", "host/release", "host/rollout", "host/settings", "host/versions", "host/web", "github.com/prometheus/client_golang"},
	"cmd/rtd": {"cmd/rtd/author", "cmd/rtd/bench", "cmd/rtd/check", "cmd/rtd/connect", "cmd/rtd/script", "cmd/rtd/signals", "cmd/rtd/stage",
		"host", "host/admin", "host/backup", "host/config", "host/crashes", "host/folder", "host/logs", "host/names", "host/process", "host/settings", "host/versions", "sandbox", "github.com/spf13/cobra"},
	"cmd/rtd/author":  {"cmd/rtd/stage", "host/config", "host/folder", "host/names", "sandbox", "sandbox/abi", "sandbox/manifest", "sdk"},
	"cmd/rtd/bench":   {},
	"cmd/rtd/check":   {"channels/client", "cmd/rtd/stage", "host/config", "host/names", "host/process", "host/release", "host/rollout", "sandbox", "sandbox/manifest", "sandbox/rewrite", "sandbox/sections"},
	"cmd/rtd/connect": {"channels/client", "github.com/coder/websocket"},
	"cmd/rtd/script":  {"channels/client", "cmd/rtd/stage", "host/config", "host/process", "host/rollout", "sandbox"},
	"cmd/rtd/stage":   {"channels", "channels/client", "host/clock", "host/config", "host/durable", "host/process", "host/rollout", "host/settings", "sandbox", "supervisor"},
	"cmd/rtd/signals": {},

	"sdk":           {},
	"sdk/go":        {},
	"sdk/as":        {},
	"sdk/js":        {},
	"sdk/suite":     {},
	"plugins/board": {"sdk/go"},
	"plugins/chat":  {"sdk/go"},
	"plugins/rooms": {"sdk/go"},

	"host/disk/disktest":       {},
	"host/clustertest":         {"sandbox/sandboxtest"},
	"sandbox/sandboxtest":      {"sandbox"},
	"host/hosttest":            {"channels/client", "host", "host/config", "sandbox/sandboxtest", "github.com/coder/websocket"},
	"host/testdata/fickle":     {"sdk/go"},
	"host/testdata/ledger":     {"sdk/go"},
	"host/testdata/nasty":      {"sdk/go"},
	"sandbox/testdata/goguest": {},
}

// testTools may be imported by tests, and by each other, alone.
var testTools = []string{"sandbox/sandboxtest", "host/disk/disktest", "host/clustertest", "host/hosttest"}

// imports returns what each package of rtd imports, for this system and for
// guests. Packages of rtd go without the module's name, others by their module.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, target := range []string{"", "GOOS=wasip1 GOARCH=wasm"} {
		cmd := exec.Command("go", "list", "-deps", "-e", "-json=ImportPath,Imports,Standard,Module",
			"rtd/...", "rtd/host/testdata/fickle", "rtd/host/testdata/ledger", "rtd/host/testdata/nasty", "rtd/sandbox/testdata/goguest")
		cmd.Env = append(os.Environ(), strings.Fields(target)...)
		output, err := cmd.Output()
		must(t, err)
		type pkg struct {
			ImportPath string
			Imports    []string
			Standard   bool
			Module     *struct{ Path string }
		}
		names := map[string]string{}
		var ours []pkg
		for d := json.NewDecoder(strings.NewReader(string(output))); ; {
			var p pkg
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch {
			case p.Standard || p.Module == nil:
			case p.Module.Path == "rtd":
				names[p.ImportPath] = strings.TrimPrefix(p.ImportPath, "rtd/")
				ours = append(ours, p)
			default:
				names[p.ImportPath] = p.Module.Path
			}
		}
		for _, p := range ours {
			name := names[p.ImportPath]
			list := found[name]
			for _, path := range p.Imports {
				if to := names[path]; to != "" && !slices.Contains(list, to) {
					list = append(list, to)
				}
			}
			found[name] = list
		}
	}
	return found
}

func TestArrows(t *testing.T) {
	found := imports(t)
	for from, list := range found {
		allowed, known := arrows[from]
		if !known {
			t.Errorf("package %s is new: say in its doc.go what it owns, and add it to the arrows of host/arrows_test.go", from)
		}
		for _, to := range list {
			if known && !slices.Contains(allowed, to) {
				t.Errorf("new arrow: %s → %s. If it has to be, give the reason in the rationale of %s/doc.go and add it to the arrows of host/arrows_test.go",
					from, to, from)
			}
			if slices.Contains(testTools, to) && !slices.Contains(testTools, from) {
				t.Errorf("%s imports %s, which is for tests", from, to)
			}
		}
		for _, to := range allowed {
			if !slices.Contains(list, to) {
				t.Errorf("the arrow %s → %s is gone: take it out of host/arrows_test.go", from, to)
			}
		}
	}
}

// ofSeveral are modules that have something else for each of their importers: system calls; S2 for states at
// rest, and DEFLATE for clients; the two sides of a WebSocket.
var ofSeveral = []string{"golang.org/x/sys", "github.com/klauspost/compress", "github.com/coder/websocket"}

// Each module from outside has one package that knows it, but for those, and what tests need.
func TestOneImporterPerModule(t *testing.T) {
	importers := map[string][]string{}
	for from, list := range imports(t) {
		for _, to := range list {
			if strings.Contains(to, ".") && !slices.Contains(testTools, from) {
				importers[to] = append(importers[to], from)
			}
		}
	}
	for module, from := range importers {
		if len(from) > 1 && !slices.Contains(ofSeveral, module) {
			t.Errorf("%s is imported by %v: let one of them do it for the others", module, from)
		}
	}
}
