package image

import (
	"encoding/binary"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// appendWritten appends the pages of [base, base+size) that were written since
// they were mapped privately: those that are there and are not the file's. It
// asks the kernel by PAGEMAP_SCAN (since 6.7), else reads /proc/self/pagemap;
// where neither can be had, everything counts as written.
func appendWritten(spans []span, base unsafe.Pointer, size int) []span {
	s := scans.Get().(*scan)
	defer scans.Put(s)
	p := ownPages()
	switch {
	case p.file < 0:
		return append(spans, span{0, size})
	case p.ioctl:
		return s.byIoctl(spans, p.file, base, size)
	}
	return s.byRead(spans, p.file, base, size)
}

// pagemap is the process's view of its own pages, as far as the system allows it.
type pagemap struct {
	file   int // -1 without
	ioctl  bool
	counts bool // page faults of threads
}

// ownPages is a variable for the tests of what is done without.
var ownPages = sync.OnceValue(func() pagemap {
	p := pagemap{counts: countsFaults()}
	var err error
	if p.file, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		p.file = -1
		return p
	}
	_, p.ioctl = new(scan).ioctl(p.file, 0, uint64(pageSize))
	return p
})

// faults is how many page faults the thread has had.
func faults() int64 {
	var usage unix.Rusage
	const thread = 1 // RUSAGE_THREAD
	if unix.Getrusage(thread, &usage) != nil {
		return -1
	}
	return int64(usage.Minflt) + int64(usage.Majflt)
}

// countsFaults finds out whether faults can be believed: what emulates Linux may
// count nothing.
func countsFaults() bool {
	const pages = 8
	mem, err := unix.Mmap(-1, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return false
	}
	defer unix.Munmap(mem)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for at := 0; at < len(mem); at += pageSize {
		before := faults()
		mem[at] = 1
		if faults() == before {
			return false
		}
	}
	return true
}

// scan has room for what the kernel answers. It must not move meanwhile, so it
// is never on a stack.
type scan struct {
	arg     scanArg
	regions [128]pageRegion
	entries [512]byte // of pagemap, 8 bytes a page
}

var scans = sync.Pool{New: func() any { return new(scan) }}

// As in <linux/fs.h>.
type pageRegion struct{ start, end, categories uint64 }

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages       uint64
	categoryInverted, categoryMask, categoryAnyOfMask, returnMask uint64
}

const (
	ioctlPagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
)

func (s *scan) byIoctl(spans []span, file int, base unsafe.Pointer, size int) []span {
	start := uint64(uintptr(base))
	for at, end := start, start+uint64(size); at < end; {
		n, ok := s.ioctl(file, at, end)
		if !ok { // it worked once: a passing lack of something
			return append(spans, span{int(at - start), size})
		}
		for _, r := range s.regions[:n] {
			spans = append(spans, span{int(r.start - start), int(r.end - start)})
		}
		if n < len(s.regions) {
			break
		}
		at = s.regions[n-1].end
	}
	return spans
}

func (s *scan) ioctl(file int, start, end uint64) (n int, ok bool) {
	s.arg = scanArg{
		size:              uint64(unsafe.Sizeof(s.arg)),
		start:             start,
		end:               end,
		vec:               uint64(uintptr(unsafe.Pointer(&s.regions))),
		vecLen:            uint64(len(s.regions)),
		categoryInverted:  pageIsFile,
		categoryMask:      pageIsFile,
		categoryAnyOfMask: pageIsPresent | pageIsSwapped,
		returnMask:        pageIsPresent,
	}
	r, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(file), ioctlPagemapScan, uintptr(unsafe.Pointer(&s.arg)))
	runtime.KeepAlive(s)
	return int(r), errno == 0
}

// Bits of an entry of pagemap, see Documentation/admin-guide/mm/pagemap.rst.
const (
	entryPresent = 1 << 63
	entrySwapped = 1 << 62
	entryFile    = 1 << 61
)

func (s *scan) byRead(spans []span, file int, base unsafe.Pointer, size int) []span {
	first := int64(uintptr(base)) / int64(pageSize) * 8
	pages := (size + pageSize - 1) / pageSize
	for page := 0; page < pages; {
		n, err := unix.Pread(file, s.entries[:min(len(s.entries), (pages-page)*8)], first+int64(page)*8)
		if err != nil || n < 8 {
			return append(spans, span{page * pageSize, size})
		}
		for at := 0; at+8 <= n; at += 8 {
			entry := binary.NativeEndian.Uint64(s.entries[at:])
			if entry&(entryPresent|entrySwapped) != 0 && entry&entryFile == 0 {
				spans = appendPage(spans, page*pageSize)
			}
			page++
		}
	}
	return spans
}

// appendPage appends a page, to the last span if that ends where the page begins.
func appendPage(spans []span, at int) []span {
	if n := len(spans); n > 0 && spans[n-1].to == at {
		spans[n-1].to += pageSize
		return spans
	}
	return append(spans, span{at, at + pageSize})
}
