package supervisor_test

import (
	"errors"
	"fmt"
	"testing"

	"rtd/supervisor"
)

var errCrash = errors.New("crash")

func TestRestartByTypeAndReason(t *testing.T) {
	reasons := []error{
		supervisor.Normal,
		supervisor.Shutdown,
		supervisor.ShutdownBecause("drain"),
		supervisor.ErrIntensity,
		fmt.Errorf("leave: %w", supervisor.Shutdown),
		supervisor.Killed,
		errCrash,
		&supervisor.PanicError{Value: 1},
	}
	const firstCrash = 5
	for i, reason := range reasons {
		crash := i >= firstCrash
		if supervisor.IsCrash(reason) != crash {
			t.Errorf("IsCrash(%v) = %v", reason, !crash)
		}
		for r, want := range map[supervisor.Restart]bool{
			supervisor.Permanent: true,
			supervisor.Transient: crash,
			supervisor.Temporary: false,
		} {
			if r.Again(reason) != want {
				t.Errorf("%v.Again(%v) = %v", r, reason, !want)
			}
		}
	}
}

// A crash that was counted already is one, and counts no more.
func TestRepeatedCrashes(t *testing.T) {
	again := fmt.Errorf("x: %w", supervisor.Repeated(errCrash))
	if !supervisor.IsCrash(again) || !supervisor.IsRepeated(again) || supervisor.IsRepeated(errCrash) || !errors.Is(again, errCrash) {
		t.Error("a repeated crash is a crash, by its cause")
	}
}

func TestShutdownBecause(t *testing.T) {
	drain := supervisor.ShutdownBecause("drain")
	if !errors.Is(drain, supervisor.Shutdown) || errors.Is(supervisor.Shutdown, drain) {
		t.Error("a shutdown with a detail is a Shutdown, but not the other way round")
	}
	if errors.Is(drain, supervisor.Normal) || errors.Is(drain, supervisor.ShutdownBecause("other")) {
		t.Error("a shutdown is neither Normal nor one with another detail")
	}
	if errors.Is(supervisor.ShutdownBecause("drain"), drain) {
		t.Error("a shutdown is told from another by its text")
	}
	if got := supervisor.Detail(fmt.Errorf("x: %w", drain)); got != "drain" {
		t.Errorf("Detail = %q", got)
	}
	if got := supervisor.Detail(errCrash); got != "" {
		t.Errorf("Detail of a crash = %q", got)
	}
	if drain.Error() != "shutdown: drain" || supervisor.Normal.Error() != "normal" {
		t.Errorf("texts %q, %q", drain, supervisor.Normal)
	}
}

func TestNamesOfRestartAndStrategy(t *testing.T) {
	for _, r := range []supervisor.Restart{supervisor.Permanent, supervisor.Transient, supervisor.Temporary} {
		if got, err := supervisor.ParseRestart(r.String()); got != r || err != nil {
			t.Errorf("ParseRestart(%v) = %v, %v", r, got, err)
		}
	}
	for _, s := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
		if got, err := supervisor.ParseStrategy(s.String()); got != s || err != nil {
			t.Errorf("ParseStrategy(%v) = %v, %v", s, got, err)
		}
	}
	if _, err := supervisor.ParseRestart("always"); err == nil {
		t.Error("ParseRestart took a word that it does not know")
	}
	if _, err := supervisor.ParseStrategy("one_for_two"); err == nil {
		t.Error("ParseStrategy took a word that it does not know")
	}
	if got := supervisor.Restart(9).String(); got != "unknown (9)" {
		t.Errorf("Restart(9) = %q", got)
	}
}
