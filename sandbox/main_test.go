package sandbox_test

import (
	"os"
	"testing"

	"rtd/sandbox"
)

// The binary of these tests can be a compiler, for engines that ask for one, and a process that
// comes later and finds what this one has kept.
func TestMain(m *testing.M) {
	sandbox.CompilerMain()
	if os.Getenv(laterProcess) != "" {
		os.Exit(later(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
