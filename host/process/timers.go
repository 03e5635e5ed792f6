package process

import (
	"bytes"
	"strconv"
	"time"

	"rtd/sandbox/abi"
)

func (b *body) sendAfter(o *abi.Effect) ([]byte, error) {
	after, err := timeIn(o, 0)
	if err != nil {
		return nil, err
	}
	if err := b.hold(len(o.Payload)); err != nil {
		return nil, err
	}
	t := &timer{id: b.process.Runtime().NewRef(), payload: bytes.Clone(o.Payload), binary: o.Flags&abi.Binary != 0}
	if b.memory != nil {
		t.due, t.after = time.Now().Add(after), after
	}
	b.timers[t.id] = t
	t.Timer = b.process.PostAfter(after, fired{t}) // past the mailbox's bound: timers have one
	return b.answerOf(t.id), nil
}

func (b *body) cancel(o *abi.Effect) ([]byte, error) {
	t := b.takeTimer(b.refOf(o.Name), nil)
	if t == nil {
		return nil, abi.CodeNoProcess
	}
	left, _ := t.Cancel() // if it has fired, its message finds no timer any more
	return strconv.AppendInt(nil, left.Milliseconds(), 10), nil
}

func (b *body) sleep(o *abi.Effect) ([]byte, error) {
	d, err := timeIn(o, 0)
	if err != nil {
		return nil, err
	}
	stop := b.process.Stopping()
	if b.terminates {
		stop = b.process.Done()
	}
	over := time.NewTimer(d)
	defer over.Stop()
	busy := b.guest.Wait(func() {
		select {
		case <-over.C:
		case <-stop:
			err = errStopped
		}
	})
	if busy != nil {
		return nil, abi.CodeBusy
	}
	return nil, err
}
