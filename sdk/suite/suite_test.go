package suite_test

import (
	"strings"
	"testing"
)

// A scenario is what the plugin does in every language.
type scenario struct {
	name string
	run  func(t *testing.T, s *stack)
}

// TestSuite runs all scenarios with the guests of every language, each language with a
// server of its own. The scenarios of one share it, and the recorder.
func TestSuite(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			s := serve(t, language)
			for _, list := range [][]scenario{rooms, bareRooms, joining, messages, lives, others, presences, connecting, sharing, processes, behaviours, trees} {
				for _, scenario := range list {
					t.Run(scenario.name, func(t *testing.T) {
						s.forget(t)
						scenario.run(t, s)
					})
				}
			}
			t.Run("config that start refuses", s.refusesConfig)
			s.stop(t)
			if !s.log.has("suite has stopped", `"level":"INFO"`) {
				t.Error("it does not say that it has stopped")
			}
		})
	}
}

func (s *stack) refusesConfig(t *testing.T) {
	s.configure(t, strings.Replace(suiteConfig, "greeting", `fail = "told to fail"`+"\ngreeting", 1))
	s.logged(t, "told to fail", "plugin suite", `"ERROR"`)
	s.control.does(t, `ok {"greeting":"hello"}`, "config") // the old version runs on
}
