//go:build !linux

package helper

import (
	"os"
	"runtime/metrics"
	"time"
)

// resident is not known from outside.
func resident(int) int64 { return 0 }

func self() string {
	path, _ := os.Executable()
	return path
}

// watchMyself ends this process when Go has taken more memory than it may.
func watchMyself(most int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(lookEvery) {
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()-sample[1].Value.Uint64()) > most {
			os.Exit(exitMemory)
		}
	}
}
