package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/abi"
)

// ErrTooLarge says that a guest has no room for an event. The guest lives on.
var ErrTooLarge = errors.New("event too large for the guest")

// ErrBusy says that Handle was called while another event was being handled.
var ErrBusy = errors.New("instance is busy with another event")

// Instance is one live guest with a memory of its own. It handles one event at
// a time: a second Handle meanwhile gets [ErrBusy], Close waits. Different
// instances run in parallel.
type Instance struct {
	plugin *Plugin
	log    *slog.Logger

	mu     sync.Mutex // held while an event is handled; guards all below
	closed bool
	trap   *Trap // what the guest died of, if it did

	mod           api.Module
	memory        linearMemory
	inbox, handle api.Function // 12 KB each, so one per instance and export
	stack         [1]uint64    // parameter and result of a call

	watch   watch
	event   *abi.Event // at hand; nil before the start event
	effects effects
	output  output
}

// Start makes an instance: it instantiates the module and runs _initialize and
// the start event. An error is a [*Trap], [ErrTooLarge] when the guest refuses
// its start event, [ErrClosed], or ctx's, which may end the wait for a core but
// not the guest. log takes the guest's output; nil means the plugin's.
func (p *Plugin) Start(ctx context.Context, log *slog.Logger) (*Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.starting <- struct{}{}:
		defer func() { <-p.starting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := p.acquire(); err != nil {
		return nil, err
	}
	if log == nil {
		log = p.log
	}
	i := &Instance{plugin: p, log: log}
	i.memory.limit = p.limits.Memory
	i.effects.limits = p.limits
	i.watch.init(i)
	p.counters.started.Add(1)
	if _, err := i.run(p.startEvent(), (*Instance).start); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// Handle gives the guest an event and returns the effects that it asks for.
// They and their payloads belong to the instance and are valid until the next
// Handle or Close. e's payload is copied and may be reused at once.
//
// An error is [ErrTooLarge], after which the instance goes on, or a [*Trap],
// after which it is dead: every further Handle returns the same trap, and
// there is nothing to do but Close.
func (i *Instance) Handle(e *abi.Event) ([]abi.Effect, error) {
	if !i.mu.TryLock() {
		return nil, ErrBusy
	}
	defer i.mu.Unlock()
	switch {
	case i.trap != nil:
		return nil, i.trap
	case i.closed:
		return nil, ErrClosed
	}
	return i.run(e, (*Instance).deliver)
}

// Close ends the guest and frees its memory. It waits for an event that is
// being handled. Closing twice does nothing.
func (i *Instance) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	i.closed = true
	i.drop()
	i.plugin.release()
}

// run does work under the limits and turns the guest's death into a trap.
func (i *Instance) run(e *abi.Event, work func(*Instance, *abi.Event) error) ([]abi.Effect, error) {
	i.memory.denied = 0
	i.effects.begin(e.Kind)
	i.output.begin(i.log, i.plugin.limits.LogLines)

	begin := time.Now()
	i.watch.arm(i.plugin.limits.Deadline)
	err := i.protect(e, work)
	if !i.watch.disarm() {
		err = outOfTime(err)
	}
	i.event = nil

	c := &i.plugin.counters
	c.events.Add(1)
	c.nanos.Add(int64(time.Since(begin)))
	if err != nil && !errors.Is(err, ErrTooLarge) {
		i.trap = i.diagnose(err, e)
		c.traps[i.trap.Kind.index()].Add(1)
		i.drop()
		return nil, i.trap
	}
	i.output.end()
	if err != nil {
		return nil, err
	}
	return i.effects.list, nil
}

// start brings the guest up to the end of its start event.
func (i *Instance) start(e *abi.Event) error {
	ctx := experimental.WithMemoryAllocator(&i.watch, &i.memory)
	ctx = experimental.WithCloseNotifier(ctx, &i.watch)
	var err error
	if i.mod, err = i.plugin.runtime.InstantiateModule(ctx, i.plugin.compiled, moduleConfig); err != nil {
		return err
	}
	if f := i.mod.ExportedFunction(abi.ExportInitialize); f != nil {
		if err := f.CallWithStack(&i.watch, nil); err != nil {
			return err
		}
	}
	i.inbox = i.mod.ExportedFunction(abi.ExportInbox)
	i.handle = i.mod.ExportedFunction(abi.ExportHandle)
	return i.deliver(e)
}

// deliver writes an event where the guest wants it and has it handled.
func (i *Instance) deliver(e *abi.Event) error {
	i.event = e
	size := e.Size()
	if size > math.MaxInt32 || int64(size) > i.memory.limit {
		return fmt.Errorf("%w: %s, its memory limit is %s", ErrTooLarge, byteSize(int64(size)), byteSize(i.memory.limit))
	}
	at, err := i.call(i.inbox, uint32(size))
	if err != nil {
		return err
	}
	if at == 0 {
		return fmt.Errorf("%w: its inbox refused %s", ErrTooLarge, byteSize(int64(size)))
	}
	room, ok := i.mod.Memory().Read(at, uint32(size))
	if !ok {
		return &protocolError{fmt.Sprintf("inbox(%d) returned %#x, memory ends at %#x", size, at, i.mod.Memory().Size())}
	}
	abi.AppendEvent(room[:0], e)
	result, err := i.call(i.handle, uint32(size))
	if err != nil {
		return err
	}
	if result != 0 {
		return &protocolError{fmt.Sprintf("handle returned %d, want 0", int32(result))}
	}
	return nil
}

func (i *Instance) call(f api.Function, arg uint32) (uint32, error) {
	i.stack[0] = uint64(arg)
	err := f.CallWithStack(&i.watch, i.stack[:])
	return uint32(i.stack[0]), err
}

// drop lets go of the guest's memory, stacks and buffers.
func (i *Instance) drop() {
	if i.mod != nil {
		_ = i.mod.Close(context.Background()) // no files, nothing to fail
	}
	i.mod, i.inbox, i.handle = nil, nil, nil
	i.memory.bytes = nil
	i.effects.list, i.effects.arena = nil, nil
	i.output = output{}
}

// protect keeps a panic that leaves wazero from ending the process. One is
// expected: the watch's, when the deadline passes as a call begins or ends.
func (i *Instance) protect(e *abi.Event, work func(*Instance, *abi.Event) error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			if err = r; !errors.Is(r, errDeadline) {
				err = &internalError{fmt.Sprint(r), debug.Stack()}
			}
		default:
			err = &internalError{fmt.Sprint(r), debug.Stack()}
		}
	}()
	return work(i, e)
}
