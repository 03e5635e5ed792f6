package process

import (
	"bytes"
	"errors"
	"time"

	"rtd/host/ask"
	"rtd/sandbox/abi"
)

// call is request and await in one.
func (b *body) call(o *abi.Effect) ([]byte, error) {
	timeout, err := timeIn(o, callTimeout)
	if err != nil {
		return nil, err
	}
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if to.here() == b.process {
		return nil, abi.CodeSelf
	}
	r := ask.New(b.home.App, b.process, o.Payload, o.Flags&abi.Binary != 0)
	if err := r.Send(to); err != nil {
		return nil, err
	}
	if err := b.waitFor(r, to, timeout); err != nil {
		r.Forget(err)
		return nil, err
	}
	return result(r)
}

func (b *body) request(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	a, err := b.open(o)
	if err != nil {
		return nil, err
	}
	if err := a.Send(to); err != nil {
		b.takeAsked(a.Request).Forget(err)
		return nil, err
	}
	return b.asks(a, to), nil
}

// open notes a request that is about to be made by o.
func (b *body) open(o *abi.Effect) (*asked, error) {
	if err := b.hold(0); err != nil {
		return nil, err
	}
	a := &asked{Request: ask.New(b.home.App, b.process, nil, o.Flags&abi.Binary != 0)}
	if o.Kind == abi.OpRequest {
		a.Question = bytes.Clone(o.Payload)
	}
	a.ID = b.process.Runtime().NewRef()
	if o.Flags&abi.Notify != 0 {
		a.Notify(b.process)
	}
	b.asked[a.ID] = a
	return a, nil
}

// asks notes the process that was asked, and returns the name of the request.
func (b *body) asks(a *asked, to peer) []byte {
	a.target = to
	if a.Notifies() {
		a.watch = to.watch(b.process)
	}
	return b.answerOf(a.ID)
}

func (b *body) await(o *abi.Effect) ([]byte, error) {
	timeout, err := timeIn(o, callTimeout)
	if err != nil {
		return nil, err
	}
	id := b.refOf(o.Name)
	if b.holdings == nil || b.asked[id] == nil {
		return nil, abi.CodeNoProcess
	}
	a := b.asked[id]
	if a.target.here() == b.process && !a.Ended() {
		return nil, abi.CodeSelf
	}
	if err := b.waitFor(a.Request, a.target, timeout); err != nil {
		return nil, err // it can be awaited again
	}
	b.takeAsked(a.Request)
	return result(a.Request)
}

// waitFor waits until a request has ended. If the process itself is to end meanwhile, its
// guest ends, unless it wants the event terminate.
func (b *body) waitFor(r *ask.Request, target peer, timeout time.Duration) error {
	// Most answers come at once, if the other one gets a chance: then there is no
	// need to give the slot to others and to look after the wait.
	if !r.Ended() {
		b.process.StepAside()
	}
	if r.Ended() {
		<-r.Done()
		return nil
	}
	waits := &b.home.Node.waits
	if err := waits.begin(b.process, wait{target.here(), r}); err != nil {
		return err
	}
	defer waits.end(b.process)
	stop := b.process.Stopping()
	if b.terminates {
		stop = b.process.Done()
	}
	var err error
	late := time.NewTimer(timeout)
	defer late.Stop()
	busy := b.guest.Wait(func() {
		select {
		case <-r.Done():
		case <-target.Done():
			r.Fail(&ask.EndedError{Reason: target.Reason()}) // unless it answered just before
			<-r.Done()
		case <-late.C:
			err = abi.CodeTimeout
		case <-stop:
			err = errStopped
		}
	})
	if busy != nil {
		return abi.CodeBusy
	}
	return err
}

var errStopped = errors.New("the process was asked to end")

// result returns a guest's answer to the operation, for a request that has ended.
func result(r *ask.Request) ([]byte, error) {
	answer, _, err := r.Fetch()
	if err != nil {
		return ask.CodeOf(err)
	}
	return answer, nil
}

func (b *body) send(kind abi.Kind, o *abi.Effect) error {
	to, err := b.find(o.Name)
	if err != nil {
		return err
	}
	if b.memory != nil {
		return b.sendLater(to, kind, o)
	}
	return ask.Tell(to, b.home.App, b.process, kind, o.Payload, o.Flags&abi.Binary != 0)
}
