package rtd

import _ "unsafe" // for go:linkname

// setGCPercent is what debug.SetGCPercent calls. That package would bring fmt and os into each program.
//
//go:linkname setGCPercent runtime/debug.setGCPercent
func setGCPercent(percent int32) int32
