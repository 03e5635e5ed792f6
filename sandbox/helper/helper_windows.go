package helper

import (
	"os/exec"
	"time"
)

// wallFactor is small: the time on the wall is all that is limited here.
const wallFactor = 2

func isolate(*exec.Cmd) {}

func takeOn(l Limits) error {
	go watchMyself(l.Memory)
	return nil
}

var began = time.Now()

// CPUTime is the time since this process began, as its best guess of processor time.
func CPUTime() time.Duration { return time.Since(began) }

// keepDescriptors has nothing to do: Go hands on no other handles.
func keepDescriptors() {}
