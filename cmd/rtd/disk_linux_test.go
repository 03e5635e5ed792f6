package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"rtd/host/disk/disktest"
	"rtd/host/hosttest"
)

// A disk that is full costs durable topics their answers, and nothing else. When there is room again they go on by themselves, with all that
// was acknowledged.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := disktest.Small(t, "24m")
	l := newLedgers(t, "[bus]\ndir = \""+filepath.Join(disk, "bus")+"\"\n[plugin.echo]\n", "echo")
	p := l.at.Load()
	w := &writer{who: "w", topic: "ledger:0"}
	c := hosttest.Connect(t, p.url)
	c.MustJoin(t, w.topic, "{}")
	add := func() ledgerReply {
		r, ok := w.ask(c, "add", w.acked+1)
		switch {
		case !ok:
			t.Fatal("the connection has ended")
		case r.status == "ok":
			w.acked++
		case r.Last == w.acked+1: // of the one before it was not known whether it is stored
			w.acked = r.Last
		}
		return r
	}
	adds := func() bool { return add().status == "ok" }
	hosttest.Eventually(t, "an entry", adds)
	echo := p.join(t, "echo:a", "{}")

	filler := filepath.Join(disk, "filler")
	hosttest.Eventually(t, "the disk is too full for an entry", func() bool {
		fill(t, filler) // what checkpoints have freed, too
		return add().Reason == "unavailable"
	})
	echo.WantReply(t, "echo:a", "echo", `{"n":1}`, `ok {"n":1}`)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "an entry, when there is room again", adds)
	if r, ok := w.ask(c, "last", 0); !ok || r.N != w.acked {
		t.Errorf("%d entries are there, %d were acknowledged", r.N, w.acked)
	}
	c.Close()
	l.kill()
	again := hosttest.Connect(t, l.at.Load().url)
	again.MustJoin(t, w.topic, "{}")
	if r, ok := w.ask(again, "last", 0); !ok || r.N != w.acked {
		t.Errorf("after a kill %d entries are there, %d were acknowledged", r.N, w.acked)
	}
}

// A backup that finds no room says so, leaves nothing behind, and harms nobody.
func TestBackupIntoAFullDisk(t *testing.T) {
	t.Parallel()
	disk := disktest.Small(t, "256k")
	l := newLedgers(t, "")
	if r, ok := l.once("ledger:0", "add", 1); !ok {
		t.Fatalf("%+v", r)
	}
	p := l.at.Load()
	p.refuses(t, "no space left on device", "backup", filepath.Join(disk, "saved"))
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if r, ok := l.once("ledger:0", "add", 2); !ok || r.N != 2 {
		t.Errorf("%+v", r)
	}
	p.wants(t, "saved, ", "backup", filepath.Join(t.TempDir(), "saved"))
}

// fill makes a file of all that a disk has, or makes it longer.
func fill(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
