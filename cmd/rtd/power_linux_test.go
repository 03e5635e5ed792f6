package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"rtd/host/disk/disktest"
)

// powerCuts runs a server of which all that it stores is on a disk whose power is cut so often, and returns what is wrong in the end.
func powerCuts(t *testing.T, config string, times int) error {
	l := prepareLedgers(t, config)
	folder := filepath.Join(l.command.Dir, "guests", ".rtd")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	disk := disktest.NewPower(t, folder)
	l.start()
	return l.counting(times, func() {
		p := l.at.Load()
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		disk.Cut(func() {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			p.wait(t)
		})
		l.start()
	})
}

// Whatever was acknowledged is there after a power cut. If the bus syncs later it is not, which shows that this would be noticed.
// RTD_TEST_POWER_CUTS says how often. It needs root, ext4 and loop devices, so that without a number nothing is done.
func TestPowerCuts(t *testing.T) {
	text := os.Getenv("RTD_TEST_POWER_CUTS")
	if text == "" {
		return
	}
	times, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := powerCuts(t, "", times); err != nil {
		t.Errorf("after power cuts: %v", err)
	}
	err = powerCuts(t, "[bus]\nsync = \"1m\"\n", 20)
	if err == nil {
		t.Error("what was not synced is there after power cuts")
	}
	t.Logf("not synced: %v", err)
}
