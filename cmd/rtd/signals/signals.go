// Package signals takes the signals that the process handles, before anything else of
// it has begun: until somebody does, SIGTERM and SIGHUP end it without a word.
//
// It imports nothing but what signals need. So it is initialized right after these,
// some two milliseconds after the process began, and ahead of all that takes time to be
// initialized: Go takes packages in the order in which their imports are ready. What
// comes waits until somebody asks. Before that, while the system loads the program and
// Go's runtime begins, which takes longer on a busy machine, a signal still ends it.
package signals

import (
	"os"
	"os/signal"
	"syscall"
)

var (
	ends    = make(chan os.Signal, 2)
	hangups = make(chan os.Signal, 1)
	ignored = signal.Ignored(syscall.SIGHUP) // as nohup does
)

func init() {
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(hangups, syscall.SIGHUP)
}

// Ends returns where those arrive that ask for the end: SIGTERM and the interrupt of a terminal.
func Ends() <-chan os.Signal { return ends }

// Hangups returns where SIGHUP arrives.
func Hangups() <-chan os.Signal { return hangups }

// HangupEnds makes SIGHUP one of those that ask for the end, as for any command whose
// terminal has gone; or ignores it, if whoever started the process does.
func HangupEnds() {
	if ignored {
		signal.Ignore(syscall.SIGHUP)
		return
	}
	signal.Notify(ends, syscall.SIGHUP)
	signal.Stop(hangups)
	select {
	case early := <-hangups:
		ends <- early
	default:
	}
}
