package plugin

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// A process is named by its pid, by a name that its plugin knows, or by another
// plugin's name and a name there. What the host provides looks like a plugin.
const hostName = "rtd"

func pidText(pid supervisor.PID) string { return "#" + strconv.FormatUint(uint64(pid), 10) }

// pidOf makes a process findable by its pid.
func pidOf(p *supervisor.Process) string { return pidText(p.Export()) }

// find returns the process that a guest means.
func (b *body) find(address string) (*supervisor.Process, error) {
	pl := b.plugin
	if digits, isPID := strings.CutPrefix(address, "#"); isPID {
		pid, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return nil, abi.CodeMalformed
		}
		p := pl.set.runtime.Find(supervisor.PID(pid))
		if p == nil {
			return nil, abi.CodeNoProcess
		}
		if !pl.knows(p.Group()) {
			return nil, abi.CodeDenied
		}
		return p, nil
	}
	if name, host := strings.CutPrefix(address, hostName+"/"); host {
		if p := pl.set.services.Whereis(name); p != nil {
			return p, nil
		}
		return nil, abi.CodeNoProcess
	}
	if other, name, elsewhere := strings.Cut(address, "/"); elsewhere {
		if !slices.Contains(b.release.depends, other) {
			return nil, abi.CodeDenied
		}
		if pl = pl.set.get(other); pl == nil {
			return nil, abi.CodeNoProcess
		}
		address = name
	}
	p := pl.names.Whereis(address)
	if p == nil {
		return nil, abi.CodeNoProcess
	}
	return p, nil
}

// knows says whether the plugin's processes may talk to those of a group: their own
// plugin's, the host's, one that this one depends on, or one that depends on this
// one, which must be able to get an answer.
func (pl *Plugin) knows(g *supervisor.Group) bool {
	if g == pl.group || g == pl.set.group {
		return true
	}
	other := pl.set.ofGroup(g)
	return other != nil && (pl.dependsOn(other.name) || other.dependsOn(pl.name))
}

func (pl *Plugin) dependsOn(name string) bool {
	return slices.Contains(pl.current.Load().depends, name)
}

// register gives a process a name: the guest's own, or the one in the payload.
func (b *body) register(o *abi.Effect) ([]byte, error) {
	p := b.process
	if len(o.Payload) > 0 {
		var err error
		if p, err = b.find(printable(o.Payload)); err != nil {
			return nil, err
		}
		if p.Group() != b.plugin.group {
			return nil, abi.CodeDenied
		}
	}
	return nil, b.plugin.register(o.Name, p)
}

// register gives one of the plugin's processes a name.
func (pl *Plugin) register(name string, p *supervisor.Process) error {
	if name == "" || strings.HasPrefix(name, "#") || strings.Contains(name, "/") {
		return abi.CodeMalformed
	}
	if pl.names.Len() >= pl.current.Load().settings.References {
		return abi.CodeLimit
	}
	err := pl.names.Register(name, p)
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

func (b *body) unregister(o *abi.Effect) ([]byte, error) {
	if !b.plugin.names.Unregister(o.Name) {
		return nil, abi.CodeNoProcess
	}
	return nil, nil
}

func (b *body) whereis(o *abi.Effect) ([]byte, error) {
	p, err := b.find(o.Name)
	if err != nil {
		return nil, err
	}
	return []byte(pidOf(p)), nil
}

// Provide runs a process of the host, in Go, which guests of all plugins can reach as
// "rtd/NAME". It gets their calls as [*Request] and their casts and messages as
// [*Message], and has to end before Close.
func (s *Set) Provide(name string, spec supervisor.Spec) (*supervisor.Process, error) {
	spec.Group = s.group
	p := s.runtime.Spawn(spec)
	if err := s.services.Register(name, p); err != nil {
		p.Stop(supervisor.Shutdown)
		return nil, err
	}
	return p, nil
}

// Whereis returns the process that a plugin knows by a name, or nil.
func (s *Set) Whereis(plugin, name string) *supervisor.Process {
	if pl := s.get(plugin); pl != nil {
		return pl.names.Whereis(name)
	}
	return nil
}
