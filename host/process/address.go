package process

import (
	"errors"
	"slices"
	"strings"

	"rtd/host/ask"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// A process is named by its pid, by a name that its plugin knows, or by another
// plugin's name and a name there.

// TextOf is a pid of a runtime as guests have it.
func TextOf(rt *supervisor.Runtime, pid supervisor.PID) string {
	return string(rt.AppendPID(make([]byte, 0, 32), pid))
}

// pidOf makes a process findable by its pid.
func pidOf(p *supervisor.Process) string { return TextOf(p.Runtime(), p.Export()) }

// textOf is a ref as the guest has it: a call's token, a request, timer or monitor.
func (b *body) textOf(ref supervisor.Ref) string {
	return string(b.process.Runtime().AppendRef(make([]byte, 0, 32), ref))
}

// answerOf is the answer of an operation that made the ref.
func (b *body) answerOf(ref supervisor.Ref) []byte {
	return b.process.Runtime().AppendRef(make([]byte, 0, 24), ref)
}

// refOf is the ref that a guest means, or 0.
func (b *body) refOf(text string) supervisor.Ref {
	ref, err := b.process.Runtime().ParseRef(text)
	if err != nil && b.memory != nil {
		return b.memory.foreign[text]
	}
	return ref
}

// find returns the process with an address.
func (b *body) find(address string) (peer, error) {
	h := b.home
	if strings.HasPrefix(address, "#") {
		pid, err := h.Node.Runtime.ParsePID(address)
		if errors.Is(err, supervisor.ErrMalformed) {
			return nil, abi.CodeMalformed
		}
		p := h.Node.Runtime.Find(pid) // 0, of another runtime, is nobody's
		switch {
		case p == nil:
			return nil, abi.CodeNoProcess
		case !b.mayReach(p):
			return nil, abi.CodeDenied
		}
		return local{p}, nil
	}
	if name, host := strings.CutPrefix(address, ask.HostName+"/"); host {
		if !b.mayAsk(name) {
			return nil, abi.CodeDenied
		}
		if p := h.Node.Services.Whereis(name); p != nil {
			return local{p}, nil
		}
		return nil, abi.CodeNoProcess
	}
	if other, name, elsewhere := strings.Cut(address, "/"); elsewhere {
		if !slices.Contains(b.release.Depends, other) {
			return nil, abi.CodeDenied
		}
		if h = h.Node.Homes.Called(other); h == nil {
			return nil, abi.CodeNoProcess
		}
		address = name
	}
	p := h.Names.Whereis(address)
	if p == nil {
		return nil, abi.CodeNoProcess
	}
	return local{p}, nil
}

// mayReach says whether the guest may talk to a process.
func (b *body) mayReach(p *supervisor.Process) bool {
	if service, host := b.home.Node.Services.Has(p); host {
		return service != "" && b.mayAsk(service)
	}
	return b.home.knows(p.Group())
}

// ofHost says whether a process belongs to the host.
func (b *body) ofHost(p peer) bool {
	if p.here() == nil {
		return false
	}
	_, host := b.home.Node.Services.Has(p.here())
	return host
}

// mayAsk says whether a service of the host is granted to the guest.
func (b *body) mayAsk(service string) bool {
	return slices.Contains(b.release.Settings.Services, ask.HostName+"/"+service)
}

// knows says whether the plugin's processes may talk to those of a group: their own
// plugin's, a plugin that this one depends on, or one that depends on this one, and must
// be able to get answers.
func (h *Home) knows(g *supervisor.Group) bool {
	if g == h.Group {
		return true
	}
	other := h.Node.Homes.Of(g)
	return other != nil && (h.dependsOn(other) || other.dependsOn(h))
}

func (h *Home) dependsOn(other *Home) bool {
	return slices.Contains(h.App.Release().Depends, other.App.Name())
}

// register gives a process a name: the guest's own, or the one in the payload.
func (b *body) register(o *abi.Effect) ([]byte, error) {
	p := b.process
	if len(o.Payload) > 0 {
		to, err := b.find(printable(o.Payload))
		if err != nil {
			return nil, err
		}
		if p = to.here(); p == nil || p.Group() != b.home.Group {
			return nil, abi.CodeDenied
		}
	}
	err := b.home.register(o.Name, p)
	if err == nil && b.memory != nil && p == b.process {
		b.memory.named(o.Name)
	}
	return nil, err
}

// register gives one of the plugin's processes a name, if the plugin may have one more.
func (h *Home) register(name string, p *supervisor.Process) error {
	if h.tooManyNames() || !h.Keep(thingSize+len(name)) {
		return abi.CodeLimit
	}
	return h.enter(name, p)
}

// registerAnyway is register for a process that was declared or spawned with the name:
// its restart must not fail for want of room.
func (h *Home) registerAnyway(name string, p *supervisor.Process) error {
	h.keepAnyway(thingSize + len(name))
	return h.enter(name, p)
}

// enter registers a name whose bytes are counted. They are given back when it is free.
func (h *Home) enter(name string, p *supervisor.Process) error {
	if name == "" || strings.HasPrefix(name, "#") || strings.Contains(name, "/") {
		h.Give(thingSize + len(name))
		return abi.CodeMalformed
	}
	err := h.Names.Register(name, p)
	if err != nil {
		h.Give(thingSize + len(name))
	}
	var taken *supervisor.TakenError
	switch {
	case errors.As(err, &taken) && taken.By == p.PID():
		return nil
	case errors.As(err, &taken):
		return abi.CodeTaken
	case err != nil:
		return abi.CodeNoProcess
	}
	return nil
}

func (h *Home) tooManyNames() bool {
	return h.Names.Len() >= h.App.Release().Settings.References
}

func (b *body) unregister(o *abi.Effect) ([]byte, error) {
	if !b.home.Names.Unregister(o.Name) {
		return nil, abi.CodeNoProcess
	}
	if b.memory != nil {
		delete(b.memory.names, o.Name)
	}
	return nil, nil
}

func (b *body) whereis(o *abi.Effect) ([]byte, error) {
	p, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	return []byte(p.pid()), nil
}
