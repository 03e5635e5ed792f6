package host

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dropCode lets go of the pages of the program's own file: code and constants that the start has run over, with what lies
// beside them in the file, are most of what an idle server has in memory. The system still has them, and hands back what is
// used, without reading the disk, unless it needs the memory itself. What does not work is left as it is.
func dropCode() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var mode string
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n < 3 || !strings.HasSuffix(line, " "+self) {
			continue
		}
		if mode == "r-xp" || mode == "r--p" { // others may differ from the file
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
		}
	}
}
