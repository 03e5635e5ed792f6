//go:build !linux

package host

// dropCode is for Linux.
func dropCode() {}
