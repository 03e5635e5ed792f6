package helper_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"rtd/sandbox/helper"
)

// The binary of these tests can be a helper, which does what it is told.
func TestMain(m *testing.M) {
	helper.Main(func(request []byte) []byte {
		switch string(request) {
		case "spin":
			for {
			}
		case "grow":
			for kept := [][]byte{}; ; {
				kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
			}
		case "wait":
			time.Sleep(time.Hour)
		case "panic":
			panic("of a test")
		case "much":
			return make([]byte, 1<<20)
		}
		return append([]byte("done: "), request...)
	})
	os.Exit(m.Run())
}

var roomy = helper.Limits{CPU: time.Minute, Memory: 1 << 30}

func TestRun(t *testing.T) {
	large := strings.Repeat("x", 10<<20) // more than any pipe holds
	for _, request := range []string{"", "this", large} {
		answer, err := helper.Run(t.Context(), helper.Command(), roomy, []byte(request))
		if err != nil || string(answer) != ("done: " + request)[:min(len(request)+6, 64<<10)] {
			t.Errorf("%d bytes: %v", len(answer), err)
		}
	}
	if answer, err := helper.Run(t.Context(), helper.Command(), roomy, []byte("much")); err != nil || len(answer) != 64<<10 {
		t.Errorf("%d bytes: %v", len(answer), err)
	}
}

func TestLimits(t *testing.T) {
	_, err := helper.Run(t.Context(), helper.Command(), helper.Limits{CPU: time.Millisecond, Memory: 1 << 30}, []byte("spin"))
	if slow, ok := errors.AsType[*helper.CPUError](err); !ok || slow.Limit != time.Second {
		t.Errorf("spin: %v", err)
	}
	_, err = helper.Run(t.Context(), helper.Command(), helper.Limits{CPU: time.Minute, Memory: 50 << 20}, []byte("grow"))
	if large, ok := errors.AsType[*helper.MemoryError](err); !ok || large.Limit != 50<<20 {
		t.Errorf("grow: %v", err)
	}
}

func TestTheEndOfAChild(t *testing.T) {
	if _, err := helper.Run(t.Context(), helper.Command(), roomy, []byte("panic")); err == nil || !strings.Contains(err.Error(), "of a test") {
		t.Errorf("panic: %v", err)
	}
	if _, err := helper.Run(t.Context(), []string{"/nowhere"}, roomy, nil); err == nil {
		t.Error("nowhere: no error")
	} else if _, ok := errors.AsType[*helper.StartError](err); !ok {
		t.Errorf("nowhere: %v", err)
	}
	because := errors.New("of a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(because) }) // before it starts, or after: both end it
	if _, err := helper.Run(ctx, helper.Command(), roomy, []byte("wait")); !errors.Is(err, because) {
		t.Errorf("wait: %v", err)
	}
}
