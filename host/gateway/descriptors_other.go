//go:build !unix

package gateway

// maxDescriptors returns how many file descriptors the process may have open.
func maxDescriptors() (n int, known bool) { return 0, false }
