package author

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// How often Watch looks, and for how long nothing may change before it tells: editors save in several steps.
const (
	lookEvery = 250 * time.Millisecond
	quiet     = 100 * time.Millisecond
)

// Watch calls changed once at the beginning, and then whenever files of the project have changed and are quiet; not
// while changed runs, but for what happened meanwhile it is called again. It returns when ctx ends.
func (p *Project) Watch(ctx context.Context, changed func(context.Context)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := ""; ; {
		if now := p.print(); now != last {
			for settled := false; !settled; {
				select {
				case <-time.After(quiet):
				case <-ctx.Done():
					return
				}
				before := now
				now = p.print()
				settled = now == before
			}
			last = now
			changed(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// print is different whenever the sources could be. It is of names, sizes and times: of what a build reads, not of
// what it writes.
func (p *Project) print() string {
	hash := sha256.New()
	_ = filepath.WalkDir(p.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone by now, or not ours to read
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != p.Dir && skipped(name) && name != ".cargo" {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".wasm") || strings.HasSuffix(name, ".rtd") || strings.HasPrefix(name, ".") || name == "Cargo.lock" {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			fmt.Fprintf(hash, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return string(hash.Sum(nil))
}
