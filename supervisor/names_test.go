package supervisor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 2)
		a, b := p[0], p[1]
		var freed []string
		names := supervisor.Names{Freed: func(name string) { freed = append(freed, name) }}
		var others supervisor.Names
		for _, name := range []string{"registry", "alias"} {
			if err := names.Register(name, a.Process); err != nil {
				t.Fatal(err)
			}
		}
		var taken *supervisor.TakenError
		if err := names.Register("registry", b.Process); !errors.As(err, &taken) || taken.By != a.PID() {
			t.Errorf("taken: %v", err)
		}
		if err := names.Register("registry", a.Process); !errors.As(err, &taken) {
			t.Errorf("twice: %v", err)
		}
		if err := others.Register("registry", b.Process); err != nil {
			t.Errorf("in another registry: %v", err)
		}
		if names.Whereis("registry") != a.Process || others.Whereis("registry") != b.Process || names.Whereis("nobody") != nil {
			t.Error("Whereis")
		}
		if got := a.Info().Names; !slices.Equal(got, []string{"alias", "registry"}) {
			t.Errorf("a has %q", got)
		}
		if n := names.Len(); n != 2 {
			t.Errorf("%d names", n)
		}
		if !names.Unregister("alias") || names.Unregister("alias") || names.Whereis("alias") != nil {
			t.Error("Unregister")
		}
		a.Kill()
		if names.Whereis("registry") != nil || names.Unregister("registry") {
			t.Error("the name of an ended process")
		}
		if err := names.Register("registry", a.Process); err != supervisor.ErrEnded {
			t.Errorf("Register of an ended process: %v", err)
		}
		if err := names.Register("registry", b.Process); err != nil {
			t.Errorf("its name is not free: %v", err)
		}
		if got := b.Info().Names; !slices.Equal(got, []string{"registry", "registry"}) {
			t.Errorf("b has %q", got)
		}
		if !slices.Equal(freed, []string{"alias", "registry"}) {
			t.Errorf("freed %q", freed)
		}
	})
}

func TestTakenErrorIsShort(t *testing.T) {
	err := &supervisor.TakenError{Name: strings.Repeat("x", 1<<20), By: 1}
	if n := len(err.Error()); n > 300 {
		t.Errorf("%d bytes", n)
	}
}

// A restarted child takes its name again, in every way to be restarted.
func TestNamesAreFreeForTheNextLife(t *testing.T) {
	for name, message := range map[string]any{
		"crash": errCrash,
		"panic": func() error { panic("boom") },
		"kill":  func(p *supervisor.Process) error { p.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var names supervisor.Names
				f := newFamily(t)
				var children []supervisor.ChildSpec
				for _, id := range []string{"a", "b"} {
					children = append(children, supervisor.ChildSpec{ID: id, Start: func() supervisor.Spec {
						return supervisor.Spec{Actor: &funcs{handle: obey, init: func(p *supervisor.Process) error {
							return names.Register(id, p)
						}}}
					}})
				}
				f.start(supervisor.Config{Strategy: supervisor.OneForAll, Intensity: tenPerMinute, Children: children})
				for range 5 {
					names.Whereis("a").Send(message)
					synctest.Wait()
				}
				if names.Whereis("a") == nil || names.Whereis("b") == nil {
					t.Error("a name is not taken again")
				}
				f.take()
				f.stop()
				if names.Whereis("a") != nil || names.Whereis("b") != nil {
					t.Error("a name has outlived its process")
				}
			})
		})
	}
}

func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 2)
		a, hidden := p[0], p[1]
		if a.Export() != a.PID() || a.Export() != a.PID() {
			t.Error("Export returned another number")
		}
		if rt.Find(a.PID()) != a.Process || rt.Find(hidden.PID()) != nil || rt.Find(1<<40) != nil {
			t.Error("Find")
		}
		a.Kill()
		if a.Export() != a.PID() || rt.Find(a.PID()) != nil {
			t.Error("an ended process was found")
		}
	})
}
