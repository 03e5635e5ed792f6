//go:build unix

package gateway

import "syscall"

// maxDescriptors returns how many file descriptors the process may have open.
func maxDescriptors() (n int, known bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	const most = 1 << 30 // stands for none
	return int(min(uint64(limit.Cur), most)), true
}
