package main_test

import (
	"strings"
	"testing"
)

func TestBenchHelp(t *testing.T) {
	t.Parallel()
	output, code := run(rtd(t, "bench"))
	for _, want := range []string{"idle", "fanout", "echo", "rooms", "crash", "recover", "storm", "--pid", "--topic"} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, no %s in the help:\n%s", code, want, output)
		}
	}
}

// What cannot be loaded ends with 1, or 2 if it was said wrongly, and a line that says what to do.
func TestBenchRefusals(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		args []string
		want string
	}{
		{[]string{"bench", "echoes"}, `unknown command "echoes"`},
		{[]string{"bench", "echo", "ws://192.0.2.1/socket"}, "--allow-remote"},
		{[]string{"bench", "echo", "--params", "{"}, "--params is no JSON"},
		{[]string{"bench", "idle", "--rate", "1"}, "unknown flag: --rate"},
		{[]string{"bench", "rooms", "--pid", "-1"}, "process -1"},
	} {
		output, code := run(rtd(t, bad.args...))
		want := 1
		if strings.HasPrefix(bad.want, "unknown") {
			want = 2
		}
		if code != want || !strings.Contains(output, bad.want) || strings.Count(output, "\n") != 1 {
			t.Errorf("%v: exit code %d, want %d and one line with %q:\n%s", bad.args, code, want, bad.want, output)
		}
	}
}
