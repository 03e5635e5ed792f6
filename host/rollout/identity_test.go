package rollout_test

import (
	"testing"

	"rtd/sandbox/abi"
)

// identities is one of each kind that guests are given.
type identities struct{ pid, timer, request, monitor, token string }

// identify has a process a be given one of each. b owes it an answer. Version n, in which they go
// on, tells of the token.
func (w *world) identify(n int) (i identities) {
	w.t.Helper()
	got := w.tell("p/a",
		op(abi.OpWhereis, "b"),
		abi.Effect{Kind: abi.OpSendAfter, Detail: "3600000"},
		abi.Effect{Kind: abi.OpRequest, Name: "b", Payload: orders(op(keep, ""))},
		op(abi.OpMonitor, "b"))
	w.ask("p/b", op(count, "")) // has taken the question by then
	w.swap(n, "p", nil, wantsExport, worker("a"), worker("b"))
	i = identities{pid: got[0].answer, timer: got[1].answer, request: got[2].answer, monitor: got[3].answer}
	for i.token == "" {
		if e := w.next(abi.EventImport); e.Name == "b" {
			i.token = string(e.Payload[4:])
		}
	}
	return i
}

// strangers says that old identities are nobody's, and that those of now are as they were.
func (w *world) strangers(old, now identities) {
	w.t.Helper()
	for _, what := range []abi.Effect{
		calling(old.pid, ""), op(abi.OpCast, old.pid), op(abi.OpSend, old.pid), op(abi.OpRequest, old.pid), op(abi.OpMonitor, old.pid),
		op(abi.OpLink, old.pid), op(abi.OpUnlink, old.pid), op(abi.OpWhereis, old.pid), op(abi.OpInfo, old.pid), op(abi.OpStopChild, old.pid),
		{Kind: abi.OpExit, Name: old.pid, Payload: []byte("kill")}, {Kind: abi.OpRegister, Name: "x", Payload: []byte(old.pid)},
		op(abi.OpCancel, old.timer), op(abi.OpAwait, old.request), op(abi.OpDemonitor, old.monitor),
	} {
		if r := w.ask("p/a", what); r.code != abi.CodeNoProcess {
			w.t.Errorf("%v of an old %s = %v, want no_process", what.Kind, what.Name, r)
		}
	}
	w.tell("p/b", abi.Effect{Kind: abi.EffectAnswer, Name: old.token, Payload: []byte("to whom it concerned")}, abi.Effect{Kind: late, Payload: []byte("yes")})
	if r := w.ask("p/a", op(abi.OpAwait, now.request)); r.answer != "yes" {
		w.t.Errorf("the answer is %v", r)
	}
	if got := w.tell("p/a", op(abi.OpCancel, now.timer), op(abi.OpDemonitor, now.monitor), op(abi.OpWhereis, now.pid)); got[0].code < 0 || got[1].code < 0 || got[2].answer != now.pid {
		w.t.Errorf("timer, monitor and pid of now: %v", got)
	}
}

// TestIdentitiesOfAnEarlierServer has two servers one after the other, in which all goes the
// same way: what a guest was given in the first is nobody's in the second.
func TestIdentitiesOfAnEarlierServer(t *testing.T) {
	var given [2]identities
	var w *world
	for n := range given {
		w = newWorld(t)
		w.swap(1, "p", nil, wantsExport, worker("a"), worker("b"))
		given[n] = w.identify(2)
	}
	w.strangers(given[0], given[1])
}

// TestIdentitiesOfAnEarlierLife has guests crash: what they were given is nobody's after that,
// though they are given as much again.
func TestIdentitiesOfAnEarlierLife(t *testing.T) {
	w := newWorld(t)
	w.swap(1, "p", nil, wantsExport, worker("a"), worker("b"))
	old := w.identify(2)
	w.crash("p/a")
	w.crash("p/b")
	w.strangers(old, w.identify(3))
}
