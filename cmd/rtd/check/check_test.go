package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rtd/cmd/rtd/check"
	"rtd/host/config"
	"rtd/sandbox/manifest"
	"rtd/sandbox/sandboxtest"
)

func run(t *testing.T, o check.Options) *check.Report {
	t.Helper()
	if o.Config == nil {
		o.Config = config.Default()
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	o.Config.Plugins.Cache = filepath.Join(dir, "rtd-test", "wazero")
	r, err := check.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	return r
}

func text(t *testing.T, r *check.Report) string {
	t.Helper()
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGoodPlugin(t *testing.T) {
	wasm, err := manifest.Write(read(t, room), manifest.Manifest{Name: "room", Version: "1.2.3", Topics: []string{"room:*"}, ABI: "rtd_v1"})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, check.Options{Name: "room", WASM: wasm, Join: []byte(`{"user":"ada"}`)})
	if r.Refused != "" || !r.Hibernates || !slices.Equal(r.Topics, []string{"room:*"}) || r.Snapshot <= 0 || r.Size != len(wasm) {
		t.Errorf("report %+v", r)
	}
	// An idle room in C takes some tens of bytes.
	if i := r.Idle; i == nil || !i.Joined || i.Topic != "room:*" || i.Bytes < 8 || i.Bytes > 200 {
		t.Errorf("idle %+v", i)
	}
	if !slices.Contains(r.Imports, "rtd_v1.op") || !slices.Contains(r.Exports, "memory memory") || !slices.Contains(r.Exports, "handle") {
		t.Errorf("imports %q, exports %q", r.Imports, r.Exports)
	}
	for _, want := range []string{"room 1.2.3, for rtd_v1", "asks for     nothing", "hibernates  yes", "after joining room:*"} {
		want = strings.Join(strings.Fields(want), " ")
		if !strings.Contains(strings.Join(strings.Fields(text(t, r)), " "), want) {
			t.Errorf("no %q in\n%s", want, text(t, r))
		}
	}
	r = run(t, check.Options{Name: "room", WASM: wasm})
	if r.Idle.Joined || !strings.Contains(r.Idle.Answer, "no user") || !strings.Contains(text(t, r), "say how with --topic and --join") {
		t.Errorf("a join that is refused: %+v\n%s", r.Idle, text(t, r))
	}
}

func TestPinned(t *testing.T) {
	r := run(t, check.Options{Name: "pinned", WASM: read(t, "pinned.wasm"), Config: parse(t, "[plugin.pinned]\ntopics = [\"p:*\"]")})
	if r.Refused != "" || r.Hibernates || r.Pinned == "" || !strings.Contains(text(t, r), "no, every actor stays in memory: "+r.Pinned) {
		t.Errorf("report %+v\n%s", r, text(t, r))
	}
}

// What a server would refuse is refused, with the lines that would change it if there are some.
func TestRefusals(t *testing.T) {
	asks, err := manifest.Write(read(t, room), manifest.Manifest{
		Name: "room", Capabilities: manifest.Capabilities{Topics: []string{"audit:*"}, Connect: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	depends, err := manifest.Write(read(t, room), manifest.Manifest{Name: "room", Capabilities: manifest.Capabilities{Depends: []string{"base"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		wasm   []byte
		config string
		want   string // "": it is not refused
		lines  string
	}{
		"no module":     {[]byte("text"), "", "not a WebAssembly module", ""},
		"a trap":        {read(t, "start_trap.wasm"), "", "trap", ""},
		"wrong imports": {read(t, "wrong_imports.wasm"), "", "imports", ""},
		"too large":     {read(t, "big_memory.wasm"), "", "memory", ""},
		"no topics":     {read(t, "pinned.wasm"), "", "declares neither topics nor processes", ""},
		"ungranted":     {asks, "", "asks for more than it is granted", "[plugin.room]\ngrants = [\"audit:*\"]\nallows = [\"connect\"]"},
		"granted":       {asks, "[plugin.room]\ngrants = [\"audit:*\"]\nallows = [\"connect\"]", "", ""},
		"depends":       {depends, "", "asks for more than it is granted", "[plugin.room]\ndepends = [\"base\"]"},
	} {
		r := run(t, check.Options{Name: "room", WASM: c.wasm, Config: parse(t, c.config)})
		if (c.want == "") != (r.Refused == "") || !strings.Contains(r.Refused, c.want) || strings.Join(r.Lines, "\n") != c.lines {
			t.Errorf("%s: refused %q, lines %q", name, r.Refused, r.Lines)
		}
		for _, line := range r.Lines {
			if !strings.Contains(text(t, r), line) {
				t.Errorf("%s: no %s in\n%s", name, line, text(t, r))
			}
		}
	}
	r := run(t, check.Options{Name: "room", WASM: depends, Config: parse(t, "[plugin.room]\ndepends = [\"base\"]")})
	if r.Refused != "" || !slices.Equal(r.Waits, []string{"base"}) || !strings.Contains(text(t, r), "waits for") {
		t.Errorf("one that waits for another: %+v", r)
	}
}

// The same plugin decides about clients as in a server, beside the plugins of its config.
func TestConnect(t *testing.T) {
	const allows = "[plugin.phx]\nallows = [\"connect\"]\n"
	phx := sandboxtest.BuildGo(t, "rtd/host/testdata/phx")
	for name, c := range map[string]struct {
		config, lines string
		connects      []string
	}{
		"not allowed":    {"", "[plugin.phx]\nallows = [\"connect\"]", nil},
		"alone":          {allows, "", []string{"socket"}},
		"beside another": {allows + "[plugin.chat]", "[socket.socket]\nconnect = \"phx\"", nil},
		"said":           {allows + "[plugin.chat]\n[socket.socket]\nconnect = \"phx\"", "", []string{"socket"}},
		"said another":   {allows + "[plugin.chat]\n[socket.socket]\nconnect = \"chat\"", "", nil},
		"of its own":     {allows + "[plugin.chat]\n[socket.a]\nplugins = [\"chat\"]\n[socket.b]\nplugins = [\"phx\"]", "", []string{"b"}},
	} {
		r := run(t, check.Options{Name: "phx", WASM: phx, Config: parse(t, c.config), Topic: "nobody:*"})
		if (c.lines == "") != (r.Refused == "") || strings.Join(r.Lines, "\n") != c.lines || !slices.Equal(r.Connects, c.connects) {
			t.Errorf("%s: refused %q, lines %q, connects %q", name, r.Refused, r.Lines, r.Connects)
		}
		for _, line := range slices.Concat(r.Lines, r.Connects) {
			if !strings.Contains(text(t, r), line) {
				t.Errorf("%s: no %s in\n%s", name, line, text(t, r))
			}
		}
	}
}

const room = "../../../sdk/suite/testdata/room-c.wasm"

func read(t *testing.T, name string) []byte {
	t.Helper()
	if name != room {
		name = filepath.Join("../../../sandbox/testdata", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("config.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of durable actors the report says what is stored with an event.
func TestDurableEvents(t *testing.T) {
	ledger := sandboxtest.BuildGo(t, "rtd/host/testdata/ledger")
	o := check.Options{
		Name: "ledger", WASM: ledger, Config: parse(t, "[plugin.ledger]\ndurable = [\"ledger:*\", \"process:sum\"]"),
		Event: "last", Payload: []byte(`{"who":"ada"}`),
	}
	r := run(t, o)
	if r.Refused != "" || r.DurableCause != "" || len(r.Durable) != 2 {
		t.Fatalf("report %+v", r)
	}
	process, topic := r.Durable[0], r.Durable[1]
	if process.Actor != "process:sum" || process.Events != 1 || process.First < 10 {
		t.Errorf("process %+v", process)
	}
	if topic.Actor != "topic:ledger:check1" || topic.Events < 200 || topic.First < 10 || topic.Least < 10 || topic.Most < topic.Least || topic.Last > topic.Most {
		t.Errorf("topic %+v", topic)
	}
	if !strings.Contains(text(t, r), "topic:ledger:check1: ") {
		t.Errorf("text\n%s", text(t, r))
	}
	if len(r.Absent) != 0 {
		t.Errorf("absent: %q", r.Absent)
	}
	o.Config, o.Event = parse(t, "[plugin.ledger]\ndurable = [\"ledger:*\", \"process:summ\", \"process:s*\"]"), "crash"
	r = run(t, o)
	if !slices.Equal(r.Absent, []string{"summ"}) || !strings.Contains(text(t, r), "process:summ: no process has had that name") {
		t.Errorf("absent are %q:\n%s", r.Absent, text(t, r))
	}
	if !strings.Contains(text(t, r), "a push of crash number 1: its handler crashes") || len(r.Durable) != 2 || r.Durable[1].Events > 2 {
		t.Errorf("of an event that crashes:\n%s", text(t, r))
	}
	o.Config, o.Event = nil, "last"
	if r := run(t, o); r.Refused != "" || r.Durable != nil {
		t.Errorf("of one that is not durable: %+v", r)
	}
}
