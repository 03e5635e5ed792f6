package process

import (
	"sync"

	"rtd/host/ask"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// waits knows which process waits for which, so that a wait in a circle fails instead.
type waits struct {
	mu sync.Mutex
	on map[*supervisor.Process]wait
}

type wait struct {
	target  *supervisor.Process // nil if it is on another node: from there nobody waits for one here
	request *ask.Request
}

// begin notes that p waits. It fails if the target waits for p already, directly or
// through others.
func (w *waits) begin(p *supervisor.Process, on wait) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for target := on.target; ; {
		if target == p {
			return abi.CodeDeadlock
		}
		next, waiting := w.on[target]
		if !waiting || next.request.Ended() {
			break
		}
		target = next.target
	}
	if w.on == nil {
		w.on = map[*supervisor.Process]wait{}
	}
	w.on[p] = on
	return nil
}

func (w *waits) end(p *supervisor.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.on, p)
}
