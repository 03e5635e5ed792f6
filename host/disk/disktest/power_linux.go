package disktest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Power is a file system in a file, of which a copy is what is left after a power cut: what has not come down to the file is lost. It needs
// ext4 and loop devices.
type Power struct {
	t     testing.TB
	image string
	dir   string
}

// NewPower makes one at a folder, which is there, of 256 MiB. It ends with the test, before which nobody must use it any more.
func NewPower(t testing.TB, dir string) *Power {
	t.Helper()
	p := &Power{t, filepath.Join(t.TempDir(), "image"), dir}
	if err := errors.Join(os.WriteFile(p.image, nil, 0o600), os.Truncate(p.image, 256<<20)); err != nil {
		t.Fatal(err)
	}
	p.run("mkfs.ext4", "-q", "-F", p.image)
	p.mount()
	t.Cleanup(func() { exec.Command("umount", p.dir).Run() })
	return p
}

// Cut cuts the power. Whoever writes has been stopped, not ended; end ends them all.
func (p *Power) Cut(end func()) {
	p.t.Helper()
	rest := p.image + ".rest"
	for range 20 { // until nothing was written meanwhile
		p.run("cp", "--sparse=always", p.image, rest)
		if exec.Command("cmp", "-s", p.image, rest).Run() == nil {
			break
		}
	}
	end()
	p.run("umount", p.dir)
	if err := os.Rename(rest, p.image); err != nil {
		p.t.Fatal(err)
	}
	p.mount()
}

func (p *Power) mount() {
	p.t.Helper()
	p.run("mount", "-o", "loop,commit=300", p.image, p.dir) // it writes by itself every five minutes
}

func (p *Power) run(name string, args ...string) {
	p.t.Helper()
	if text, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
}
