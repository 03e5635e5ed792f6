package rtd

import (
	"bytes"
	"strings"
	"testing"
)

// Host stands in for the server around an instance: it notes what the SDK asks for
// and answers as it was told. Each has a program of its own, with nothing
// registered.
type Host struct {
	t       *testing.T
	Asked   []string // since the last look, see Want
	answers map[string][]answer
	last    []byte // for take
}

type answer struct {
	text string
	code Code
}

// NewHost puts a host around this test.
func NewHost(t *testing.T) *Host {
	h := &Host{t: t, answers: map[string][]answer{}}
	savedOp, savedPlugin, savedThis := op, plugin, this
	op = h.op
	plugin.onStart, plugin.onStop, plugin.depends, plugin.durable, plugin.routes, plugin.tree = nil, nil, nil, nil, nil, nil
	plugin.modules, plugin.onConnect, plugin.histories = nil, nil, nil
	h.NewProcess()
	t.Cleanup(func() { op, plugin, this = savedOp, savedPlugin, savedThis })
	return h
}

// NewProcess forgets what the instance was.
func (h *Host) NewProcess() { this.body = nil }

// Answer makes operations of this name, from the next one on, give these answers, and the
// last of them again and again.
func (h *Host) Answer(operation string, texts ...string) {
	h.answers[operation] = nil
	for _, text := range texts {
		h.answers[operation] = append(h.answers[operation], answer{text: text})
	}
}

// Fail makes an operation or effect fail; the reason is for codeEnded.
func (h *Host) Fail(operation string, code Code, reason string) {
	h.answers[operation] = []answer{{reason, code}}
}

func (h *Host) op(b, out []byte) int32 {
	r, ok := parseRecord(bytes.Clone(b))
	if !ok {
		h.t.Fatalf("malformed record % x", b)
	}
	if r.kind == opTake {
		copy(out, h.last)
		return int32(len(h.last))
	}
	h.Asked = append(h.Asked, text(r))
	if r.kind == opAbort {
		panic(crash(r.payload))
	}
	name := r.kind.name()
	list := h.answers[name]
	if len(list) == 0 {
		return 0
	}
	if len(list) > 1 {
		h.answers[name] = list[1:]
	}
	h.last = []byte(list[0].text)
	if list[0].code != 0 {
		return int32(list[0].code)
	}
	copy(out, h.last)
	return int32(len(h.last))
}

// crash is what the fake host unwinds an instance with.
type crash string

// text is a record in one line: kind, flags, and the fields up to the last that is not
// empty.
func text(r record) string {
	s := r.kind.name()
	for _, flag := range []struct {
		bit  uint16
		name string
	}{{flagBinary, "binary"}, {flagLink, "link"}, {flagRequest, "request"}, {flagNotify, "notify"}} {
		if r.flags&flag.bit != 0 {
			s += "+" + flag.name
		}
	}
	return strings.TrimRight(strings.Join([]string{s, r.name, string(r.payload), r.detail, r.extra}, "|"), "|")
}

// Event gives the instance an event and returns the cause if it crashed.
func (h *Host) Event(r record) (crashed string) {
	h.t.Helper()
	defer func() {
		switch v := recover().(type) {
		case nil:
		case crash:
			crashed = string(v)
		case error:
			crashed = v.Error()
		case string:
			crashed = v
		default:
			panic(v)
		}
	}()
	b := appendRecord(nil, r)
	copy(reserve(uint32(len(b))), b)
	if receive(uint32(len(b))) != 0 {
		h.t.Fatalf("event %+v was refused", r)
	}
	return ""
}

// The events that a process gets.

func (h *Host) Start(config string) string {
	return h.Event(record{kind: eventStart, name: "test", payload: []byte(config), detail: "v1"})
}

func (h *Host) Init(module, args string) string {
	h.NewProcess()
	return h.Event(record{kind: eventInit, name: module, payload: []byte(args), detail: "#7"})
}

func (h *Host) InitWithQuestion(module, args, token string) string {
	h.NewProcess()
	return h.Event(record{eventInit, flagRequest, module, []byte(args), "#7", token})
}

