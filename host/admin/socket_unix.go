//go:build unix

package admin

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lockFolder waits until nobody else has locked a folder.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}

func isOurs(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}

// isRefused says that a socket is there but nobody listens.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
