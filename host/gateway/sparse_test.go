package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What happens all the time is one line at once and one a minute, which says how often.
func TestSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &sparse{to: slog.New(slog.NewTextHandler(&out, nil))}
		for range 130 {
			s.log(slog.LevelInfo, "a", "it happens", "cause", "x")
			s.log(slog.LevelDebug, "b", "not at this level")
			time.Sleep(time.Second)
		}
		s.log(slog.LevelInfo, "c", "another")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 || strings.Contains(lines[0], "times") || !strings.Contains(lines[1], "cause=x times=60") || !strings.Contains(lines[3], "another") {
			t.Errorf("%s", &out)
		}
	})
}
