package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// This is all of WASI that a guest gets: the functions that answer at all have
// a name below, the rest says that it is not there. Layouts and numbers are
// those of the preview 1 witx files (github.com/WebAssembly/WASI).

const (
	wasiModule = "wasi_snapshot_preview1"
	wasiExit   = "proc_exit"
)

const (
	errnoSuccess uint32 = 0
	errnoBadFD   uint32 = 8
	errnoFault   uint32 = 21 // a pointer outside of memory
	errnoInval   uint32 = 28
	errnoNoSys   uint32 = 52
	errnoNotSup  uint32 = 58
)

// wasiFunctions is the whole of preview 1, so that every toolchain's modules
// link, whatever its libc drags in.
var wasiFunctions = []hostFunction{
	{"args_get", "ii", noStrings},
	{"args_sizes_get", "ii", noStringSizes},
	{"environ_get", "ii", environGet},
	{"environ_sizes_get", "ii", environSizesGet},
	{"clock_res_get", "ii", clockResGet},
	{"clock_time_get", "iIi", clockTimeGet},
	{"fd_advise", "iIIi", badFD},
	{"fd_allocate", "iII", badFD},
	{"fd_close", "i", badFD},
	{"fd_datasync", "i", badFD},
	{"fd_fdstat_get", "ii", fdStatGet},
	{"fd_fdstat_set_flags", "ii", badFD},
	{"fd_fdstat_set_rights", "iII", badFD},
	{"fd_filestat_get", "ii", badFD},
	{"fd_filestat_set_size", "iI", badFD},
	{"fd_filestat_set_times", "iIIi", badFD},
	{"fd_pread", "iiiIi", badFD},
	{"fd_prestat_dir_name", "iii", badFD},
	{"fd_prestat_get", "ii", badFD},
	{"fd_pwrite", "iiiIi", badFD},
	{"fd_read", "iiii", badFD},
	{"fd_readdir", "iiiIi", badFD},
	{"fd_renumber", "ii", badFD},
	{"fd_seek", "iIii", badFD},
	{"fd_sync", "i", badFD},
	{"fd_tell", "ii", badFD},
	{"fd_write", "iiii", fdWrite},
	{"path_create_directory", "iii", noSys},
	{"path_filestat_get", "iiiii", noSys},
	{"path_filestat_set_times", "iiiiIIi", noSys},
	{"path_link", "iiiiiii", noSys},
	{"path_open", "iiiiiIIii", noSys},
	{"path_readlink", "iiiiii", noSys},
	{"path_remove_directory", "iii", noSys},
	{"path_rename", "iiiiii", noSys},
	{"path_symlink", "iiiii", noSys},
	{"path_unlink_file", "iii", noSys},
	{"poll_oneoff", "iiii", pollOneoff},
	{wasiExit, "i", procExit},
	{"proc_raise", "i", noSys},
	{"random_get", "ii", randomGet},
	{"sched_yield", "", schedYield},
	{"sock_accept", "iii", noSys},
	{"sock_recv", "iiiiii", noSys},
	{"sock_send", "iiiii", noSys},
	{"sock_shutdown", "ii", noSys},
}

func noSys(*slot, api.Memory, []uint64) uint32 { return errnoNoSys }

func badFD(*slot, api.Memory, []uint64) uint32 { return errnoBadFD }

func schedYield(*slot, api.Memory, []uint64) uint32 { return errnoSuccess }

// noStrings and noStringSizes: no arguments.
func noStrings(*slot, api.Memory, []uint64) uint32 { return errnoSuccess }

func noStringSizes(_ *slot, mem api.Memory, a []uint64) uint32 {
	if !mem.WriteUint32Le(uint32(a[0]), 0) || !mem.WriteUint32Le(uint32(a[1]), 0) {
		return errnoFault
	}
	return errnoSuccess
}

// environment is what guests have of it. The variable makes Go guests overwrite
// freed memory with one pattern, which a state at rest then says in a few bytes,
// and keep their stack when they collect garbage, since each stack that grows anew
// leaves a dead one behind. Nobody else knows it.
const environment = "GODEBUG=clobberfree=1,gcshrinkstackoff=1\x00"

