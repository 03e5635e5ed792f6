package supervisor

import (
	"fmt"
	"time"
)

// Restart says when a supervisor starts an ended child again.
//
//	             normal   shutdown   crash
//	permanent    yes      yes        yes
//	transient    no       no         yes
//	temporary    no       no         no
type Restart int

const (
	Permanent Restart = iota // OTP's default
	Transient
	Temporary
)

// Again reports whether a child that ended with reason is to be restarted.
func (r Restart) Again(reason error) bool {
	switch r {
	case Permanent:
		return true
	case Transient:
		return IsCrash(reason)
	}
	return false
}

var restartNames = []string{"permanent", "transient", "temporary"}

func (r Restart) String() string { return wordOf(restartNames, int(r)) }

// ParseRestart reads the name of a restart type.
func ParseRestart(s string) (Restart, error) {
	for i, name := range restartNames {
		if s == name {
			return Restart(i), nil
		}
	}
	return 0, fmt.Errorf("restart type %q: expected permanent, transient or temporary", s)
}

// Strategy says which siblings of a crashed child are restarted with it.
type Strategy int

const (
	OneForOne  Strategy = iota // none
	OneForAll                  // all
	RestForOne                 // those started after it
)

var strategyNames = []string{"one_for_one", "one_for_all", "rest_for_one"}

func (s Strategy) String() string { return wordOf(strategyNames, int(s)) }

// ParseStrategy reads the name of a strategy.
func ParseStrategy(s string) (Strategy, error) {
	for i, name := range strategyNames {
		if s == name {
			return Strategy(i), nil
		}
	}
	return 0, fmt.Errorf("strategy %q: expected one_for_one, one_for_all or rest_for_one", s)
}

func wordOf(words []string, i int) string {
	if i < 0 || i >= len(words) {
		return fmt.Sprintf("unknown (%d)", i)
	}
	return words[i]
}

// Intensity bounds restarts: with more than Max of them in any period as long as
// Within, its ends included, the supervisor gives up. The zero value allows none.
type Intensity struct {
	Max    int
	Within time.Duration
}

// restarts is the window of an [Intensity]: when the latest restarts were.
type restarts []time.Time

// add notes a restart at now and reports whether it is within the intensity.
func (r *restarts) add(limit Intensity, now time.Time) bool {
	recent := (*r)[:0]
	for _, t := range *r {
		if now.Sub(t) <= limit.Within {
			recent = append(recent, t)
		}
	}
	*r = append(recent, now)
	return len(*r) <= limit.Max
}
