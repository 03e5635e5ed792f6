package main_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"rtd/host/hosttest"
)

// A server that is calm gives back the pages of its file: less than a quarter of the file stays in memory.
func TestCalmServerDropsCode(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	file, err := os.Stat(p.cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "pages that are given back", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		kilobytes, err := strconv.ParseInt(regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindStringSubmatch(string(status))[1], 10, 64)
		return err == nil && kilobytes<<10 < file.Size()/4
	})
}
