package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtd/host/config"
)

const shipped = "../../config.toml"

// It has what the examples need, and else the defaults.
func TestShippedFileIsTheDefaults(t *testing.T) {
	got, err := config.Load(shipped)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	chat := want.Plugin("chat")
	chat.History = []string{"room:*"}
	chat.Config = map[string]any{"token": "demo"}
	want.Tables["chat"] = chat
	rooms := want.Plugin("rooms")
	rooms.Strategy = "rest_for_one"
	want.Tables["rooms"] = rooms
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config.toml says\n%+v\nand Default\n%+v", got, want)
	}
}

func TestShippedFileHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{config.Server{}, config.Log{}, config.Socket{}, config.Crashes{}, config.Plugins{}, config.Bus{}, config.Cluster{}, config.Plugin{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
			key := field.Tag.Get("toml")
			line := regexp.MustCompile(`(?m)^` + key + ` += |^\[plugin\.chat\.` + key + `\]`)
			if key == "" || !line.Match(data) {
				t.Errorf("%T.%s: config.toml has no key %q", of, field.Name, key)
			}
		}
	}
}

func TestNothingIsTheDefaults(t *testing.T) {
	got, err := config.Parse("empty.toml", nil)
	if err != nil || !reflect.DeepEqual(got, config.Default()) {
		t.Errorf("Parse of nothing = %+v, %v", got, err)
	}
}

// A share may be written as a whole number.
func TestShare(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "0.25": 0.25} {
		c, err := config.Parse("f", []byte("[plugin.a]\ncanary = "+text))
		if err != nil || c.Plugin("a").Canary != want {
			t.Errorf("canary = %s: %v, %v", text, c, err)
		}
	}
}

func TestValues(t *testing.T) {
	c := parse(t, `
server.listen = ":0"
server.origins = ["https://example.com", "//*.example.com", "example.com:8443", "https://[::1]:99"]
server.trusted_proxies = ["10.0.0.0/8", "::1"]
server.tls_cert = "a"
server.tls_key = "b"
plugin.chat = { restart = "temporary", deadline = "250ms", memory = 4294967296 }
[plugin.other_1-x]
topics = ["room:*", "*", "lobby"]
durable = ["room:*", "process:counter", "process:*"]
durable_state = 1310720
`)
	if c.Server.Listen != ":0" || len(c.Server.Origins) != 4 || len(c.Server.TrustedProxies) != 2 {
		t.Errorf("server = %+v", c.Server)
	}
	chat := c.Plugin("chat")
	if chat.Restart != "temporary" || chat.Deadline != 250*time.Millisecond || chat.Memory != 1<<32 || chat.Mailbox != 1000 {
		t.Errorf("chat = %+v", chat)
	}
	if got := c.Plugin("other_1-x").Topics; !slices.Equal(got, []string{"room:*", "*", "lobby"}) {
		t.Errorf("topics = %q", got)
	}
	if got := c.Plugin("other_1-x"); len(got.Durable) != 3 || got.DurableState != 1_310_720 || got.DurableBytes != 1<<30 || got.DurableIdle != time.Minute || got.DurableKeep != 0 {
		t.Errorf("durable: %+v", got)
	}
	if got := c.Plugin("unheard of"); got.MaxRestarts != 3 || got.Restart != "transient" {
		t.Errorf("plugin without a table = %+v", got)
	}
}

// A cluster needs a secret, unless nobody else can reach it, or an existing NATS carries its messages.
func TestCluster(t *testing.T) {
	for _, text := range []string{"", "name = 'a'\nsecret = 'env:A'", "name = 'a'\nlisten = '127.0.0.2:4400'", "name = 'a'\nlisten = 'localhost:0'",
		"name = 'a'\ntls_ca = 'a'\ntls_cert = 'b'\ntls_key = 'c'", "name = 'a'\n[bus]\nurl = 'nats://a'"} {
		c := parse(t, "[cluster]\nnode = 'n-1'\nseeds = ['a:4400', '[::1]:4401']\n"+text)
		if name, err := c.Cluster.NodeName(); err != nil || name != "n-1" || len(c.Cluster.Seeds) != 2 {
			t.Errorf("%+v: %v", c.Cluster, err)
		}
	}
	name, err := config.Default().Cluster.NodeName()
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(name) {
		t.Errorf("the machine's name is %q: %v", name, err)
	}
}

