package rollout_test

import (
	"fmt"
	"strings"
	"testing"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Guests choose the texts of their reasons. One that says what the host says to itself does
// not begin anew for ever, whatever its restart type and its intensity.
func TestGuestsCannotSayWhatTheHostMeans(t *testing.T) {
	for _, text := range []string{
		supervisor.Detail(supervisor.ForRestart), supervisor.Detail(supervisor.ErrIntensity), "replaced by another version",
	} {
		t.Run(text, func(t *testing.T) {
			w := newWorld(t)
			w.deploy("p", nil, worker("a"), child("pool", `{"type":"dynamic","restart":"temporary","max_restarts":1}`))
			under := func(init ...abi.Effect) result {
				return w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Payload: orders(init...), Detail: "pool"})
			}
			stop := abi.Effect{Kind: abi.EffectStop, Name: "shutdown", Payload: []byte(text)}
			if r := under(stop); r.code != abi.CodeEnded || r.answer != "shutdown: "+text {
				t.Errorf("a process that ends itself in init: %v %q", r.code, r.answer)
			}
			pid := fieldsOf(under().answer)[0]
			gone := w.process(pid)
			w.ask("p/a", abi.Effect{Kind: abi.OpExit, Name: pid, Payload: []byte("shutdown: " + text)})
			<-gone.Done()
			last := fieldsOf(under().answer)[0] // by then the supervisor has decided about the others
			if got := fieldsOf(w.ask("p/a", op(abi.OpChildren, "pool")).answer); len(got) != 1 || got[0] != last {
				t.Errorf("children are %q, want %s alone", got, last)
			}
			eventually(t, "all that was spawned has said so", func() bool { return w.begun.Load() >= 4 }) // and a
			if n := w.begun.Load(); n != 4 {
				t.Errorf("%d processes began, want 4", n)
			}
		})
	}
}

// However many causes a guest makes up, its crashes are a bounded number of lines.
func TestMadeUpCausesDoNotFillTheLog(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"))
	const causes = 1000
	for i := range causes {
		w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Payload: orders(abi.Effect{
			Kind: abi.EffectStop, Name: "crash", Payload: fmt.Appendf(nil, "cause %d", i),
		})})
	}
	eventually(t, "all crashed", func() bool {
		c := w.set.Crashes()
		return len(c) == 1 && c[0].Crashes == causes
	})
	// In a second: twenty causes once each, then ten lines for all others, and how many more.
	if n := strings.Count(w.log.String(), "process crashed"); n == causes {
		t.Errorf("%d lines", n)
	}
	w.set.Close()
	if text := w.log.String(); !strings.Contains(text, "crashed again for the same cause") {
		t.Error("nothing says that there were more")
	}
}