func (h *Host) Join(topic, payload, member string) string {
	return h.Event(record{kind: eventJoin, name: topic, payload: []byte(payload), detail: member})
}

func (h *Host) Message(event, payload, member string) string {
	return h.Event(record{kind: eventMessage, name: event, payload: []byte(payload), detail: member})
}

func (h *Host) JoinWithAssigns(topic, payload, member, assigns string) string {
	return h.Event(record{eventJoin, 0, topic, []byte(payload), member, assigns})
}

func (h *Host) MessageToAnswer(event, payload, token string) string {
	return h.Event(record{eventMessage, 1 << 1, event, []byte(payload), "", token})
}

func (h *Host) BinaryMessage(event, payload string) string {
	return h.Event(record{kind: eventMessage, flags: flagBinary, name: event, payload: []byte(payload)})
}

func (h *Host) Out(event, payload, leftOut string) string {
	return h.Event(record{kind: eventOut, name: event, payload: []byte(payload), detail: leftOut})
}

func (h *Host) BroadcastOf(topic, event, payload string) string {
	return h.Event(record{kind: eventBroadcast, name: event, payload: []byte(payload), detail: topic})
}

func (h *Host) Connect(mount, info string) string {
	h.NewProcess()
	return h.Event(record{kind: eventConnect, name: mount, payload: []byte(info)})
}

func (h *Host) Members(topic string, list ...string) string {
	return h.Event(record{kind: eventMembers, name: topic, payload: []byte(Fields(list...))})
}

func (h *Host) MembersWithAssigns(topic, list, assigns string) string {
	return h.Event(record{eventMembers, 0, topic, []byte(list), "", assigns})
}

func (h *Host) Leave(member, reason string) string {
	return h.Event(record{kind: eventLeave, payload: []byte(reason), detail: member})
}

func (h *Host) Call(token, question string) string {
	return h.Event(record{kind: eventCall, name: token, payload: []byte(question)})
}

func (h *Host) Cast(message string) string {
	return h.Event(record{kind: eventCast, payload: []byte(message)})
}

func (h *Host) Info(message string) string {
	return h.Event(record{kind: eventInfo, payload: []byte(message)})
}

func (h *Host) Reply(request, answer string) string {
	return h.Event(record{kind: eventReply, name: request, payload: []byte(answer)})
}

func (h *Host) ReplyFailed(request, reason string) string {
	return h.Event(record{kind: eventReply, flags: flagFailed, name: request, payload: []byte(reason)})
}

func (h *Host) Down(monitor, pid, reason string) string {
	return h.Event(record{kind: eventDown, name: monitor, payload: []byte(reason), detail: pid})
}

func (h *Host) Exit(pid, reason string) string {
	return h.Event(record{kind: eventExit, name: pid, payload: []byte(reason)})
}

func (h *Host) Terminate(kind, detail string) string {
	return h.Event(record{kind: eventTerminate, name: kind, payload: []byte(detail)})
}

func (h *Host) Export(topicOrModule string) string {
	return h.Event(record{kind: eventExport, name: topicOrModule})
}

// Import gives a new instance the state; list is of members or of a process.
func (h *Host) Import(topicOrModule, schema, state string, list ...string) string {
	h.NewProcess()
	return h.Event(record{eventImport, 0, topicOrModule, []byte(state), schema, Fields(list...)})
}

func (h *Host) Stop() string { return h.Event(record{kind: eventStop}) }

// Want checks what was asked for since the last Want.
func (h *Host) Want(want ...string) {
	h.t.Helper()
	if got, want := strings.Join(h.Asked, "\n"), strings.Join(want, "\n"); got != want {
		h.t.Errorf("asked for\n%s\n\nwant\n%s", got, want)
	}
	h.Asked = nil
}

// Fields is a list of fields, as an answer may be.
func Fields(fields ...string) string {
	var b []byte
	for _, field := range fields {
		b = appendField(b, field)
	}
	return string(b)
}

// ErrEnded is the code behind an EndedError.
const ErrEnded = codeEnded
