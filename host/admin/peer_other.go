//go:build !linux

package admin

import "net"

// peerOf trusts the socket's mode. Who it is they say themselves.
func peerOf(*net.UnixConn) (name string, err error) { return "", nil }
