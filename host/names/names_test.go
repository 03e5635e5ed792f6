package names_test

import (
	"regexp"
	"strings"
	"testing"

	"rtd/host/names"
)

func TestCheck(t *testing.T) {
	for name, want := range map[string]bool{
		"room": true, "a": true, "0": true, "_x-1": true, "-": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "Room": false, "a b": false, "a/b": false, "..": false, ".a": false,
		"a\n": false, "ä": false, "a\x00": false,
	} {
		if err := names.Check(name); (err == nil) != want {
			t.Errorf("Check(%q) = %v", name, err)
		} else if err != nil && !strings.Contains(err.Error(), "; expected 1 to 64 of a-z, 0-9, _ and -") {
			t.Errorf("Check(%q) = %v, which does not say what is expected", name, err)
		}
	}
}

// The rule as it was before it was a function.
func FuzzCheck(f *testing.F) {
	form := regexp.MustCompile(`\A[a-z0-9_-]{1,64}\z`)
	f.Add("room")
	f.Add("room\n")
	f.Fuzz(func(t *testing.T, name string) {
		if err := names.Check(name); (err == nil) != form.MatchString(name) {
			t.Errorf("Check(%q) = %v", name, err)
		}
	})
}
