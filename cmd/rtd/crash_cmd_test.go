package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rtd/host/crashes"
	"rtd/host/hosttest"
)

// A crash of a running server can be listed, shown and replayed from the command line,
// and a version that is fixed does not crash.
func TestCrashAndReplay(t *testing.T) {
	t.Parallel()
	p := serve(t, "[plugin.nasty]\ndeadline = \"30s\"\n")
	p.join(t, "nasty:a", "{}").WantReply(t, "nasty:a", "panic", `{"n":1}`, `error {"reason":"crashed"}`)
	dir := filepath.Join(p.cmd.Dir, "guests", ".rtd", "crashes")
	id := waitForReport(t, dir)

	command := func(args ...string) (string, int) {
		cmd := rtd(t, args...)
		cmd.Dir = p.cmd.Dir
		return run(cmd)
	}
	at := []string{"--config", "rtd.toml", "--plugins", "guests"}
	write(t, filepath.Join(p.cmd.Dir, "rtd.toml"), nil)
	for _, step := range []struct {
		args  []string
		code  int
		wants []string
	}{
		{append([]string{"crash", "list"}, at...), 0, []string{`(?m)^` + id + ` .* 1 +nasty .* panic .*told to panic`}},
		{append([]string{"crash", "show", id[:5]}, at...), 0, []string{
			`(?m)^topic +nasty:a$`, `main\.die`, `join +nasty:a \{\}`, `message +panic \{"n":1\}`, `memory +` + id}},
		{append([]string{"replay", id}, at...), 1, []string{
			`message +panic`, `→ trap: .*told to panic`, `rtd: nasty version [0-9a-f]{12}, the one that crashed, crashes in the same way`}},
		{append([]string{"replay", filepath.Join(dir, id+".json"), "--plugin", "guests/echo.wasm"}, at...), 0, []string{
			`nasty version [0-9a-f]{12}, not the [0-9a-f]{12} that crashed, does not crash`}},
		{append([]string{"replay", id, "--plugin", "other.wasm"}, at...), 1, []string{`no such file.*--plugin`}},
		{append([]string{"crash", "show", "ffff"}, at...), 1, []string{`no crash report "ffff".*rtd crash list`}},
		{[]string{"crash", "list", "--dir", "nowhere"}, 0, []string{`no crash reports in nowhere`}},
	} {
		output, code := command(step.args...)
		if code != step.code {
			t.Errorf("%q: exit code %d, want %d", step.args, code, step.code)
		}
		for _, want := range step.wants {
			if !regexp.MustCompile(want).MatchString(output) {
				t.Errorf("%q: no %s in\n%s", step.args, want, output)
			}
		}
	}
}

func waitForReport(t *testing.T, dir string) (id string) {
	t.Helper()
	for end := time.Now().Add(hosttest.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if all, _ := crashes.List(dir); len(all) == 1 {
			return all[0].ID
		}
	}
	entries, err := os.ReadDir(dir)
	t.Fatalf("no report: %v, %v", entries, err)
	return strings.Repeat("0", 10)
}
