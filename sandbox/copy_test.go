package sandbox_test

import (
	"errors"
	"slices"
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// A copy goes on from where the instance is, and neither notices the other.
func TestCopy(t *testing.T) {
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{})
			ask := func(i *sandbox.Instance) []string {
				t.Helper()
				effects, err := i.Handle(&abi.Event{Kind: abi.EventMessage, Name: "say", Flags: abi.WantsReply, Payload: []byte(`{"body":"hello"}`)})
				if err != nil {
					t.Fatal(err)
				}
				defer i.Release()
				return say(effects)
			}
			one, twin := actor(t, p), actor(t, p)
			ask(one)
			ask(twin)
			for _, rest := range []bool{false, true} {
				if rest {
					one.Hibernate()
				}
				c, err := one.Copy(&sandbox.Alone{})
				if err != nil {
					t.Fatal(err)
				}
				copied, own, want := ask(c), ask(one), ask(twin)
				if !slices.Equal(copied, want) || !slices.Equal(own, want) {
					t.Errorf("the copy says %q, the instance %q, one like it %q", copied, own, want)
				}
				c.Close()
			}
			fresh := start(t, p)
			c, err := fresh.Copy(nil) // of the snapshot
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			fresh.Close()
			if _, err := fresh.Copy(nil); !errors.Is(err, sandbox.ErrClosed) {
				t.Errorf("copy of a closed one: %v", err)
			}
		})
	}
}
