package sandbox

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// Sizes and offsets of a WASI subscription and of the event that answers it.
const (
	subscriptionSize = 48
	subTag           = 8
	subClock         = 16
	subTimeout       = 24
	subPrecision     = 32
	subFlags         = 40

	pollEventSize = 32
	evErrno       = 8
	evTag         = 10

	tagClock     = 0
	flagAbsolute = 1
)

// pollOneoff waits for the first of some clocks: poll_oneoff(in, out, count,
// result). Files are answered "not supported" at once. A guest that sleeps does not
// use the processor: the wait ends with Limits.Timeout, and the guest with it.
func pollOneoff(s *slot, mem api.Memory, a []uint64) uint32 {
	const maxSubscriptions = 1024
	s.check()
	in, out, count, result := uint32(a[0]), uint32(a[1]), uint32(a[2]), uint32(a[3])
	if count == 0 || count > maxSubscriptions {
		return errnoInval
	}
	subscriptions, ok := mem.Read(in, count*subscriptionSize)
	if !ok {
		return errnoFault
	}
	if _, ok := mem.Read(out, count*pollEventSize); !ok {
		return errnoFault
	}
	subscriptions = append([]byte(nil), subscriptions...) // out may overlap in

	first := time.Duration(math.MaxInt64)
	waits := make([]time.Duration, count)
	for n := range waits {
		waits[n] = wait(subscriptions[n*subscriptionSize:])
		first = min(first, max(waits[n], 0))
	}
	if first > 0 {
		s.sleep(first)
	}

	var events uint32
	for n, w := range waits {
		if w > first {
			continue
		}
		sub := subscriptions[n*subscriptionSize:]
		var ev [pollEventSize]byte
		copy(ev[:8], sub[:8]) // the guest's own number
		if w == unsupported {
			binary.LittleEndian.PutUint16(ev[evErrno:], uint16(errnoNotSup))
		}
		ev[evTag] = sub[subTag]
		mem.Write(out+events*pollEventSize, ev[:])
		events++
	}
	if !mem.WriteUint32Le(result, events) {
		return errnoFault
	}
	return errnoSuccess
}

const unsupported = time.Duration(-1)

// A Go guest that panics sleeps twice for a millisecond until its other threads
// have stopped. It has none. Only Go's runtime gives this precision; where it
// waits for a timer of the guest's, it looks at the clock and asks again.
const (
	threadsTimeout   = 1_000_000
	threadsPrecision = 1_000
)

// wait returns how long it is until a subscription is due.
func wait(sub []byte) time.Duration {
	if sub[subTag] != tagClock {
		return unsupported
	}
	t, ok := now(binary.LittleEndian.Uint32(sub[subClock:]))
	if !ok {
		return unsupported
	}
	timeout := binary.LittleEndian.Uint64(sub[subTimeout:])
	if timeout <= threadsTimeout && binary.LittleEndian.Uint64(sub[subPrecision:]) == threadsPrecision {
		return 0
	}
	if binary.LittleEndian.Uint16(sub[subFlags:])&flagAbsolute != 0 {
		if timeout <= uint64(t) {
			return 0
		}
		timeout -= uint64(t)
	}
	return time.Duration(min(timeout, math.MaxInt64))
}
