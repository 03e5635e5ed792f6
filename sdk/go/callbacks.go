package rtd

// The handlers are optional, and the same for every kind of process: for a [Server], a
// [Channel], a [TopicChannel] and an [EventHandler]. Bytes are valid until the method
// returns. A call or cast without a handler is a crash; any other event without one is
// logged and dropped. To have a wrong signature found by the compiler, write
//
//	var _ rtd.CallHandler = (*Registry)(nil)
type (
	// CallHandler answers the questions that others ask with [Call] or [Request]: with
	// from.Reply, now or during a later event.
	CallHandler interface {
		HandleCall(from From, question []byte) error
	}

	// CastHandler takes the messages that others send with [Cast].
	CastHandler interface {
		HandleCast(message []byte) error
	}

	// InfoHandler takes the messages of [Send] and [SendAfter].
	InfoHandler interface {
		HandleInfo(message []byte) error
	}

	// BroadcastHandler takes the broadcasts of a topic after [Subscribe].
	BroadcastHandler interface {
		HandleBroadcast(topic, event string, payload []byte) error
	}

	// DownHandler is told that the process of a [Monitor] has ended.
	DownHandler interface {
		HandleDown(monitor Ref, p PID, reason string) error
	}

	// ExitHandler is told that a linked process has ended, if [TrapExit] is on.
	ExitHandler interface {
		HandleExit(p PID, reason string) error
	}

	// ReplyHandler takes the answer to a [RequestNotify], or of a task with Notify. If
	// there is none, err is an [*EndedError] that says why.
	ReplyHandler interface {
		HandleReply(request Ref, answer []byte, err error) error
	}

	// Terminator is told that its process ends, unless by a crash or a kill. It
	// is the last event.
	Terminator interface {
		Terminate(reason string)
	}
)

// wantTerminate asks for the event that is sent on request only.
func wantTerminate(of any) {
	if _, ok := of.(Terminator); ok {
		effect(record{kind: effectWants, name: "terminate"})
	}
}

// handle gives an event to the handler that the process has for it.
func handle(of any, e record) error {
	switch e.kind {
	case eventCall:
		h, ok := of.(CallHandler)
		if !ok {
			return errText("a call to a process without HandleCall(rtd.From, []byte) error")
		}
		return h.HandleCall(From{e.name}, e.payload)
	case eventCast:
		h, ok := of.(CastHandler)
		if !ok {
			return errText("a cast to a process without HandleCast([]byte) error")
		}
		return h.HandleCast(e.payload)
	case eventInfo:
		if h, ok := of.(InfoHandler); ok {
			return h.HandleInfo(e.payload)
		}
		unheard("message", "HandleInfo([]byte) error")
	case eventBroadcast:
		if h, ok := of.(BroadcastHandler); ok {
			return h.HandleBroadcast(e.detail, e.name, e.payload)
		}
		unheard("broadcast of a topic", "HandleBroadcast(string, string, []byte) error")
	case eventDown:
		if h, ok := of.(DownHandler); ok {
			return h.HandleDown(Ref(e.name), PID(e.detail), string(e.payload))
		}
		unheard("end of a monitored process", "HandleDown(rtd.Ref, rtd.PID, string) error")
	case eventExit:
		if h, ok := of.(ExitHandler); ok {
			return h.HandleExit(PID(e.name), string(e.payload))
		}
		unheard("end of a linked process", "HandleExit(rtd.PID, string) error")
	case eventReply:
		h, ok := of.(ReplyHandler)
		switch {
		case !ok:
			unheard("answer to a request", "HandleReply(rtd.Ref, []byte, error) error")
		case e.flags&flagFailed != 0:
			return h.HandleReply(Ref(e.name), nil, &EndedError{string(e.payload)})
		default:
			return h.HandleReply(Ref(e.name), e.payload, nil)
		}
	case eventTerminate:
		if h, ok := of.(Terminator); ok {
			h.Terminate(reasonOf(e))
		}
	case eventExport:
		return exportState(of)
	case eventImport:
		return importState(of, e)
	}
	return nil
}

func unheard(what, method string) {
	Log("warn", "dropped: the "+what+"; the process has no "+method)
}

// reasonOf joins a kind of reason and what more is known.
func reasonOf(e record) string {
	if len(e.payload) == 0 {
		return e.name
	}
	return e.name + ": " + string(e.payload)
}
