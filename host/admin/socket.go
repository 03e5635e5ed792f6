package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Auto is the setting with which a server finds a place for its socket by itself.
const Auto = "auto"

// maxPath is how long the path of a socket may be on all systems, with a little for
// its name before it is in place.
const maxPath = 90

// ErrTaken says that another server listens at a path.
var ErrTaken = errors.New("another rtd listens there")

// SocketPaths returns where the socket of a server may be, given its setting and its
// plugin folder: a server takes the first path that it can, and clients try all.
// Without a socket there is none.
func SocketPaths(setting, plugins string) []string {
	switch setting {
	case "":
		return nil
	case Auto:
		absolute, err := filepath.Abs(plugins)
		if err != nil {
			absolute = plugins
		}
		sum := sha256.Sum256([]byte(absolute))
		return []string{
			filepath.Join(plugins, ".rtd", "admin.sock"),
			filepath.Join(ownFolder(), hex.EncodeToString(sum[:6])+".sock"),
		}
	}
	return []string{setting}
}

// ownFolder returns the folder for sockets whose plugin folder is read-only, or has too
// long a path.
func ownFolder() string {
	return filepath.Join(os.TempDir(), "rtd-"+strconv.Itoa(os.Getuid()))
}

// Listen listens at the path of a Unix socket, to which only the user of this process and
// root can connect. A socket that a dead server has left there is replaced; if a server
// listens there, the error is [ErrTaken]. Close removes the socket.
func Listen(path string) (net.Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen for admin commands at %s: %w; set socket in [admin] of config.toml to another path, or to \"\" for none", path, err)
	}
	return l, nil
}

func listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if len(path) > maxPath {
		return nil, fmt.Errorf("its path has %d bytes, more than %d", len(path), maxPath)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(dir) // so that of two servers that start at once one sees the other
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkFree(path); err != nil {
		return nil, err
	}
	// The socket gets its mode in a folder that others cannot enter, and its place after that.
	private, err := os.MkdirTemp(dir, "s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	first := filepath.Join(private, "s")
	unix, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, err
	}
	unix.SetUnlinkOnClose(false) // it will have moved
	err = os.Chmod(first, 0o600)
	if err == nil {
		err = os.Rename(first, path)
	}
	var placed fs.FileInfo
	if err == nil {
		placed, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close())
	}
	return &listener{unix, path, placed}, nil
}

// makeFolder makes the folder of a socket if need be. A folder of ours in a place where
// everybody can write must belong to this user.
func makeFolder(dir string) error {
	if dir != ownFolder() {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("%s is no folder", dir) // to open a pipe would wait for ever
		}
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkOwn(dir)
}

// checkPlace returns an error if a socket may belong to another user.
func checkPlace(path string) error {
	if dir := filepath.Dir(path); dir == ownFolder() {
		return checkOwn(dir)
	}
	return nil
}

func checkOwn(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !isOurs(info) {
		return fmt.Errorf("%s is not a folder of this user alone", dir)
	}
	return nil
}

// checkFree returns an error unless nothing is at path, or a socket that nobody
// listens at.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is something that is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if err == nil || !isRefused(err) {
		return ErrTaken
	}
	return nil
}

// listener removes its socket in the end.
type listener struct {
	*net.UnixListener
	path   string
	placed fs.FileInfo
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *listener) Close() error {
	err := l.UnixListener.Close()
	if now, gone := os.Lstat(l.path); gone == nil && os.SameFile(now, l.placed) { // not that of a server after this one
		err = errors.Join(err, os.Remove(l.path))
		_ = os.Remove(filepath.Dir(l.path)) // if it was made for the socket, it is empty
	}
	return err
}
