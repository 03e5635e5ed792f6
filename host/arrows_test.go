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

// arrows are what each package of rtd may import beside the standard library:
// packages of rtd, and modules from outside. To add one is to decide about the
// architecture: give the reason in the doc.go of the package that the arrow
// leaves, and then draw it here.
var arrows = map[string][]string{
	"supervisor":        {},
	"sandbox/abi":       {},
	"sandbox/image":     {"golang.org/x/sys"},
	"sandbox/manifest":  {},
	"sandbox/rewrite":   {},
	"sandbox":           {"sandbox/abi", "sandbox/image", "sandbox/rewrite", "github.com/tetratelabs/wazero", "github.com/klauspost/compress"},
	"channels/presence": {},
	"channels":          {"channels/presence", "supervisor", "sandbox/abi"},
	"host/admin":        {},
	"host/auth":         {"github.com/golang-jwt/jwt/v5"},
	"host/config":       {"github.com/BurntSushi/toml"},
	"host/crashes":      {"sandbox", "sandbox/abi"},
	"host/folder":       {"github.com/fsnotify/fsnotify"},
	"host/api":          {},
	"host/longpoll":     {"channels"},
	"host/versions":     {},
	"host/web":          {},
	"host/wire":         {"golang.org/x/sys"},
	"host/handshake":    {"host/config"},
	"host/plugin":       {"channels", "channels/presence", "sandbox", "sandbox/abi", "sandbox/manifest", "supervisor"},
	"host": {"channels", "sandbox", "supervisor", "host/admin", "host/api", "host/auth", "host/config", "host/crashes", "host/folder", "host/handshake", "host/longpoll", "host/plugin",
		"host/versions", "host/web", "host/wire",
		"github.com/coder/websocket", "github.com/prometheus/client_golang"},
	"cmd/rtd": {"cmd/rtd/author", "cmd/rtd/bench", "cmd/rtd/check", "cmd/rtd/script", "cmd/rtd/stage",
		"host", "host/admin", "host/config", "host/crashes", "host/folder", "host/versions", "github.com/spf13/cobra"},
	"cmd/rtd/author": {"cmd/rtd/stage", "host/config", "sandbox", "sandbox/abi", "sandbox/manifest", "sdk"},
	"cmd/rtd/bench":  {},
	"cmd/rtd/check":  {"cmd/rtd/stage", "host/config", "host/plugin", "sandbox", "sandbox/manifest", "sandbox/rewrite"},
	"cmd/rtd/script": {"cmd/rtd/stage", "host/config", "host/plugin", "sandbox"},
	"cmd/rtd/stage":  {"channels", "host", "host/config", "host/plugin", "sandbox", "supervisor"},

	"sdk":           {},
	"sdk/go":        {},
	"sdk/as":        {},
	"sdk/suite":     {},
	"plugins/chat":  {"sdk/go"},
	"plugins/rooms": {"sdk/go"},

	testTools:                  {"sandbox"},
	"host/testdata/nasty":      {"sdk/go"},
	"sandbox/testdata/goguest": {},
}

// testTools may be imported by tests alone.
const testTools = "sandbox/sandboxtest"

// imports returns what each package of rtd imports, for this system and for
// guests. Packages of rtd go without the module's name, others by their module.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, target := range []string{"", "GOOS=wasip1 GOARCH=wasm"} {
		cmd := exec.Command("go", "list", "-deps", "-e", "-json=ImportPath,Imports,Standard,Module",
			"rtd/...", "rtd/host/testdata/nasty", "rtd/sandbox/testdata/goguest")
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
			if to == testTools {
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

// Each module from outside has one package that knows it, but for the system's own
// calls.
func TestOneImporterPerModule(t *testing.T) {
	importers := map[string][]string{}
	for from, list := range imports(t) {
		for _, to := range list {
			if strings.Contains(to, ".") {
				importers[to] = append(importers[to], from)
			}
		}
	}
	for module, from := range importers {
		if len(from) > 1 && module != "golang.org/x/sys" {
			t.Errorf("%s is imported by %v: let one of them do it for the others", module, from)
		}
	}
}
