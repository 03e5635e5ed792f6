package rtd

// Agent is OTP's Agent: a process that keeps a state of type S and lets others
// work on it with functions. A function cannot be sent from one memory to another,
// but every process of the plugin has the whole program: functions are registered, and a
// call carries the name.
//
//	var words = rtd.NewAgent("words", func(args []byte) (map[string]int, error) {
//		return map[string]int{}, nil
//	})
//
//	var count = words.Get("count", func(m map[string]int, word []byte) []byte {
//		return strconv.AppendInt(nil, int64(m[string(word)]), 10)
//	})
//
//	n, err := count("words", []byte("hello")) // in any process
type Agent[S any] struct {
	create    func(args []byte) (S, error)
	functions map[string]func(state *S, arg []byte) []byte
}

// AgentFunc runs a registered function in an agent's process and waits for the answer,
// which is the caller's to keep. Errors are those of [Call], with its default
// timeout. A panic in the function crashes the agent, and the caller gets an
// [*EndedError].
type AgentFunc func(agent PID, arg []byte) ([]byte, error)

// NewAgent registers a module whose processes are agents, which begin with the state that
// create returns. Call it from init, or for a package variable, and so its
// methods.
func NewAgent[S any](name string, create func(args []byte) (S, error)) *Agent[S] {
	a := &Agent[S]{create, map[string]func(*S, []byte) []byte{}}
	module(name, func() body { return &server{&agent[S]{Agent: a}} })
	return a
}

// Get registers a function that looks at the state.
func (a *Agent[S]) Get(name string, f func(state S, arg []byte) []byte) AgentFunc {
	return a.GetAndUpdate(name, func(s *S, arg []byte) []byte { return f(*s, arg) })
}

// Update registers a function that changes the state. It returns an [AgentFunc] without
// an answer.
func (a *Agent[S]) Update(name string, f func(state *S, arg []byte)) func(agent PID, arg []byte) error {
	update := a.GetAndUpdate(name, func(s *S, arg []byte) []byte { f(s, arg); return nil })
	return func(agent PID, arg []byte) error {
		_, err := update(agent, arg)
		return err
	}
}

// GetAndUpdate registers a function that changes the state and answers.
func (a *Agent[S]) GetAndUpdate(name string, f func(state *S, arg []byte) []byte) AgentFunc {
	if a.functions[name] != nil {
		panic("rtd: function " + name + " of an agent is registered twice; give one of them another name")
	}
	a.functions[name] = f
	return func(agent PID, arg []byte) ([]byte, error) {
		question := make([]byte, 0, 4+len(name)+len(arg))
		return Call(agent, append(appendField(question, name), arg...), 0)
	}
}

// agent is the process.
type agent[S any] struct {
	*Agent[S]
	state S
}

func (a *agent[S]) Init(args []byte) (err error) {
	a.state, err = a.create(args)
	return err
}

func (a *agent[S]) HandleCall(from From, question []byte) error {
	name, arg, ok := cutField(question)
	f := a.functions[string(name)]
	if !ok || f == nil {
		return errText("agents take calls of their registered functions only; call it by what Get, Update or GetAndUpdate returned")
	}
	from.Reply(f(&a.state, arg))
	return nil
}

func (a *agent[S]) migrator() Migrator {
	m, _ := any(&a.state).(Migrator)
	return m
}
