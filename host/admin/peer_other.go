//go:build !linux

package admin

import "net"

// peerOf trusts the socket's mode. Clients give their names themselves.
func peerOf(*net.UnixConn) (name string, err error) { return "", nil }
