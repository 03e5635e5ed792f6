package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a file system in a file, of which a copy is what is left after a power cut: what has not come down to the file is lost.
type disk struct {
	t     testing.TB
	image string
	dir   string
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if text, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
}

func newDisk(t testing.TB) *disk {
	dir := t.TempDir()
	d := &disk{t, filepath.Join(dir, "image"), filepath.Join(dir, "mounted")}
	must(t, os.Mkdir(d.dir, 0o700))
	must(t, os.WriteFile(d.image, nil, 0o600))
	must(t, os.Truncate(d.image, 256<<20))
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(func() { exec.Command("umount", d.dir).Run() })
	return d
}

func (d *disk) mount() { run(d.t, "mount", "-o", "loop,commit=300", d.image, d.dir) }

// cut is a power cut, under a process that is stopped.
func (d *disk) cut(end func()) {
	d.t.Helper()
	rest := d.image + ".rest"
	for range 20 { // until nothing was written meanwhile
		run(d.t, "cp", "--sparse=always", d.image, rest)
		if exec.Command("cmp", "-s", d.image, rest).Run() == nil {
			break
		}
	}
	end()
	run(d.t, "umount", d.dir)
	must(d.t, os.Rename(rest, d.image))
	d.mount()
}

// powerCuts has a child counting, and cuts the power, again and again; it returns what is wrong in the end.
func powerCuts(t *testing.T, mode string, times int) (wrong []string) {
	d := newDisk(t)
	dir := filepath.Join(d.dir, "bus")
	var acknowledged [counters]uint64
	for i := 0; i < times && len(wrong) == 0; i++ {
		c := startChild(t, dir, mode)
		c.runs(t, &acknowledged)
		must(t, c.Process.Signal(syscall.SIGSTOP))
		d.cut(func() { c.ends(t, &acknowledged) })
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
