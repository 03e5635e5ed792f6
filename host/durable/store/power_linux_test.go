package store_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rtd/host/disk/disktest"
)

// powerCuts has a child counting, and cuts the power, again and again; it returns what is wrong in the end.
func powerCuts(t *testing.T, mode string, times int) (wrong []string) {
	disk := t.TempDir()
	d, dir := disktest.NewPower(t, disk), filepath.Join(disk, "bus")
	var acknowledged [counters]uint64
	for i := 0; i < times && len(wrong) == 0; i++ {
		c := startChild(t, dir, mode)
		c.runs(t, &acknowledged)
		must(t, c.Process.Signal(syscall.SIGSTOP))
		d.Cut(func() { c.ends(t, &acknowledged) })
		wrong = check(t, dir, &acknowledged)
	}
	total := uint64(0)
	for _, n := range acknowledged {
		total += n
	}
	t.Logf("%s: %d commits", mode, total)
	return wrong
}

// What was acknowledged is there after a power cut; if the bus syncs later it is not. RTD_TEST_POWER_CUTS says how often. It needs root, ext4 and
// loop devices, so that without a number nothing is done.
func TestPowerCut(t *testing.T) {
	times := number("RTD_TEST_POWER_CUTS", 0)
	if times == 0 {
		return
	}
	if wrong := powerCuts(t, honest, times); len(wrong) > 0 {
		t.Errorf("after a power cut: %s", strings.Join(wrong, "\n"))
	}
	wrong := powerCuts(t, notSync, 20)
	if len(wrong) == 0 {
		t.Error("what was not synced is there after a power cut")
	}
	t.Logf("not synced: %s", wrong)
}
