package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"rtd/host/hosttest"
)

// A backup that is made while a server works has what was acknowledged, and a server in another folder goes on with it.
func TestBackup(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "")
	p := l.at.Load()
	w := &writer{who: "ada", topic: "ledger:0"}
	c := hosttest.Connect(t, p.url)
	c.Hear(func(hosttest.Message) {})
	c.MustJoin(t, w.topic, "{}")
	for n := range 20 {
		if r, ok := w.ask(c, "add", n+1); !ok || r.status != "ok" {
			t.Fatalf("%d: %+v", n+1, r)
		}
	}
	file := filepath.Join(t.TempDir(), "saved")
	p.wants(t, "saved, [0-9.]+[BKM]\n", "backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	p.refuses(t, "exists", "backup", file)
	p.refuses(t, "a server uses it", "restore", file)
	w.ask(c, "add", 21) // is not in it

	other := newLedgers(t, "")
	at := other.at.Load()
	at.signal(t)
	at.wait(t)
	guests := filepath.Join(other.command.Dir, "guests")
	at.refuses(t, "no server has used", "restore", file)
	if err := os.RemoveAll(filepath.Join(guests, ".rtd")); err != nil {
		t.Fatal(err)
	}
	cut, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file+"-cut", cut[:len(cut)/2])
	at.refuses(t, "no whole backup", "restore", file+"-cut")
	modules, err := filepath.Glob(filepath.Join(l.command.Dir, "guests", ".rtd", "versions", "ledger", "*.wasm"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("%q: %v", modules, err)
	}
	inTheWay := filepath.Join(guests, ".rtd", "versions", "ledger", filepath.Base(modules[0]))
	if err := os.MkdirAll(filepath.Dir(inTheWay), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, inTheWay, []byte("another"))
	at.refuses(t, "is there with another content", "restore", file)
	if left := files(t, guests+"/.rtd"); len(left) != 1 {
		t.Errorf("a restore that failed has left %d files", len(left)-1)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	at.wants(t, "restored what was stored at ", "restore", file)
	other.start()
	c = hosttest.Connect(t, other.at.Load().url)
	c.Hear(func(hosttest.Message) {})
	c.MustJoin(t, w.topic, "{}")
	if r, ok := w.ask(c, "last", 0); !ok || r.N != 20 {
		t.Errorf("the last entry is %d, want 20", r.N)
	}
	hosttest.Eventually(t, "messages of all entries", func() bool {
		r, ok := w.ask(c, "totals", 0)
		return ok && r.Total == 20 && r.Sum == 20 && r.Rung == 20
	})
}