func TestProblems(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"syntax", "[server]\nlisten = \n", "f:2: expected value but found '\\n' instead; expected a TOML file"},
		{"twice", "[log]\nlevel = 'info'\nlevel = 'info'", "f:3: Key 'log.level' has already been defined; expected a TOML file"},
		{"misspelled", "[server]\n\nlistne = 'x'", "f:3: server.listne: unknown key; did you mean listen?"},
		{"misspelled table", "[sever]", "f:1: sever: unknown key; did you mean server?"},
		{"case", "[server]\nListen = ':1'", "f:2: server.Listen: unknown key; did you mean listen?"},
		{"other table", "max_frame = 1", "f:1: max_frame: unknown key; did you mean max_frame in [server]?"},
		{"other table, plugin", "[server]\nmailbox = 1", "f:2: server.mailbox: unknown key; did you mean mailbox in [plugin.NAME]?"},
		{"nothing like it", "[log]\nzzz = 1", "f:2: log.zzz: unknown key; expected one of level, format"},
		{"quoted", "['log']\n\"zz z\" = 1", `f:2: log."zz z": unknown key; expected one of level, format`},
		{"dotted", "\nlog.x.y = 1", "f:2: log.x: unknown key; expected one of level, format"},
		{"inline", "\n\nlog = { level = 'loud' }", `f:3: log.level: is "loud"; expected one of debug, info, warn, error`},
		{"not a table", "log = 7", "f:1: log: is 7; expected a table such as [log]"},
		{"list of tables", "\n[[log]]", "f:2: log: is a table; expected a table such as [log]"},
		{"string", "[server]\nlisten = 4000", "f:2: server.listen: is 4000; expected a string"},
		{"bool", "[plugins]\nbuild = 'yes'", `f:2: plugins.build: is "yes"; expected true or false`},
		{"number", "[server]\nmax_frame = '64k'", `f:2: server.max_frame: is "64k"; expected a whole number from 1024 to 268435456`},
		{"float", "[server]\nmax_frame = 65536.0", `f:2: server.max_frame: is 65536; expected a whole number from 1024 to 268435456`},
		{"low", "[server]\nmax_frame = 1023", `f:2: server.max_frame: is 1023; expected a whole number from 1024 to 268435456`},
		{"durable", "[plugin.a]\ndurable = ['doc:*', 'process:']", `f:2: plugin.a.durable: has "process:"; expected topics such as "doc:*" or "doc:1", or processes such as "process:counter" or "process:*", at most 255 bytes`},
		{"durable, inner star", "[plugin.a]\ndurable = ['d*c']", `f:2: plugin.a.durable: has "d*c"; expected topics such as "doc:*" or "doc:1", or processes such as "process:counter" or "process:*", at most 255 bytes`},
		{"durable idle", "[plugin.a]\ndurable_idle = '0s'", `f:2: plugin.a.durable_idle: is "0s"; expected a string such as "5s", from "1ms" to "24h"`},
		{"durable keep", "[plugin.a]\ndurable_keep = '-1s'", `f:2: plugin.a.durable_keep: is "-1s"; expected a string such as "5s", from "0s" to "87600h"`},
		{"durable state", "[plugin.a]\ndurable_state = 1310721", "f:2: plugin.a.durable_state: is 1310721; expected a whole number from 1024 to 1310720"},
		{"durable bytes", "[plugin.a]\ndurable_bytes = 1", "f:2: plugin.a.durable_bytes: is 1; expected a whole number from 1024 to 1125899906842624"},
		{"memory", "[plugin.a]\nmemory = 4294967297", `f:2: plugin.a.memory: is 4294967297; expected a whole number from 65536 to 4294967296`},
		{"bus sync", "[bus]\nsync = 'never'", `f:2: bus.sync: is "never"; expected "always", or how often, from "10ms" to "1h", such as "1s"`},
		{"bus url", "[bus]\nurl = 'http://a'", `f:2: bus.url: is no list of servers; expected one such as "nats://127.0.0.1:4222" or "tls://a.example.com,tls://b.example.com"`},
		{"bus url with a secret", "[bus]\nurl = 'nats://a:secret@b'", `f:2: bus.url: has a user; expected that in credentials, such as "env:NATS_CREDENTIALS"`},
		{"bus prefix", "[bus]\nprefix = 'a.b'", `f:2: bus.prefix: is "a.b"; expected 1 to 32 letters, digits, - and _ such as "rtd"`},
		{"bus certificate", "[bus]\nurl = 'tls://a'\ntls_cert = 'a'", `f:3: bus.tls_cert: is set without tls_key; expected both or neither`},
		{"bus credentials", "[bus]\ncredentials = 'env:A'", `f:2: bus.credentials: is set without url; expected the url of the server that it is for`},
		{"bus room", "[bus]\nmax_bytes = 1", `f:2: bus.max_bytes: is 1; expected a whole number from 1048576 to 1125899906842624`},
		{"cluster name", "[cluster]\nname = 'a b'\nlisten = '127.0.0.1:0'", `f:2: cluster.name: is "a b"; expected 1 to 64 letters, digits, - and _ such as "node-1"`},
		{"cluster seeds", "[cluster]\nseeds = ['a:1', 'b']", `f:2: cluster.seeds: has "b"; expected host:port of a node such as "10.0.0.1:4400"`},
		{"cluster advertise", "[cluster]\nadvertise = ':4400'", `f:2: cluster.advertise: has ":4400"; expected host:port of a node such as "10.0.0.1:4400"`},
		{"cluster without a secret", "[cluster]\nname = 'a'", "f:1: cluster: has no secret, and others can reach listen; expected one such as \"env:RTD_CLUSTER_SECRET\", " +
			"the same at all nodes, made with \"openssl rand -base64 32\", or tls_ca, tls_cert and tls_key"},
		{"cluster with half a certificate", "[cluster]\ntls_ca = 'a'", "f:1: cluster: has some of tls_ca, tls_cert and tls_key; expected all three or none"},
		{"cluster with both", "[cluster]\ntls_ca = 'a'\ntls_cert = 'a'\ntls_key = 'a'\nsecret = 'env:A'", "f:5: cluster.secret: is set besides tls_ca; expected one of both"},
		{"cluster down", "[cluster]\ndown_after = '100ms'", `f:2: cluster.down_after: is "100ms"; expected a string such as "5s", from "1s" to "10m"`},
		{"duration", "[server]\ngrace = 10", `f:2: server.grace: is 10; expected a string such as "5s"`},
		{"duration text", "[server]\ngrace = 'soon'", `f:2: server.grace: is "soon"; expected a string such as "5s", from "0s" to "10m"`},
		{"share", "[plugin.a]\ncanary = 1.5", `f:2: plugin.a.canary: is 1.5; expected a number from 0 to 1`},
		{"no number", "[plugin.a]\ncanary = nan", `f:2: plugin.a.canary: is NaN; expected a number from 0 to 1`},
		{"share as text", "[plugin.a]\ncanary = '10%'", `f:2: plugin.a.canary: is "10%"; expected a number from 0 to 1`},
		{"migrate", "[plugin.a]\nmigrate = 'drop'", `f:2: plugin.a.migrate: is "drop"; expected one of replay, stay`},
		{"duration range", "[plugin.a]\ndeadline = '0s'", `f:2: plugin.a.deadline: is "0s"; expected a string such as "5s", from "1ms" to "10m"`},
		{"date", "[server]\ngrace = 2026-01-02", `f:2: server.grace: is a date or time; expected a string such as "5s"`},
		{"list", "[server]\norigins = '*'", `f:2: server.origins: is "*"; expected a list of strings such as ["a", "b"]`},
		{"list entry", "[server]\norigins = [\n'a.b',\n1]", `f:2: server.origins: entry 2 is 1; expected a string`},
		{"listen", "[server]\nlisten = 'localhost'", `f:2: server.listen: is "localhost"; expected host:port such as "127.0.0.1:4000" or ":4000"`},
		{"port", "[server]\nlisten = ':65536'", `f:2: server.listen: is ":65536"; expected host:port such as "127.0.0.1:4000" or ":4000"`},
		{"half TLS", "[server]\n\ntls_cert = 'a.pem'", "f:3: server.tls_cert: is set without tls_key; expected both or neither"},
		{"other half", "[server]\n\ntls_key = 'a.pem'", "f:3: server.tls_key: is set without tls_cert; expected both or neither"},
		{"CIDR", "[server]\ntrusted_proxies = ['10.0.0.0/33']", `f:2: server.trusted_proxies: has "10.0.0.0/33"; expected an IP such as "10.0.0.1" or a CIDR such as "10.0.0.0/8"`},
		{"any and more", "[server]\norigins = ['*', 'a.b']", `f:2: server.origins: has "*" beside other entries; expected "*" alone, which is any origin`},
		{"admin without keys", "[admin]\nlisten = ':4001'", "f:2: admin.listen: is set without keys; expected at least one, since anybody can connect there"},
		{"admin address", "[admin]\nlisten = 'x'\nkeys = ['k']", `f:2: admin.listen: is "x"; expected host:port such as "127.0.0.1:4000" or ":4000"`},
		{"topic", "[plugin.a]\ntopics = ['a*b']", `f:2: plugin.a.topics: has "a*b"; expected a topic such as "room:lobby" or its beginning and a "*" such as "room:*", at most 255 bytes`},
		{"empty topic", "[plugin.a]\ntopics = ['']", `f:2: plugin.a.topics: has ""; expected a topic such as "room:lobby" or its beginning and a "*" such as "room:*", at most 255 bytes`},
		{"plugin name", "[plugin.Chat]", `f:1: plugin.Chat: the plugin's name is "Chat"; expected 1 to 64 of a-z, 0-9, _ and -, as in the name of its file`},
		{"plugin key", "[plugin]\nchat = 1", "f:2: plugin.chat: is 1; expected a table such as [plugin.chat]"},
		{"no plugin tables", "plugin = []", "f:1: plugin: is a list; expected tables named like the plugins, such as [plugin.chat]"},
		{"free table", "[plugin.a]\nconfig = 'x'", `f:2: plugin.a.config: is "x"; expected a table`},
		{"no JSON", "[plugin.a.config]\nx = [\n1.0, nan]", "f:2: plugin.a.config.x: is NaN; expected a number that JSON has"},
		{"empty folder", "plugins.dir = ''", "f:1: plugins.dir: is empty; expected a folder"},
		{"after many lines", "# [x]\n[log] # level = 3\nformat = '''\ntext'''\nlevel = \"\"\"\n[server]\nlisten = 1\\\n \"\"\"\n[server]\nlisten = 1",
			"f:5: log.level: is \"[server]\\nlisten = 1\"; expected one of debug, info, warn, error\nf:10: server.listen: is 1; expected a string"},
		{"socket key", "[socket.a]\nplugin = ['a']", "f:2: socket.a.plugin: unknown key; did you mean plugins?"},
		{"key of a socket", "[server]\nauth_token = true", "f:2: server.auth_token: unknown key; did you mean auth_token in [socket.NAME]?"},
		{"socket name", "[socket.Admin]\npath = '/x'", `f:1: socket.Admin: the socket's name is "Admin"; expected 1 to 64 of a-z, 0-9, _ and -`},
		{"no socket tables", "socket = '/x'", `f:1: socket: is "/x"; expected tables with a name, such as [socket.admin]`},
		{"relative path", "[socket.a]\npath = 'x'", `f:2: socket.a.path: is "x"; expected a path such as "/socket" or "/tenant/:id/socket", at most 255 bytes`},
		{"nameless param", "[socket.a]\npath = '/x/:/y'", `f:2: socket.a.path: is "/x/:/y"; expected a path such as "/socket" or "/tenant/:id/socket", at most 255 bytes`},
		{"param vsn", "[socket.a]\npath = '/x/:vsn'", `f:2: socket.a.path: is "/x/:vsn"; expected a path such as "/socket" or "/tenant/:id/socket", at most 255 bytes`},
		{"slash at the end", "[socket.a]\npath = '/x/'", `f:2: socket.a.path: is "/x/"; expected a path such as "/socket" or "/tenant/:id/socket", at most 255 bytes`},
		{"same path", "[socket.a]\npath = '/x/:id'\n[socket.b]\npath = '/x/:name'", "f:4: socket.b.path: matches the same as the path of [socket.a]; expected another one"},
		{"socket origins", "[socket.a]\norigins = ['*', 'a.b']", `f:2: socket.a.origins: has "*" beside other entries; expected "*" alone, which is any origin`},
		{"connect", "[socket.a]\nconnect = 'a/b'", `f:2: socket.a.connect: has "a/b"; expected the name of a plugin such as "accounts"`},
		{"all of them, in order", "[plugins]\nbuild = 1\ndirs = 'x'\n[server]\nmax_joins = 0\n[log]\nlevel = 1",
			"f:2: plugins.build: is 1; expected true or false\nf:3: plugins.dirs: unknown key; did you mean dir?\n" +
				"f:5: server.max_joins: is 0; expected a whole number from 1 to 1000000\nf:7: log.level: is 1; expected a string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte(test.file))
			if err == nil {
				t.Fatalf("no error but %+v", c)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%s\nwant\n%s", err, test.want)
			}
		})
	}
}

