package rtd

// PID says which process is meant: "#1c.k3v9q2m". Wherever one is asked for, a name under which
// the process is registered will do: "registry", or "accounts/registry" for one of a
// plugin that this one depends on.
type PID string

// Ref names a request, monitor or timer of this process.
type Ref string

// Self returns the pid of this process. One that is [Durable] has another after a crash, standing still or a restart of
// the server.
func Self() PID { return PID(known(record{kind: opSelf})) }

// EventID returns the id of the event at hand. It is the same when the event is tried again, as some of what is
// [Durable] are, and no other event ever has it: whoever is told the id, and keeps it, can see that a call is an old one.
func EventID() string { return known(record{kind: opEventID}) }

// known is what the host knows of each process.
func known(r record) string {
	text, err := doText(r)
	if err != nil {
		abort(err.Error())
	}
	return text
}

// SpawnOptions say how a process is started. The zero value is a process without
// supervisor, link or name.
type SpawnOptions struct {
	// Under is the id of a [Dynamic] supervisor, which restarts the process as
	// declared there. Spawn then waits for its Init, and fails if that does. "" is none.
	Under string
	// Name is registered for the process before it begins; "" is none.
	Name string
	// Link says that the process is linked with this one.
	Link bool
}

// Spawn starts a process of a module, which [Serve], [NewAgent], [NewTask] and so on
// register. It has its own memory and gets a copy of args.
func Spawn(module string, args []byte, o SpawnOptions) (PID, error) {
	pid, _, err := spawn(module, args, o, 0)
	return pid, err
}

// spawn with flagRequest also asks the process for an answer to its init.
func spawn(module string, args []byte, o SpawnOptions, flags uint16) (PID, Ref, error) {
	if plugin.modules[module] == nil {
		return "", "", &OpError{"spawn", module, errText("no such module; register it from init, for example with rtd.Serve")}
	}
	if o.Link {
		flags |= flagLink
	}
	answer, err := operate(record{opSpawn, flags, module, args, o.Under, o.Name})
	if err != nil {
		return "", "", err
	}
	pid, rest, _ := cutField(answer)
	ref, _, _ := cutField(rest)
	return PID(pid), Ref(ref), nil
}

// Children lists the pids of the processes under a [Dynamic] supervisor.
func Children(supervisor string) ([]PID, error) {
	answer, err := operate(record{kind: opChildren, name: supervisor})
	if err != nil {
		return nil, err
	}
	var pids []PID
	for pid := range fields(answer) {
		pids = append(pids, PID(pid))
	}
	return pids, nil
}

// StopChild ends a process under a [Dynamic] supervisor for good.
func StopChild(p PID) error { return do(record{kind: opStopChild, name: string(p)}) }

// Link binds this process and another: if one of them ends, other than normally, so
// does the other one, for the same reason, unless it traps exits.
func Link(p PID) error { return do(record{kind: opLink, name: string(p)}) }

// Unlink takes back a link.
func Unlink(p PID) error { return do(record{kind: opUnlink, name: string(p)}) }

// TrapExit says whether the end of a linked process is told to this one's
// [ExitHandler] instead of ending it.
func TrapExit(on bool) {
	name := "off"
	if on {
		name = "on"
	}
	if err := do(record{kind: opTrapExit, name: name}); err != nil {
		abort(err.Error())
	}
}

// Exit makes a process end for a reason, as the end of a linked one would. The
// reason "kill" ends also one that traps exits.
func Exit(p PID, reason string) error {
	return do(record{kind: opExit, name: string(p), payload: []byte(reason)})
}

// Monitor lets this process's [DownHandler] know when p ends. If p has ended
// already, the error is ErrNoProcess.
func Monitor(p PID) (Ref, error) { return doRef(record{kind: opMonitor, name: string(p)}) }

// Demonitor takes back a monitor. Nothing more comes of it.
func Demonitor(monitor Ref) error { return do(record{kind: opDemonitor, name: string(monitor)}) }

// Register gives p a name, which is free again when p has ended.
func Register(name string, p PID) error {
	return do(record{kind: opRegister, name: name, payload: []byte(p)})
}

// Unregister takes a name away from the process that has it.
func Unregister(name string) error { return do(record{kind: opUnregister, name: name}) }

// Whereis returns the pid behind a name.
func Whereis(name string) (PID, error) {
	pid, err := operate(record{kind: opWhereis, name: name})
	return PID(pid), err
}

// Send gives p a message for its [InfoHandler]. It does not wait.
func Send(p PID, message []byte) error {
	return do(record{kind: opSend, name: string(p), payload: message})
}

// Info returns a JSON object about a process: its names, state, mailbox, memory and
// so on.
func Info(p PID) ([]byte, error) {
	answer, err := operate(record{kind: opInfo, name: string(p)})
	return clone(answer), err
}

// Hibernate says that nothing will happen to this process for long: after the event
// its memory is made as small as can be.
func Hibernate() { effect(record{kind: effectHibernate}) }

// Stop ends this process when it has handled the event at hand; what it asked for
// happens. The reason is [Normal], [Shutdown], or Shutdown + ": " + why; any other
// is a crash.
func Stop(reason string) {
	kind, detail := "crash", reason
	switch {
	case reason == "" || reason == Normal:
		kind, detail = Normal, ""
	case !IsCrash(reason):
		kind, detail = Shutdown, reason[min(len(reason), len(Shutdown+": ")):]
	}
	effect(record{kind: effectStop, name: kind, payload: []byte(detail)})
}
