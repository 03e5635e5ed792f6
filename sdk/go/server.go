package rtd

// Server is OTP's GenServer: a process that keeps a state and answers. Besides Init it can
// implement any of [CallHandler], [CastHandler], [InfoHandler], [BroadcastHandler],
// [DownHandler], [ExitHandler], [ReplyHandler] and [Terminator]. Methods are called one at a
// time. An error is a crash, as a panic is.
type Server interface {
	// Init takes the arguments that [Spawn] or the [Tree] gives. They are valid
	// until it returns.
	Init(args []byte) error
}

// Serve registers a module whose processes are servers made by create. Call it from
// init.
func Serve(name string, create func() Server) {
	module(name, func() body { return &server{create()} })
}

type server struct{ Server }

func (s *server) code() any { return s.Server }

func (s *server) handle(e record) error {
	if e.kind != eventInit {
		return handle(s.Server, e)
	}
	return begin(s.Server, e)
}

// begin handles the init of a server, and answers the process that asked whether it went
// well.
func begin(s Server, e record) error {
	wantTerminate(s)
	if err := s.Init(e.payload); err != nil {
		return err
	}
	if e.flags&flagRequest != 0 {
		From{e.extra}.Reply(nil)
	}
	return nil
}
