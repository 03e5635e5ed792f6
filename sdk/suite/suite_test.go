package suite_test

import (
	"slices"
	"strings"
	"testing"
)

// A scenario is what the plugin does in every language.
type scenario struct {
	name string
	run  func(t *testing.T, s *stack)
}

// generations are the scenarios by when their guests learned what they need. What an SDK learns
// after the modules in testdata/earlier/N were built is in the list of a later generation than N.
var generations = [][][]scenario{
	1: {rooms, bareRooms, joining, messages, lives, others, presences, connecting, sharing, processes, behaviours, trees},
	2: {memberPresences, versions},
	3: {clocks, accounts, histories},
}

// TestSuite runs all scenarios with the guests of every language, each language with a
// server of its own. The scenarios of one share it, and the recorder.
func TestSuite(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			suite(t, language, len(generations)-1)
		})
	}
}

// TestEarlierGuests runs the same with guests as they were compiled with earlier SDKs, against
// what those could do: who has a module must not have to build it again for a newer rtd.
func TestEarlierGuests(t *testing.T) {
	for generation := 1; generation < len(generations); generation++ {
		languages := earlier(t, generation)
		if len(languages) == 0 && generation < len(generations)-1 {
			t.Errorf("no guests of generation %d are kept", generation)
		}
		for _, language := range languages {
			t.Run(language, func(t *testing.T) {
				t.Parallel()
				suite(t, language, generation)
			})
		}
	}
}

// suite runs the scenarios of all generations up to the given one.
func suite(t *testing.T, language string, generation int) {
	s := serve(t, language)
	for _, list := range slices.Concat(generations[:generation+1]...) {
		for _, scenario := range list {
			t.Run(scenario.name, func(t *testing.T) {
				s.forget(t)
				scenario.run(t, s)
			})
		}
	}
	t.Run("disconnect that is not granted", s.deniesDisconnect)
	t.Run("config that start refuses", s.refusesConfig)
	s.Stop(t)
	if !s.Log.Has("suite has stopped", `"level":"INFO"`) {
		t.Error("it does not say that it has stopped")
	}
}

// deniesDisconnect takes the grant back: the guest crashes, and both it and the server say what is missing.
func (s *stack) deniesDisconnect(t *testing.T) {
	s.Configure(t, strings.Replace(suiteConfig, `"connect", "disconnect"`, `"connect"`, 1))
	s.logged(t, "plugin reconfigured", `"plugin":"suite"`)
	m := s.join(t, "suite:denied", "{}")
	m.does(t, `error {"reason":"crashed"}`, "disconnect", "id", "users:ada")
	s.logged(t, "disconnect denied", `set in [plugin.suite] of config.toml: allows = [\"connect\", \"disconnect\"]`)
	if !strings.Contains(s.language, "@") {
		s.logged(t, "crashed", "disconnect = true in [capabilities] of rtd.toml", `allows = [\"disconnect\"] in [plugin.NAME]`)
	}
}

func (s *stack) refusesConfig(t *testing.T) {
	s.Configure(t, strings.Replace(suiteConfig, "greeting", `fail = "told to fail"`+"\ngreeting", 1))
	s.logged(t, "told to fail", "plugin suite", `"ERROR"`)
	s.control.does(t, `ok {"greeting":"hello"}`, "config") // the old version runs on
}
