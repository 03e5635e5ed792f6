package process

import (
	"strings"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

func (b *body) monitor(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if err := b.hold(0); err != nil {
		return nil, err
	}
	ref := to.watch(b.process)
	b.monitors[ref] = ""
	if b.memory != nil {
		b.memory.shown = true
		b.monitors[ref] = to.pid()
	}
	return b.answerOf(ref), nil
}

func (b *body) demonitor(o *abi.Effect) ([]byte, error) {
	ref := b.refOf(o.Name)
	if b.holdings == nil {
		return nil, abi.CodeNoProcess
	}
	if _, monitors := b.monitors[ref]; !monitors {
		return nil, abi.CodeNoProcess
	}
	delete(b.monitors, ref)
	b.settle(0)
	b.process.Demonitor(ref)
	return nil, nil
}

func (b *body) link(o *abi.Effect) ([]byte, error) {
	found, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	to := found.here()
	switch {
	case to == b.process:
		return nil, nil
	case to == nil, b.ofHost(found):
		return nil, abi.CodeDenied // a service would end with a guest that crashes
	}
	if b.holdings == nil || b.links[to] == 0 {
		if err := b.hold(0); err != nil {
			return nil, err
		}
		b.links[to] = b.process.Monitor(to) // a link may end without a word to this process
	}
	b.process.Link(to)
	return nil, nil
}

func (b *body) unlink(o *abi.Effect) ([]byte, error) {
	found, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	to := found.here()
	if to == nil {
		return nil, nil
	}
	b.process.Unlink(to)
	if b.holdings != nil && b.links[to] != 0 {
		b.process.Demonitor(b.links[to])
		delete(b.links, to)
		b.settle(0)
	}
	return nil, nil
}

func (b *body) trapExit(o *abi.Effect) ([]byte, error) {
	switch o.Name {
	case "on", "off":
		b.process.TrapExit(o.Name == "on")
		if b.memory != nil {
			b.memory.traps = o.Name == "on"
		}
		return nil, nil
	}
	return nil, abi.CodeMalformed
}

func (b *body) exit(o *abi.Effect) ([]byte, error) {
	to, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	if b.ofHost(to) {
		return nil, abi.CodeDenied
	}
	if to.Exit(b.process, exitReason(string(o.Payload))) != nil {
		return nil, abi.CodeFull
	}
	return nil, nil
}

// exitReason reads the reason that a guest gives for another process's end, in the words
// of sandbox/abi.
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
