package sandbox

import (
	"bytes"
	"errors"
	"runtime"
	"strconv"

	"rtd/sandbox/abi"
)

// ErrPinned says that a guest cannot be copied: its plugin has to start every instance
// anew.
var ErrPinned = errors.New("guests of this plugin cannot be copied")

// Copy returns another instance with the same state, as the body of another process: what
// it does nobody else notices. The instance itself goes to rest for that, and is as it
// was. It may be called as Handle is.
func (i *Instance) Copy(process Process) (*Instance, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.trap != nil:
		return nil, i.trap
	case i.closed:
		return nil, ErrClosed
	case i.module.pinned != "":
		return nil, ErrPinned
	}
	if s := i.slot; s != nil {
		i.module.pool.reclaim(s)
		i.rest(s, i.process)
		i.module.pool.checkIn(s, nil)
	}
	if i.trap != nil { // there was no room
		return nil, i.trap
	}
	c, err := i.module.Start(i.topic, process)
	if err != nil || i.idle.IsZero() {
		return c, err
	}
	state := bytes.Clone(i.module.engine.store.Get(i.idle))
	if err := c.moveIn(i.process, int(i.pages)*pageSize, func(s *slot) error { return s.unpack(state) }); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// moveIn brings a new instance into a slot whose memory has size bytes, and has load bring
// its state there, on the goroutine of by.
func (i *Instance) moveIn(by Process, size int, load func(*slot) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, err := i.module.pool.vacate(size, by, never)
	if err != nil {
		return err
	}
	if err := load(s); err != nil {
		i.module.retire(s)
		return err
	}
	s.recent.begin(false)
	i.slot = s
	i.module.pool.checkIn(s, i)
	return nil
}

// Alone is the process of a guest that is tried or run again, apart from all others.
// Whoever it sends to hears nothing, and those that it calls do not exist; what it asks for
// about itself it gets. The zero value is ready.
type Alone struct {
	// On is the process on whose goroutine the guest is tried, if there is one: with it
	// the guest waits for its turn, and ends.
	On      Process
	numbers int
}

// Name implements [Process].
func (*Alone) Name() string { return "" }

// Permit implements [Process].
func (*Alone) Permit(*abi.Effect) abi.Code { return 0 }

// Block implements [Process].
func (a *Alone) Block(f func()) {
	if a.On == nil {
		f()
		return
	}
	a.On.Block(f)
}

// Yield implements [Process].
func (a *Alone) Yield() (alive bool) {
	if a.On == nil {
		runtime.Gosched()
		return true
	}
	return a.On.Yield()
}

// Killed implements [Process].
func (a *Alone) Killed() <-chan struct{} {
	if a.On == nil {
		return nil
	}
	return a.On.Killed()
}

// Operate implements [Process].
func (a *Alone) Operate(o *abi.Effect) (answer []byte, err error) {
	switch o.Kind {
	case abi.OpSelf:
		return []byte("#1"), nil
	case abi.OpSendAfter, abi.OpMonitor, abi.OpTrack, abi.OpUpdate, abi.OpEventID:
		return a.number(), nil
	case abi.OpCancel:
		return []byte("0"), nil
	case abi.OpPresences:
		return []byte("{}"), nil
	case abi.OpPresenceCount:
		return abi.AppendField(abi.AppendField(nil, "0"), "0"), nil
	case abi.OpHistory: // of which nothing was said yet
		return abi.AppendField(abi.AppendField(nil, aloneEpoch+":0"), "1"), nil
	case abi.OpSleep, abi.OpDemonitor, abi.OpTrapExit, abi.OpRegister, abi.OpUnregister, abi.OpUntrack, abi.OpCast, abi.OpSend,
		abi.OpLink, abi.OpUnlink, abi.OpExit, abi.OpChildren:
		return nil, nil
	case abi.OpSpawn:
		answer = abi.AppendField(nil, "#"+string(a.number()))
		if o.Flags&abi.Request != 0 {
			answer = abi.AppendField(answer, a.number())
		}
		return answer, nil
	}
	return nil, abi.CodeNoProcess
}

// aloneEpoch is the epoch of every topic's history.
const aloneEpoch = "0000000000"

// number makes up a pid, timer or the like. The guest itself is 1.
func (a *Alone) number() []byte {
	a.numbers++
	return strconv.AppendInt(nil, int64(a.numbers)+1, 10)
}
