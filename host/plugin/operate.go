package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// operations are what a guest can ask of its process.
var operations = map[abi.Kind]func(*body, *abi.Effect) (answer []byte, err error){
	abi.OpSelf:       func(b *body, _ *abi.Effect) ([]byte, error) { return []byte(pidOf(b.process)), nil },
	abi.OpSpawn:      (*body).spawn,
	abi.OpCall:       (*body).call,
	abi.OpRequest:    (*body).request,
	abi.OpAwait:      (*body).await,
	abi.OpCast:       func(b *body, o *abi.Effect) ([]byte, error) { return nil, b.send(abi.EventCast, o) },
	abi.OpSend:       func(b *body, o *abi.Effect) ([]byte, error) { return nil, b.send(abi.EventInfo, o) },
	abi.OpSendAfter:  (*body).sendAfter,
	abi.OpCancel:     (*body).cancel,
	abi.OpSleep:      (*body).sleep,
	abi.OpMonitor:    (*body).monitor,
	abi.OpDemonitor:  (*body).demonitor,
	abi.OpLink:       (*body).link,
	abi.OpUnlink:     (*body).unlink,
	abi.OpTrapExit:   (*body).trapExit,
	abi.OpRegister:   (*body).register,
	abi.OpUnregister: (*body).unregister,
	abi.OpWhereis:    (*body).whereis,
	abi.OpExit:       (*body).exit,
	abi.OpInfo:       (*body).info,
	abi.OpChildren:   (*body).children,
	abi.OpStopChild:  (*body).stopChild,

	abi.OpTrack:         presenceOperation((*body).track, inDetail),
	abi.OpUpdate:        presenceOperation((*body).update, inDetail),
	abi.OpUntrack:       presenceOperation((*body).untrack, inDetail),
	abi.OpPresences:     presenceOperation((*body).presences, inName),
	abi.OpPresenceCount: presenceOperation((*body).presenceCount, inName),
}

// Operate implements [sandbox.Process].
func (b *body) Operate(o *abi.Effect) (answer []byte, err error) {
	operation := operations[o.Kind]
	if operation == nil {
		return nil, abi.CodeUnknown
	}
	if len(o.Payload) > maxMessage {
		return nil, abi.CodeTooMuch
	}
	return operation(b, o)
}

// Block implements [sandbox.Process].
func (b *body) Block(f func()) { b.process.Block(f) }

const (
	// maxMessage is how many bytes one process may send another at once.
	maxMessage = 4 << 20
	// callTimeout is how long a call waits if it does not say, as in OTP.
	callTimeout = 5 * time.Second
	// maxTime bounds timeouts and timers, so that no sum overflows.
	maxTime = 365 * 24 * time.Hour
)

// timeIn is the time in the detail of an operation.
func timeIn(o *abi.Effect, unsaid time.Duration) (time.Duration, error) {
	if o.Detail == "" {
		return unsaid, nil
	}
	ms, err := strconv.ParseUint(o.Detail, 10, 63)
	if err != nil {
		return 0, abi.CodeMalformed
	}
	return time.Duration(min(ms, uint64(maxTime/time.Millisecond))) * time.Millisecond, nil
}

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
	if to == b.process {
		return nil, abi.CodeSelf
	}
	r := newRequest(o.Payload, o.Flags&abi.Binary != 0)
	if err := b.ask(to, r); err != nil {
		return nil, err
	}
	if err := b.waitFor(r, to, timeout); err != nil {
		r.Fail(err)
		return nil, err
	}
	return r.result()
}

// ask sends a question.
func (b *body) ask(to *supervisor.Process, r *Request) error {
	var err error
	if r.plugin, err = b.account(to, len(r.Question)); err != nil {
		return err
	}
	if err := to.Send(r); err != nil {
		r.plugin.unqueue(len(r.Question))
		return sendCode(err)
	}
	return nil
}

// account counts bytes that are to wait for a process, and returns who does so. What
// the host's own processes take in is not counted.
func (b *body) account(to *supervisor.Process, bytes int) (*Plugin, error) {
	if to.Group() == b.plugin.set.group {
		return nil, nil
	}
	return b.plugin, b.plugin.queue(bytes)
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
	if err := b.ask(to, a.Request); err != nil {
		b.takeAsked(a.id)
		return nil, err
	}
	return b.asks(a, to), nil
}

// open notes a request that is about to be made by o.
func (b *body) open(o *abi.Effect) (*asked, error) {
	if err := b.hold(); err != nil {
		return nil, err
	}
	b.last++
	a := &asked{Request: newRequest(nil, o.Flags&abi.Binary != 0)}
	if o.Kind == abi.OpRequest {
		a.Question = bytes.Clone(o.Payload)
	}
	a.id = b.last
	if o.Flags&abi.Notify != 0 {
		a.asker = b.process
	}
	b.asked[a.id] = a
	return a, nil
}

// asks notes who was asked, and returns the name of the request.
func (b *body) asks(a *asked, to *supervisor.Process) []byte {
	a.target = to
	if a.asker != nil {
		a.watch = b.process.Monitor(to)
	}
	return strconv.AppendUint(nil, a.id, 10)
}

func (b *body) await(o *abi.Effect) ([]byte, error) {
	timeout, err := timeIn(o, callTimeout)
	if err != nil {
		return nil, err
	}
	id, _ := strconv.ParseUint(o.Name, 10, 64)
	if b.holdings == nil || b.asked[id] == nil {
		return nil, abi.CodeNoProcess
	}
	a := b.asked[id]
	if a.target == b.process && !a.ended.Load() {
		return nil, abi.CodeSelf
	}
	if err := b.waitFor(a.Request, a.target, timeout); err != nil {
		return nil, err // it can be awaited again
	}
	b.takeAsked(id)
	return a.result()
}

