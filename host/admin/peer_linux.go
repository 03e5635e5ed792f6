package admin

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// peerOf returns the name of the user at the other end of a Unix socket, or an error
// if it is neither the user of this process nor root.
func peerOf(c *net.UnixConn) (name string, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	var credentials *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return "", err
	}
	if failed != nil {
		return "", fmt.Errorf("ask who connects: %w", failed)
	}
	uid := int(credentials.Uid)
	if uid != 0 && uid != os.Getuid() {
		return "", fmt.Errorf("user %d may not; be the user that runs rtd, or root", uid)
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username, nil
	}
	return "user " + strconv.Itoa(uid), nil
}
