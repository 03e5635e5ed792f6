package script_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/cmd/rtd/script"
	"rtd/host/config"
	"rtd/sandbox/sandboxtest"
)

// play runs a script against the rooms of the SDKs' suite, or its plugin suite, built in C.
func play(t *testing.T, plugin, text string) *script.Failure {
	t.Helper()
	s, err := script.Parse("test.rtd", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	table := c.Plugin("suite")
	table.Grants, table.Depends, table.Allows = []string{"granted:*"}, []string{"base"}, []string{"connect", "disconnect"}
	table.Config = map[string]any{"greeting": "hello"}
	table.Services = []string{"rtd/clock"}
	c.Tables = map[string]config.Plugin{"suite": table}
	socket := c.Sockets["socket"]
	socket.Connect = "suite"
	c.Sockets = map[string]config.Socket{"socket": socket}
	o := script.Options{Plugin: plugin, Config: c, Engine: sandboxtest.Engine(t), Timeout: 2 * time.Second, Modules: map[string][]byte{
		"room": read(t, "../../../sdk/suite/testdata/room-c.wasm"),
	}}
	if plugin == "suite" { // in whatever order they come, it is deployed behind the one that it depends on
		o.Modules["suite"] = read(t, "../../../sdk/suite/testdata/c.wasm")
		o.Modules["base"] = read(t, "../../../sandbox/testdata/echo.wasm")
		delete(o.Modules, "room")
	}
	return script.Run(t.Context(), s, o).Failure
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A script says what time it is for rtd/clock.
func TestClock(t *testing.T) {
	f := play(t, "suite", `
connect ada
ada join suite:clock
ada ok
clock 2026-03-29T02:59:00+02:00
ada push clock_now {"zone": "Asia/Tokyo"}
ada ok {"unix_ms": 1774745940000, "hour": 9, "minute": 59, "*": "*"}
clock 2026-03-29T01:00:00Z
ada push clock_now {"zone": "Europe/Berlin"}
ada ok {"hour": 3, "minute": 0, "abbreviation": "CEST", "*": "*"}
`)
	if f != nil {
		t.Error(f)
	}
	if f := play(t, "suite", "connect ada\nada join suite:clock\nada ok\nclock 2026-03-29T01:00:00Z\nada push clock_now {\"zone\": \"Asia/Tokyo\"}\nada ok {\"hour\": 11, \"*\": \"*\"}\n"); f == nil {
		t.Error("an hour that it is not was not told")
	}
}

// A durable handler goes on, after a crash, where it was before the event; another one begins anew.
func TestDurable(t *testing.T) {
	play := func(durable []string, count string) *script.Failure {
		s, err := script.Parse("test.rtd", []byte(`
connect ada
ada join room:1 {"user": "ada"}
ada ok
ada push new_message {"body": "one"}
ada ok {"count": 1}
ada push crash
ada error {"reason": "crashed"}
ada push new_message {"body": "two"}
ada ok {"count": `+count+`}
`))
		if err != nil {
			t.Fatal(err)
		}
		c := config.Default()
		table := c.Plugin("room")
		table.Scope, table.Durable = "topic", durable
		c.Tables = map[string]config.Plugin{"room": table}
		return script.Run(t.Context(), s, script.Options{
			Plugin: "room", Config: c, Engine: sandboxtest.Engine(t), Timeout: 5 * time.Second,
			Modules: map[string][]byte{"room": read(t, "../../../sdk/suite/testdata/room-c.wasm")},
		}).Failure
	}
	if f := play([]string{"room:*"}, "2"); f != nil {
		t.Error(f)
	}
	if f := play(nil, "1"); f != nil {
		t.Error(f)
	}
}

func TestEveryStep(t *testing.T) {
	f := play(t, "room", `
# A comment, and a step over several lines.
connect ada
connect bob
ada join room:1
   {
     "user": "ada"
   }
ada ok {}
bob join room:1 {"user": "bob"}
bob reply ok
ada push new_message {"body": "hi", "at": [1, 2.50, {"x": null}]}
ada ok {"count": 1}
ada expect new_message {"at": [1, 2.5, "*"], "*": "*"}
bob expect room:1 new_message
bob quiet
ada push sing
ada error {"reason": "unknown event"}
ada crash crash
ada push whoami
ada ok {"user": "ada"}
ada quiet
ada join room:2 {"user": "ada again"}
ada ok
ada push room:1 whoami
ada ok {"user": "ada"}
ada push whoami
ada ok {"user": "ada again"}
publish room:1 news {"n": 1}
ada expect room:1 news {"n": 1}
bob expect news
sleep 1ms
ada leave
ada ok
ada expect phx_close
ada push whoami
ada error {"reason": "unmatched topic"}
bob close
bob ended
`)
	if f != nil {
		t.Error(f)
	}
}

func TestConnect(t *testing.T) {
	if f := play(t, "suite", `
connect mallory {"user": "nobody"}
mallory refused 401
connect eve {"user": "nobody"}
eve refused
connect ada {"user": "ada"}
ada join suite:1
ada ok
ada push disconnect {"id": "users:ada"}
ada ended
`); f != nil {
		t.Error(f)
	}
}

// A failure says line, step, what was expected and what came.
func TestFailures(t *testing.T) {
	const joined = "connect ada\nada join room:1 {\"user\": \"ada\"}\nada ok\n"
	for name, c := range map[string]struct {
		plugin, text string
		error        string   // the first line
		says         []string // among the rest
	}{
		"payload": {text: joined + `publish room:1 news {"a": 1, "b": [true, "x"]}` + "\n" + `ada expect news {"a": 2, "b": ["*", "x"]}`,
			error: `test.rtd:5: ada expect news {"a": 2, "b": ["*", "x"]}: another payload`,
			says:  []string{`-   "a": 2,`, `+   "a": 1,`, `    true`}},
		"more keys": {text: joined + `publish room:1 news {"a": 1, "b": 2}` + "\n" + `ada expect news {"a": 1}`,
			error: `another payload`, says: []string{`-   "a": 1`, `+   "b": 2`}},
		"status": {text: joined + "ada push whoami\nada error",
			error: `test.rtd:5: ada error: another reply`, says: []string{"- error", `+ ok {"user":"ada"}`}},
		"nothing": {text: joined + "ada push whoami\nada expect news",
			error: `test.rtd:5: ada expect news: no news came in room:1 in time`, says: []string{`room:1 reply ok {"user":"ada"}`}},
		"no reply":      {text: joined + "ada ok", error: `no reply in time`},
		"no crash":      {text: joined + "ada crash whoami", error: `it has not crashed`, says: []string{`+ ok {"user":"ada"}`}},
		"crash":         {text: joined + "ada push crash\nada ok", error: `another reply`, says: []string{`+ error {"reason":"crashed"}`, `cause="told to crash"`}},
		"not quiet":     {text: joined + "publish room:1 news\nada quiet", error: `1 messages came`, says: []string{"room:1 news {}"}},
		"too often":     {text: joined + strings.Repeat("ada crash crash\n", 4), error: `more often than max_restarts allows`},
		"no topic":      {text: "connect ada\nada push x", error: `ada has joined no topic: name one`},
		"nothing sent":  {text: "connect ada\nada ok", error: `ada has sent nothing`},
		"still there":   {text: "connect ada\nada ended", error: `the connection has not ended`},
		"accepted":      {plugin: "suite", text: "connect ada {\"user\": \"ada\"}\nada refused", error: `ada is accepted`},
		"refused":       {plugin: "suite", text: `connect ada {"user": "nobody"}`, error: `the next line is: ada refused 401`},
		"other refusal": {plugin: "suite", text: "connect ada {\"user\": \"nobody\"}\nada refused 403", error: `refused with another status`, says: []string{"- 403", "+ 401"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.plugin == "" {
				c.plugin = "room"
			}
			f := play(t, c.plugin, c.text)
			if f == nil || !strings.Contains(f.Error(), c.error) {
				t.Fatalf("failure is %v, want %s", f, c.error)
			}
			var all strings.Builder
			if err := f.Write(&all); err != nil {
				t.Fatal(err)
			}
			for _, text := range c.says {
				if !strings.Contains(all.String(), text) {
					t.Errorf("no %q in\n%s", text, &all)
				}
			}
		})
	}
}

// A plugin that cannot be deployed fails its scripts, before their first step.
func TestNotDeployed(t *testing.T) {
	s, err := script.Parse("test.rtd", []byte("connect ada"))
	if err != nil {
		t.Fatal(err)
	}
	suite := read(t, "../../../sdk/suite/testdata/c.wasm")
	c := config.Default()
	table := c.Plugin("suite")
	table.Depends, table.Allows = []string{"base"}, []string{"connect"}
	c.Tables = map[string]config.Plugin{"suite": table}
	for want, modules := range map[string]map[string][]byte{
		"does not begin with": {"x": []byte("text")},
		"depends on plugins that do not run: base; put them into the folder": {"suite": suite},
	} {
		f := script.Run(t.Context(), s, script.Options{Plugin: "x", Modules: modules, Config: c, Engine: sandboxtest.Engine(t)}).Failure
		if f == nil || f.Line != 0 || !strings.Contains(f.Error(), want) {
			t.Errorf("failure is %v, want %s", f, want)
		}
	}
}

func TestSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "test.rtd:1: there are no steps",
		"ada join x":                            "test.rtd:1: there is no client ada: begin with connect ada",
		"# a\nconnect":                          "test.rtd:2: expected connect NAME",
		"connect a b":                           "expected connect NAME",
		"connect ada []":                        "the params of connect are an object",
		"connect ada\nconnect ada":              "test.rtd:2: ada is connected already",
		"connect ada\nada sing":                 "sing is nothing that a client does",
		"connect ada\nada":                      "expected what ada does",
		"connect ada\nada join":                 "join takes 1 words, and there are 0",
		"connect ada\nada push a b c":           "push takes 1 to 2 words, and there are 3",
		"connect ada\nada quiet {}":             "quiet takes no payload",
		"connect ada\nada push x {\"a\"":        `no JSON: {"a"`,
		"connect ada\nada refused no":           "no is no HTTP status",
		"connect ada\nconnect bob\nada refused": "test.rtd:3: refused has to follow connect ada",
		"sleep soon":                            "expected sleep DURATION",
		"sleep 1h":                              "at most 1m",
		"clock":                                 "expected clock TIME",
		"clock 09:05":                           "expected clock TIME",
		"clock 2026-07-14T09:05:00Z {}":         "expected clock TIME",
		"publish x":                             "expected publish TOPIC EVENT [PAYLOAD]",
		`{"a": 1}`:                              "a step begins with a word",
	} {
		_, err := script.Parse("test.rtd", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// The format that is documented is the one that is read.
func TestFormat(t *testing.T) {
	for _, verb := range []string{"refused", "join", "leave", "push", "ok", "error", "reply", "expect", "crash", "quiet", "ended", "close"} {
		if !slices.Contains(strings.Fields(script.Format), verb) {
			t.Errorf("the format does not tell of %s", verb)
		}
		_, err := script.Parse("x", []byte("connect ada\nada "+verb+" a"))
		if err != nil && strings.Contains(err.Error(), "nothing that a client does") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("connect ada {}\nada join room:1 {\"a\": 1}\n  \nada expect x \"*\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := script.Parse("x", text); err == nil && s.Steps() == 0 {
			t.Error("a script without steps")
		}
	})
}