// waitFor waits until a request has ended. If the process itself is to end
// meanwhile, so does its guest, unless that wants to be told in the end.
func (b *body) waitFor(r *Request, target *supervisor.Process, timeout time.Duration) error {
	// Most answers come at once, if the other one gets a chance: then there is no
	// need to hand over scheduler and slot.
	if !r.ended.Load() {
		runtime.Gosched()
	}
	if r.ended.Load() {
		<-r.done
		return nil
	}
	waits := &b.plugin.set.waits
	if err := waits.begin(b.process, wait{target, r}); err != nil {
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
		case <-r.done:
		case <-target.Done():
			r.Fail(&EndedError{target.Reason()}) // unless it answered just before
			<-r.done
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

// result is what a guest gets of a request that has ended.
func (r *Request) result() ([]byte, error) {
	if r.err != nil {
		return codeOf(r.err)
	}
	return r.answer, nil
}

func (b *body) send(kind abi.Kind, o *abi.Effect) error {
	to, err := b.find(o.Name)
	if err != nil {
		return err
	}
	m := &Message{Kind: kind, Payload: bytes.Clone(o.Payload), Binary: o.Flags&abi.Binary != 0}
	if m.plugin, err = b.account(to, len(m.Payload)); err != nil {
		return err
	}
	if err := to.Send(m); err != nil {
		m.plugin.unqueue(len(m.Payload))
		return sendCode(err)
	}
	return nil
}

func sendCode(err error) error {
	if errors.Is(err, supervisor.ErrFull) {
		return abi.CodeFull
	}
	return abi.CodeNoProcess
}

func (b *body) sendAfter(o *abi.Effect) ([]byte, error) {
	after, err := timeIn(o, 0)
	if err != nil {
		return nil, err
	}
	if err := b.hold(); err != nil {
		return nil, err
	}
	b.last++
	b.timers[b.last] = &timer{
		Timer:   b.process.SendAfter(after, fired{b.last}),
		payload: bytes.Clone(o.Payload),
		binary:  o.Flags&abi.Binary != 0,
	}
	return strconv.AppendUint(nil, b.last, 10), nil
}

func (b *body) cancel(o *abi.Effect) ([]byte, error) {
	id, _ := strconv.ParseUint(o.Name, 10, 64)
	t := b.takeTimer(id)
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

func (b *body) monitor(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if err := b.hold(); err != nil {
		return nil, err
	}
	ref := b.process.Monitor(to)
	b.monitors[ref] = true
	return []byte(refText(ref)), nil
}

func (b *body) demonitor(o *abi.Effect) ([]byte, error) {
	n, _ := strconv.ParseUint(o.Name, 10, 64)
	ref := supervisor.Ref(n)
	if b.holdings == nil || !b.monitors[ref] {
		return nil, abi.CodeNoProcess
	}
	delete(b.monitors, ref)
	b.drop()
	b.process.Demonitor(ref)
	return nil, nil
}

func (b *body) link(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if to == b.process {
		return nil, nil
	}
	if err := b.hold(); err != nil {
		return nil, err
	}
	b.process.Link(to)
	return nil, nil
}

func (b *body) unlink(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	b.drop()
	b.process.Unlink(to)
	return nil, nil
}

func (b *body) trapExit(o *abi.Effect) ([]byte, error) {
	switch o.Name {
	case "on", "off":
		b.process.TrapExit(o.Name == "on")
		return nil, nil
	}
	return nil, abi.CodeMalformed
}

func (b *body) exit(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	to.Exit(b.process, exitReason(string(o.Payload)))
	return nil, nil
}

// exitReason is the reason that a guest names for another process's end, in the words
// in which reasons are told to guests.
func exitReason(text string) error {
	word, detail, _ := strings.Cut(text, ": ")
	switch {
	case text == "", text == "normal":
		return supervisor.Normal
	case text == "shutdown":
		return supervisor.Shutdown
	case word == "shutdown":
		return supervisor.ShutdownBecause(printable([]byte(detail)))
	case text == "kill":
		return supervisor.Killed
	}
	return &guestReason{printable([]byte(text))}
}

// guestReason is the reason of a crash as a guest gave it.
type guestReason struct{ text string }

func (r *guestReason) Error() string { return r.text }

// info is what the host knows of a process, as JSON.
func (b *body) info(o *abi.Effect) ([]byte, error) {
	p := b.process
	if o.Name != "" {
		var err error
		if p, err = b.find(o.Name); err != nil {
			return nil, err
		}
	}
	i := p.Info()
	type view struct {
		PID        string   `json:"pid"`
		Parent     string   `json:"parent,omitempty"`
		Names      []string `json:"names"`
		State      string   `json:"state"`
		Mailbox    int      `json:"mailbox"`
		Links      int      `json:"links"`
		Monitors   int      `json:"monitors"`
		TrapExit   bool     `json:"trap_exit"`
		Reductions uint64   `json:"reductions"`
		Memory     int64    `json:"memory"`
		Restarts   int      `json:"restarts"`
	}
	v := view{
		PID: pidText(i.PID), Names: append([]string{}, i.Names...), State: i.State.String(), Mailbox: i.Mailbox,
		Links: i.Links, Monitors: i.Monitors, TrapExit: i.TrapExit,
		Reductions: i.Reductions, Memory: i.Memory, Restarts: i.Restarts,
	}
	if i.Parent != 0 {
		v.Parent = pidText(i.Parent)
	}
	return json.Marshal(v)
}
