package rollout_test

import (
	"testing"

	"rtd/sandbox/abi"
)

// An event has one id, however often it is asked for, and no other event has it.
func TestEventsHaveIDs(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	id := op(abi.OpEventID, "")
	seen := map[string]bool{}
	for _, whom := range []string{"p/a", "p/b", "p/a"} {
		r := w.tell(whom, id, op(abi.OpSelf, ""), id)
		first, again := r[0], r[2]
		if first.code <= 0 || first.code > 64 || first != again {
			t.Errorf("ids of one event of %s = %v and %v", whom, first, again)
		}
		if seen[first.answer] {
			t.Errorf("%s is the id of two events", first.answer)
		}
		seen[first.answer] = true
	}
}

// Durability is declared when a plugin starts, and not later.
func TestDurableIsDeclared(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, op(abi.EffectDurable, "process:a"), worker("a"))
	if r := w.ask("p/a", op(abi.EffectDurable, "process:b")); r.code != abi.CodeNotNow {
		t.Errorf("durable after the start = %v", r)
	}
}
