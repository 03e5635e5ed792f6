package rtd

import "time"

// Task is OTP's Task: a function that runs in a process of its own, once.
//
//	var preview = rtd.NewTask("preview", fetch)
//
//	job, err := preview.Async(url)
//	… // other work
//	page, err := job.Await(0)
type Task struct{ module string }

// NewTask registers a module whose processes run f and end. f returns the answer;
// an error or panic crashes the process. Call it from init, or for a package
// variable.
func NewTask(name string, f func(args []byte) ([]byte, error)) *Task {
	module(name, func() body { return &task{run: f} })
	return &Task{name}
}

// TaskOptions say how a task that is not linked is started.
type TaskOptions struct {
	// Under is the id of a [Dynamic] supervisor; "" is none. Its restart type
	// should be temporary: nobody waits for the answer of a restarted task.
	Under string
	// Notify makes the answer go to this process's [ReplyHandler] with the job's
	// Ref, instead of being awaited.
	Notify bool
}

// Job is a task that runs.
type Job struct {
	PID PID
	Ref Ref
}

// Async runs the task in a process linked with this one, as OTP's Task.async: if it
// crashes, so does this process, unless that traps exits.
func (t *Task) Async(args []byte) (Job, error) {
	return t.spawn(args, SpawnOptions{Link: true}, flagRequest)
}

// AsyncNolink runs the task in a process that is not linked, as OTP's
// Task.Supervisor.async_nolink: only the process that waits for its answer learns that it
// crashed.
func (t *Task) AsyncNolink(args []byte, o TaskOptions) (Job, error) {
	flags := flagRequest
	if o.Notify {
		flags |= flagNotify
	}
	return t.spawn(args, SpawnOptions{Under: o.Under}, flags)
}

// Start runs the task for its effects alone: nobody waits for an answer. under is the
// id of a [Dynamic] supervisor; "" is none.
func (t *Task) Start(args []byte, under string) (PID, error) {
	return Spawn(t.module, args, SpawnOptions{Under: under})
}

func (t *Task) spawn(args []byte, o SpawnOptions, flags uint16) (j Job, err error) {
	j.PID, j.Ref, err = spawn(t.module, args, o, flags)
	return j, err
}

// Await waits for the task's answer, as [Await] does for that of a request. If the
// task has crashed, the error is an [*EndedError].
func (j Job) Await(timeout time.Duration) ([]byte, error) { return Await(j.Ref, timeout) }

// task is the process. It works in an event after its init, for which whoever starts it
// under a supervisor waits.
type task struct {
	run  func(args []byte) ([]byte, error)
	args []byte
	from From
}

func (t *task) handle(e record) error {
	switch e.kind {
	case eventExport, eventImport:
		return handle(t, e)
	case eventInit:
		t.args, t.from = clone(e.payload), From{e.extra}
		return Send(Self(), nil)
	case eventInfo:
		answer, err := t.run(t.args)
		if err != nil {
			return err
		}
		if t.from != (From{}) {
			t.from.Reply(answer)
		}
		Stop(Normal)
	}
	return nil
}

func (t *task) code() any { return t }

// Export is for a task that has not begun yet. None is moved while it works.
func (t *task) Export() (schema string, state []byte, err error) {
	return taskSchema, append(appendField(nil, t.from.token), t.args...), nil
}

func (t *task) Import(schema string, state []byte) error {
	token, args, ok := cutField(state)
	if !ok || schema != taskSchema {
		return errText("the task is of another version of the SDK: " + schema)
	}
	t.from, t.args = From{string(token)}, clone(args)
	return nil
}

const taskSchema = "rtd.Task 1"
