package sandbox

import (
	"errors"
	"time"
)

// errDeadline unwinds a guest whose time is up.
var errDeadline = errors.New("deadline exceeded")

// clock is a monotonic time in nanoseconds that is never zero.
func clock() int64 { return int64(time.Since(clockStart)) + 1 }

var clockStart = time.Now()
