package author_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/cmd/rtd/author"
	"rtd/host/config"
	"rtd/sandbox/manifest"
)

// A new project is whole, in every language, and says so itself.
func TestNew(t *testing.T) {
	for _, language := range author.Languages() {
		dir := filepath.Join(t.TempDir(), "deeper", "talk")
		p, err := author.New(dir, language)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "talk" || p.Language() != language || !slices.Equal(p.Topics, []string{"talk:*"}) {
			t.Errorf("%s: %+v", language, p)
		}
		if n := len(p.First()); n > 3 {
			t.Errorf("%s: %d commands after the first", language, n)
		}
		sources := 0
		err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.Contains(string(text), "<no value>") || strings.Contains(path, "tmpl") || strings.Contains(path, "NAME") {
				t.Errorf("%s: %s is not filled in", language, path)
			}
			if !strings.Contains(path, "/rtd/") && strings.Contains(string(text), `"talk:*"`) && filepath.Base(path) != "rtd.toml" {
				sources++
			}
			return err
		})
		if err != nil || sources != 1 {
			t.Errorf("%s: %v, %d sources with the topic", language, err, sources)
		}
		for _, file := range []string{"README.md", "rtd.toml", "test/room.rtd", ".gitignore", "rtd"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Errorf("%s: %v", language, err)
			}
		}
		if _, err := author.New(dir, language); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: a second one: %v", language, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"room": true, "a": true, "my-room_2": true,
		"": false, "Room": false, "2rooms": false, "-x": false, "rtd": false, "a b": false, "a.b": false, strings.Repeat("a", 65): false,
	} {
		if err := author.CheckName(name); (err == nil) != good {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	for file, want := range map[string]string{
		"Cargo.toml": "rust", "asconfig.json": "as", "go.mod": "go", "main.go": "go", "room.c": "c", "src/room.c": "c", "README.md": "",
	} {
		dir := filepath.Join(t.TempDir(), "room [x]")
		write(t, filepath.Join(dir, file), "")
		write(t, filepath.Join(dir, "rtd.toml"), `name = "other"`)
		p, err := author.Open(dir)
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "rtd new NAME")):
			t.Errorf("%s: %v", file, err)
		case want != "" && (err != nil || p.Language() != want || p.Name != "other"):
			t.Errorf("%s: %+v, %v, want %s", file, p, err, want)
		}
	}
	dir := filepath.Join(t.TempDir(), "by-folder")
	write(t, filepath.Join(dir, "main.go"), "")
	if p, err := author.Open(dir); err != nil || p.Name != "by-folder" {
		t.Errorf("without rtd.toml: %+v, %v", p, err)
	}
}

// A build has a manifest, or says what does not fit together, and then leaves the old module.
func TestBuild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "talk")
	p, err := author.New(dir, "go")
	if err != nil {
		t.Fatal(err)
	}
	build := func() (*author.Built, string, error) {
		if p, err = author.Open(dir); err != nil {
			t.Fatal(err)
		}
		c := config.Default()
		c.Plugins.Cache = cache()
		var messages bytes.Buffer
		b, err := p.Build(t.Context(), author.BuildOptions{Config: c, Messages: &messages})
		return b, messages.String(), err
	}
	b, said, err := build()
	if err != nil {
		t.Fatal(err, said)
	}
	first := read(t, p.Output())
	m, err := manifest.Read(first)
	if err != nil || m.Name != "talk" || m.ABI != "rtd_v1" || !slices.Equal(m.Topics, []string{"talk:*"}) || b.Size != len(first) {
		t.Errorf("manifest %+v, %v; built %+v", m, err, b)
	}
	// The figure for a room in Go with encoding/json.
	if b.Size > 3_500_000 {
		t.Errorf("%d bytes", b.Size)
	}

	toml, source := filepath.Join(dir, "rtd.toml"), filepath.Join(dir, "main.go")
	goodTOML, goodSource := string(read(t, toml)), string(read(t, source))
	for name, c := range map[string]struct{ toml, source, want, said string }{
		"other topics": {toml: strings.Replace(goodTOML, "talk:*", "chat:*", 1), want: `says topics = ["chat:*"], and the code declares ["talk:*"]`},
		"durable":      {toml: strings.Replace(goodTOML, "topics =", "durable = [\"talk:*\"]\ntopics =", 1), want: `says durable = ["talk:*"], and the code declares []`},
		"history":      {toml: strings.Replace(goodTOML, "topics =", "history = [\"talk:*\"]\ntopics =", 1), want: `says history = ["talk:*"], and the code declares []`},
		"depends":      {source: strings.Replace(goodSource, "func init() { ", "func init() { rtd.DependsOn(\"base\"); ", 1), want: `depends = ["base"] in [capabilities]`},
		"syntax":       {source: goodSource + "func {", want: "the build failed", said: "main.go:"},
		"trap":         {source: goodSource + "\nfunc init() { panic(\"bad start\") }\n", want: "bad start"},
	} {
		write(t, toml, cmp.Or(c.toml, goodTOML))
		write(t, source, cmp.Or(c.source, goodSource))
		_, said, err := build()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(said, c.said) {
			t.Errorf("%s: %v, want %s\n%s", name, err, c.want, said)
		}
		if errors.Is(err, author.ErrCompile) != (name == "syntax") {
			t.Errorf("%s is a failure of the compiler: %v", name, err)
		}
		if !bytes.Equal(read(t, p.Output()), first) {
			t.Errorf("%s: the module has changed", name)
		}
	}
	// Without topics in rtd.toml the code decides.
	write(t, source, goodSource)
	write(t, toml, "name = \"talk\"\n[capabilities]\nconnect = true\n")
	if b, said, err := build(); err != nil || !slices.Equal(b.Manifest.Topics, []string{"talk:*"}) || !b.Manifest.Capabilities.Connect {
		t.Errorf("built %+v, %v\n%s", b, err, said)
	}
}

// An author without a toolchain learns how to get it.
func TestMissingToolchains(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for language, want := range map[string]string{"go": "https://go.dev/dl", "as": "https://nodejs.org"} {
		p, err := author.New(filepath.Join(t.TempDir(), "talk"), language)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Build(t.Context(), author.BuildOptions{})
		if missing, ok := errors.AsType[*author.MissingError](err); !ok || !strings.Contains(missing.Error(), want) {
			t.Errorf("%s: %v", language, err)
		}
	}
}

func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "talk")
	p, err := author.New(dir, "c")
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan struct{}, 100)
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { p.Watch(ctx, func(context.Context) { changes <- struct{}{} }) })
	defer watching.Wait()
	defer end()
	next := func(what string) {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(20 * time.Second):
			t.Fatalf("not told of %s", what)
		}
	}
	next("the beginning")
	write(t, filepath.Join(dir, "talk.c"), "x")
	next("a save")
	write(t, filepath.Join(dir, "src", "more.c"), "x")
	next("a new file")
	// What a build writes, and scripts, are no sources.
	for _, file := range []string{"talk.wasm", "target/x.c", "node_modules/x.ts", "test/more.rtd", ".git/index"} {
		write(t, filepath.Join(dir, file), "x")
	}
	select {
	case <-changes:
		t.Error("told of what is no source")
	case <-time.After(700 * time.Millisecond):
	}
	if err := os.Remove(filepath.Join(dir, "src", "more.c")); err != nil {
		t.Fatal(err)
	}
	next("a file that is gone")
}

// cache is the folder of compiled code that all tests share, see sandboxtest.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rtd-test", "wazero")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
