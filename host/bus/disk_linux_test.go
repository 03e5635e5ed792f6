package bus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rtd/host/bus"
	"rtd/host/disk/disktest"
)

// A disk that is full, or read-only, stops the bus, which is told. It goes on when there is room, and has all that was acknowledged.
func TestDisk(t *testing.T) {
	for name, bad := range map[string]struct {
		happen, mend func(t *testing.T, dir string)
		says         string
	}{
		"full": {
			func(t *testing.T, dir string) {
				f, err := os.Create(filepath.Join(dir, "filler"))
				must(t, err)
				defer f.Close()
				for size := 1 << 20; size > 0; {
					if _, err := f.Write(make([]byte, size)); err != nil {
						size /= 2
					}
				}
			},
			func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "filler"))) },
			"no space left",
		},
		"read-only": {
			func(t *testing.T, dir string) {
				// What has files open for writing cannot be made read-only: it is for the next start.
				must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=8m"))
			},
			func(t *testing.T, dir string) {
				must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"))
			},
			"read-only",
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk, ctx := disktest.Small(t, "8m"), limited(t)
			dir := filepath.Join(disk, "bus")
			b := open(t, bus.Options{Dir: dir})
			l, err := b.Log(ctx, "log")
			must(t, err)
			last, err := l.Append(ctx, 0, []byte("first"))
			must(t, err)
			if name == "read-only" {
				must(t, b.Close())
				bad.happen(t, disk)
				b = begin(t, bus.Options{Dir: dir})
			} else {
				bad.happen(t, disk)
				for {
					n, err := l.Append(ctx, last, []byte(strings.Repeat("x", 4096)))
					if err != nil {
						if !errors.Is(err, bus.ErrUnknown) && !errors.Is(err, bus.ErrDown) {
							t.Fatalf("the error is %v", err)
						}
						break
					}
					last = n
				}
			}
			eventually(t, "cause", func() bool { err := b.Err(); return err != nil && strings.Contains(err.Error(), bad.says) })
			bad.mend(t, disk)
			must(t, b.Up(ctx))
			if l, err = b.Log(ctx, "log"); err != nil {
				t.Fatal(err)
			}
			list, err := texts(t, l, 1)
			must(t, err)
			if uint64(len(list)) < last || list[0] != "1:first" {
				t.Errorf("%d records, and %d were acknowledged", len(list), last)
			}
			_, err = l.Append(ctx, uint64(len(list)), []byte("again"))
			must(t, err)
		})
	}
}