// Mounts that are written replace the one that there is by default.
func TestSockets(t *testing.T) {
	if got := config.Default().Sockets; len(got) != 1 || got["socket"].Path != "/socket" || !got["socket"].AuthToken {
		t.Errorf("by default: %+v", got)
	}
	got := parse(t, `
[socket.admin]
plugins = ["office"]
origins = ["*"]
connect = "accounts"
connect_timeout = "250ms"
[socket.tenants]
path = "/tenant/:id/socket"
auth_token = false
`).Sockets
	admin, tenants := config.Default().Sockets["socket"], config.Default().Sockets["socket"]
	admin.Path, admin.Plugins, admin.Origins = "/admin", []string{"office"}, []string{"*"}
	admin.Connect, admin.ConnectTimeout = "accounts", 250*time.Millisecond
	tenants.Path, tenants.AuthToken = "/tenant/:id/socket", false
	if want := map[string]config.Socket{"admin": admin, "tenants": tenants}; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReadmeExamples(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(examples) == 0 {
		t.Error("the README has no example of the configuration")
	}
	for _, example := range examples {
		parse(t, example[1])
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := config.Parse("f", []byte(many(5000)))
	if err == nil || strings.Count(err.Error(), "\n") > 40 || !strings.HasSuffix(err.Error(), "f: and more") {
		t.Errorf("got %v", err)
	}
	if _, err = config.Parse("f", make([]byte, config.MaxFileSize+1)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("too large a file: %v", err)
	}
	deep := "[plugin.a.config]\nx = " + strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if _, err = config.Parse("f", []byte(deep)); err == nil || !strings.Contains(err.Error(), "f:2: plugin.a.config.x: is nested too deeply") {
		t.Errorf("too deep a table: %v", err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d = 1\n", i)
	}
	return b.String()
}

func TestConfigJSON(t *testing.T) {
	c := parse(t, `
[plugin.a.config]
z = "<&>\u2028"
big = 9223372036854775807
half = 0.5
on = true
date = 2026-01-02
time = 03:04:05.5
local = 2026-01-02T03:04:05
exact = 2026-01-02T03:04:05.25+02:00
list = [1, [2, {x = 1}], "3"]
[[plugin.a.config.rooms]]
name = "one"
[[plugin.a.config.rooms]]
name = "two"
`)
	const want = `{"big":9223372036854775807,"date":"2026-01-02","exact":"2026-01-02T03:04:05.25+02:00","half":0.5,` +
		`"list":[1,[2,{"x":1}],"3"],"local":"2026-01-02T03:04:05","on":true,"rooms":[{"name":"one"},{"name":"two"}],` +
		`"time":"03:04:05.5","z":"<&>\u2028"}`
	for range 5 {
		if got := string(c.Plugin("a").ConfigJSON()); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	if got := string(c.Plugin("none").ConfigJSON()); got != "{}" {
		t.Errorf("without a table: %s", got)
	}
}

func TestNeedsRestart(t *testing.T) {
	old := parse(t, "[plugin.a]\nmailbox = 1")
	next := parse(t, "[server]\norigins = ['*']\nmax_frame = 2097152\n[plugins]\nbuild = false\n[plugin.a]\nmailbox = 2\n[plugin.b]\n[socket.a]")
	want := []string{"server.origins", "server.max_frame", "plugins.build", "socket.a", "socket.socket"}
	if got := old.NeedsRestart(next); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	other := parse(t, "[plugin.c]")
	other.Server.Origins = nil
	if got := old.NeedsRestart(other); len(got) != 0 {
		t.Errorf("only plugin tables differ, got %q", got)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rtd.toml")
	_, err := config.Load(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "create it") {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(path, []byte("\nlog.level = 'x'"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(path)
	problem, ok := errors.AsType[*config.Problem](err)
	if !ok || problem.File != path || problem.Line != 2 || problem.Key != "log.level" {
		t.Errorf("got %v", err)
	}
}

func TestParseOrigin(t *testing.T) {
	for entry, want := range map[string]config.Origin{
		"https://Example.com":   {Scheme: "https", Host: "example.com"},
		"//*.example.com":       {Host: "*.example.com"},
		"example.com:8443":      {Host: "example.com", Port: "8443"},
		"http://[::1]:80":       {Scheme: "http", Host: "::1", Port: "80"},
		"capacitor://localhost": {Scheme: "capacitor", Host: "localhost"},
	} {
		if got, err := config.ParseOrigin(entry); err != nil || got != want {
			t.Errorf("ParseOrigin(%q) = %+v, %v", entry, got, err)
		}
	}
	for _, entry := range []string{"", "*", "//", "https:", "https://", "https//a.b", "a.b/path", "https://a.b/", "a.b:", "a.b:x",
		"a.b:70000", "u@a.b", "a b", "*.*.b", "a*.b", "*b", "a.b?x", "a.b#x", "::1", "//a//b", "ht*p://a"} {
		if got, err := config.ParseOrigin(entry); err == nil {
			t.Errorf("ParseOrigin(%q) = %+v, want an error", entry, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(shipped)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, seed := range []string{"", "\xef\xbb\xbfa=1", "\"\" = 1", "[a]\r\nb = {c = [1,\n2]}", "plugin.a.config.x=nan",
		"[[plugin.a.config.x]]\ny=1", "[server]\norigins=['''\n\n''']", "x = '''\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("f", data)
		if err == nil {
			for name := range c.Tables {
				c.Plugin(name).ConfigJSON()
			}
			return
		}
		problem, ok := errors.AsType[*config.Problem](err)
		if lines := strings.Count(string(data), "\n") + 1; !ok || problem.Line < 1 || problem.Line > lines {
			t.Errorf("%v: not a line of 1 to %d", err, lines)
		}
	})
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A name with other letters than ASCII is refused with what browsers send in its place.
func TestOriginsInternational(t *testing.T) {
	for entry, ascii := range map[string]string{
		"https://bücher.example":     "https://xn--bcher-kva.example",
		"//*.BÜCHER.example:8443":    "//*.xn--bcher-kva.example:8443",
		"münchen.de":                 "xn--mnchen-3ya.de",
		"https://пример.испытание":   "https://xn--e1afmkfd.xn--80akhbyknj4f",
		"例え.テスト":                     "xn--r8jz45g.xn--zckzah",
		"https://faß.de":             "https://xn--fa-hia.de",
		"https://a.☃.net":            "https://a.xn--n3h.net",
		"http://παράδειγμα.δοκιμή:1": "http://xn--hxajbheg2az3al.xn--jxalpdlp:1",
	} {
		_, err := config.ParseOrigin(entry)
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(ascii)) {
			t.Errorf("%s: %v, want %q", entry, err, ascii)
		}
		if _, err := config.ParseOrigin(ascii); err != nil {
			t.Error(err)
		}
	}
}

// Some editors put a byte order mark in front.
func TestByteOrderMark(t *testing.T) {
	if c := parse(t, "\ufeff[server]\nmax_joins = 7\n"); c.Server.MaxJoins != 7 {
		t.Errorf("max_joins = %d", c.Server.MaxJoins)
	}
}
