package supervisor_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

func TestChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		d := supervisor.NewDynamic(supervisor.DynamicConfig{})
		inner := supervisor.NewSupervisor(supervisor.Config{
			Intensity: tenPerMinute,
			Children:  []supervisor.ChildSpec{f.child("b", supervisor.Transient)},
		})
		outer := supervisor.NewSupervisor(supervisor.Config{
			Strategy:  supervisor.RestForOne,
			Intensity: tenPerMinute,
			Children: []supervisor.ChildSpec{
				f.child("a", supervisor.Permanent),
				{ID: "inner", Start: func() supervisor.Spec { return supervisor.Spec{Actor: inner} }},
				{ID: "channels", Start: d.Spec},
				f.child("c", supervisor.Temporary),
			},
		})
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := tree(outer.Children()); got != want {
				t.Errorf("%s\nexpected %s", got, want)
			}
		}
		expect("")
		f.root = f.rt.Spawn(supervisor.Spec{Actor: outer})
		for range 3 {
			d.Start(newKid(supervisor.Permanent), "topic")
		}
		expect("a permanent 0 inner permanent 0 (b transient 0) channels permanent 0 3 c temporary 0")
		f.send("b", errCrash)
		f.send("a", errCrash)
		expect("a permanent 1 inner permanent 1 (b transient 0) channels permanent 1 3")
		f.send("b", supervisor.Normal)
		expect("a permanent 1 inner permanent 1 (b ended transient 0) channels permanent 1 3")
		if got := outer.Children()[0].Process; got != f.now["a"] || got.Info().Restarts != 1 {
			t.Errorf("process %d with %+v", got.PID(), got.Info())
		}
		f.root.Stop(nil)
		expect("a ended permanent 1 inner ended permanent 1 channels ended permanent 1")
		f.rt.Wait()
	})
}

func tree(children []supervisor.ChildInfo) string {
	var words []string
	for _, c := range children {
		word := c.ID
		if c.Process == nil {
			word += " ended"
		}
		word += fmt.Sprintf(" %v %d", c.Restart, c.Restarts)
		if c.Members > 0 {
			word += fmt.Sprintf(" %d", c.Members)
		}
		if len(c.Children) > 0 {
			word += " (" + tree(c.Children) + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
