package suite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"rtd/sandbox/sandboxtest"
)

// rooms runs the RoomChannel of a language's README.
var rooms = []scenario{
	{"room", func(t *testing.T, s *stack) {
		c := s.connect(t, "")
		for _, payload := range []string{"{}", `{"user":""}`, `{"user":7}`, `{"other":"Ada"}`, `[]`, `"Ada"`} {
			c.member("room:1").replies(t, "phx_join", payload, `error {"reason":"no user"}`)
		}
		ada := c.member("room:1")
		ada.replies(t, "phx_join", ` { "a":{"user":"x"} , "b":[1,"]",{}], "user" : "Ada \"\u00c9\ud83d\ude00\"\n" }`, "ok {}")
		bob := s.connect(t, "").member("room:1")
		bob.replies(t, "phx_join", `{"user":"`+strings.Repeat("b", 64)+`"}`, "ok {}")

		ada.replies(t, "new_message", `{"body":"hello"}`, `ok {"count":1}`)
		ada.replies(t, "new_message", `{"body":"again"}`, `ok {"count":2}`)
		bob.replies(t, "new_message", `{"body":"hi"}`, `ok {"count":1}`)
		for _, m := range []*member{ada, bob} {
			for _, body := range []string{"hello", "again", "hi"} {
				m.hears(t, "new_message", `{"body":"`+body+`"}`)
			}
		}
		ada.replies(t, "whoami", "{}", `ok {"user":"Ada \"É😀\"\n"}`)
		bob.replies(t, "whoami", "{}", `ok {"user":"`+strings.Repeat("b", 64)+`"}`)
		ada.replies(t, "dance", "{}", `error {"reason":"unknown event"}`)

		ada.replies(t, "crash", "{}", `error {"reason":"crashed"}`)
		s.logged(t, "told to crash", `"topic":"room:1"`, `"plugin":"room"`)
		ada.replies(t, "whoami", "{}", `ok {"user":"Ada \"É😀\"\n"}`)
		ada.replies(t, "new_message", `{}`, `ok {"count":1}`)
		bob.replies(t, "new_message", `{}`, `ok {"count":2}`)
	}},
}

// TestReadme holds the example of each README to its source, which is what the room
// scenario runs, and to its length.
func TestReadme(t *testing.T) {
	for _, language := range languages(t) {
		readme := "../" + language + "/README.md"
		sources, err := filepath.Glob("../" + language + "/examples/room*")
		must(t, err)
		if language == "go" {
			sources = []string{"testdata/room/main.go"}
		}
		if len(sources) != 1 {
			t.Errorf("%s: %d sources of the example, want one: %q", language, len(sources), sources)
			continue
		}
		source := string(read(t, sources[0]))
		if !strings.Contains(string(read(t, readme)), "\n"+source+"```") {
			t.Errorf("%s has no code block that is %s", readme, sources[0])
		}
		if _, room, ok := strings.Cut(source, "func main() {}\n"); ok {
			source = room // what Go wants of every program does not count
		}
		lines := 0
		for line := range strings.Lines(source) {
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "//") {
				lines++
			}
		}
		if lines < 15 || lines > 30 {
			t.Errorf("%s has %d lines, want 15 to 30", sources[0], lines)
		}
	}
}

// TestSizes holds the RoomChannels to the sizes that README promises, in KB and MB as it has them, their names for stack
// traces included.
func TestSizes(t *testing.T) {
	limits := map[string]int{"c": 5200, "as": 20 << 10, "rust": 60 << 10, "go": 35 << 20 / 10}
	for _, language := range languages(t) {
		wasm := roomGuest(t, language)
		t.Logf("%-5s %9d bytes", language, len(wasm))
		if limit := limits[language]; len(wasm) > limit {
			t.Errorf("%s: %d bytes, want at most %d", language, len(wasm), limit)
		}
		if !strings.Contains(string(wasm), "\x04name\x01") {
			t.Errorf("%s: it has no names of functions", language)
		}
	}
	plain := sandboxtest.BuildGo(t, "./testdata/plain")
	t.Logf("go without encoding/json: %d bytes", len(plain))
	if len(plain) > 2_320_000 {
		t.Errorf("go without encoding/json: %d bytes, want at most 2.32 MB", len(plain))
	}
}
