//go:build !wasip1

package rtd

import "runtime/debug"

func setGCPercent(percent int32) int32 { return int32(debug.SetGCPercent(int(percent))) }