func environSizesGet(_ *slot, mem api.Memory, a []uint64) uint32 {
	if !mem.WriteUint32Le(uint32(a[0]), 1) || !mem.WriteUint32Le(uint32(a[1]), uint32(len(environment))) {
		return errnoFault
	}
	return errnoSuccess
}

func environGet(_ *slot, mem api.Memory, a []uint64) uint32 {
	if !mem.WriteUint32Le(uint32(a[0]), uint32(a[1])) || !mem.WriteString(uint32(a[1]), environment) {
		return errnoFault
	}
	return errnoSuccess
}

const (
	clockRealtime  = 0
	clockMonotonic = 1
)

// now returns the time of a WASI clock in nanoseconds.
func now(id uint32) (int64, bool) {
	switch id {
	case clockRealtime:
		return time.Now().UnixNano(), true
	case clockMonotonic:
		return guestClock(), true
	}
	return 0, false // CPU time is not kept
}

func clockResGet(_ *slot, mem api.Memory, a []uint64) uint32 {
	if _, ok := now(uint32(a[0])); !ok {
		return errnoInval
	}
	if !mem.WriteUint64Le(uint32(a[1]), 1) {
		return errnoFault
	}
	return errnoSuccess
}

func clockTimeGet(_ *slot, mem api.Memory, a []uint64) uint32 {
	t, ok := now(uint32(a[0]))
	if !ok {
		return errnoInval
	}
	if !mem.WriteUint64Le(uint32(a[2]), uint64(t)) {
		return errnoFault
	}
	return errnoSuccess
}

// randomGet works in pieces of some tens of microseconds, between which others may
// have their turn: a guest may ask for all of its memory to be filled.
func randomGet(s *slot, mem api.Memory, a []uint64) uint32 {
	const piece = 8 << 10
	room, ok := mem.Read(uint32(a[0]), uint32(a[1]))
	if !ok {
		return errnoFault
	}
	for len(room) > 0 {
		n := min(len(room), piece)
		rand.Read(room[:n]) // never fails, by its own contract
		room = room[n:]
		s.check()
	}
	return errnoSuccess
}

// fdStatGet: standard output and error are terminals as far as a C library can
// see, so that it writes line by line.
func fdStatGet(_ *slot, mem api.Memory, a []uint64) uint32 {
	const (
		characterDevice = 2
		rightFDRead     = 1 << 1
		rightFDWrite    = 1 << 6
	)
	fd := uint32(a[0])
	if fd > stderr {
		return errnoBadFD
	}
	stat, ok := mem.Read(uint32(a[1]), 24)
	if !ok {
		return errnoFault
	}
	clear(stat)
	stat[0] = characterDevice
	rights := uint64(rightFDWrite)
	if fd == stdin {
		rights = rightFDRead
	}
	binary.LittleEndian.PutUint64(stat[8:], rights)
	return errnoSuccess
}

const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// fdWrite sends standard output and error to the log. It tells the guest that
// everything was written, but looks at no more than maxWrite bytes: a thousand
// vectors may all point to the same 60 MiB.
func fdWrite(s *slot, mem api.Memory, a []uint64) uint32 {
	const (
		maxVectors = 1024 // as IOV_MAX of Linux
		maxWrite   = 64 << 10
	)
	s.check() // a guest that prints and prints seldom comes to yield
	fd, count, result := uint32(a[0]), uint32(a[2]), uint32(a[3])
	if fd != stdout && fd != stderr {
		return errnoBadFD
	}
	if count > maxVectors {
		return errnoInval
	}
	vectors, ok := mem.Read(uint32(a[1]), count*8)
	if !ok {
		return errnoFault
	}
	var total uint64
	for v := vectors; len(v) > 0; v = v[8:] {
		data, ok := mem.Read(binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint32(v[4:]))
		if !ok {
			return errnoFault
		}
		if room := maxWrite - int64(total); room > 0 {
			s.output.write(fd, data[:min(int64(len(data)), room)])
		}
		total += uint64(len(data))
	}
	if total > math.MaxUint32 {
		return errnoInval
	}
	if !mem.WriteUint32Le(result, uint32(total)) {
		return errnoFault
	}
	return errnoSuccess
}

// procExit ends the guest. wazero's own would close the module, and free
// memory that the call may still use.
func procExit(_ *slot, _ api.Memory, a []uint64) uint32 {
	panic(&exitError{status: uint32(a[0])})
}
