package channels_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// room is the guest of these tests. What it does with a message follows from the
// event, what with a join from its payload.
type room struct {
	plugin  *plugin
	process *supervisor.Process
	count   int  // messages handled in this life
	wants   bool // terminate
	holds   bool // what it has outside of its memory: true from join on
}

// told is a message of another process, which has the guest handle the event.
type told struct{ event, payload string }

var errTrap = errors.New("trap")

// Handle names members as tests do: 1, 2, 3 in the order in which a handler has met them.
func (r *room) Handle(e *abi.Event) ([]abi.Effect, error) {
	shared, ok := r.process.Actor().(*channels.SharedChannel)
	if !ok {
		return r.handle(e)
	}
	ids := r.plugin.idsOf(shared)
	told := *e
	switch e.Kind {
	case abi.EventJoin, abi.EventMessage, abi.EventLeave, abi.EventOut:
		told.Detail = ids.number(e.Detail)
	case abi.EventMembers:
		told.Payload = ids.numbers(e.Payload, 2)
	case abi.EventImport:
		told.Extra = string(ids.numbers([]byte(e.Extra), 3))
	}
	effects, err := r.handle(&told)
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case abi.EffectPush, abi.EffectBroadcastFrom, abi.EffectPresent:
			e.Detail = ids.id(e.Detail)
		}
	}
	return effects, err
}

// ids are the members of a handler, as it has met them. Only its process uses them.
type ids []string

func (s *ids) number(id string) string {
	if id == "" {
		return ""
	}
	if !slices.Contains(*s, id) {
		*s = append(*s, id)
	}
	return fmt.Sprint(slices.Index(*s, id) + 1)
}

// numbers is a list of fields, with numbers in place of the ids: one in every so many.
func (s *ids) numbers(list []byte, every int) (numbers []byte) {
	i := 0
	for field := range abi.Fields(list) {
		if i%every == 0 {
			field = []byte(s.number(string(field)))
		}
		numbers = abi.AppendField(numbers, field)
		i++
	}
	return numbers
}

// id is the member with a number, or what is none.
func (s *ids) id(number string) string {
	if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= len(*s) {
		return (*s)[n-1]
	}
	return number
}

func (r *room) handle(e *abi.Event) ([]abi.Effect, error) {
	switch e.Kind {
	case abi.EventJoin:
		return r.join(e)
	case abi.EventLeave:
		return r.leave(e)
	case abi.EventMembers:
		return r.members(e)
	case abi.EventTerminate:
		return r.terminate(e)
	case abi.EventOut:
		return r.out(e)
	case abi.EventExport:
		return r.export(e)
	case abi.EventImport:
		return r.imported(e)
	case abi.EventAway:
		return r.away(e)
	case abi.EventBack:
		return r.back(e)
	}
	r.count++
	switch e.Name {
	case "echo":
		return binary(e, reply("ok", string(e.Payload))), nil
	case "save": // the answer comes with "answer"
		r.plugin.saveToken(e.Extra)
		return nil, nil
	case "answer once":
		token := r.plugin.savedToken()
		r.plugin.saveToken("")
		return []abi.Effect{{Kind: abi.EffectReply, Flags: e.Flags & abi.Binary, Name: "ok", Payload: e.Payload, Detail: token}}, nil
	case "answer": // the payload is the response
		return []abi.Effect{{Kind: abi.EffectReply, Flags: e.Flags & abi.Binary, Name: "ok", Payload: e.Payload, Detail: r.plugin.savedToken()}}, nil
	case "answer itself":
		return []abi.Effect{{Kind: abi.EffectReply, Name: "ok", Detail: e.Extra}}, nil
	case "answer and stop":
		return []abi.Effect{{Kind: abi.EffectReply, Name: "ok", Detail: e.Extra}, {Kind: abi.EffectStop, Name: "because"}}, nil
	case "fail":
		return reply("error", `{"reason":"no"}`), nil
	case "flags":
		return reply("ok", fmt.Sprint(e.Flags)), nil
	case "count":
		return reply("ok", fmt.Sprint(r.count)), nil
	case "push":
		return binary(e, effects(abi.EffectPush, "pushed", string(e.Payload))), nil
	case "say":
		return binary(e, effects(abi.EffectBroadcast, "said", string(e.Payload))), nil
	case "shout":
		return binary(e, effects(abi.EffectBroadcastFrom, "shouted", string(e.Payload))), nil
	case "shout as said":
		return effects(abi.EffectBroadcastFrom, "said", string(e.Payload)), nil
	case "say and echo":
		return append(effects(abi.EffectBroadcast, "said", string(e.Payload)), reply("ok", string(e.Payload))...), nil
	case "raw": // the payload is a JSON string that holds what to say
		return append(reply("ok", ""), effects(abi.EffectBroadcast, "said", unquoted(e.Payload))...), nil
	case "raw reply":
		return append(effects(abi.EffectPush, "pushed", ""), reply("ok", unquoted(e.Payload))...), nil
	case "long":
		return []abi.Effect{{Kind: abi.EffectBroadcast, Flags: abi.Binary, Name: strings.Repeat("x", 256)}}, nil
	case "misnamed":
		return effects(abi.EffectPush, "\xff", ""), nil
	case "binary":
		return []abi.Effect{{Kind: abi.EffectReply, Flags: abi.Binary, Name: "ok", Payload: []byte{0, 1}}}, nil
	case "push binary":
		return []abi.Effect{{Kind: abi.EffectPush, Flags: abi.Binary, Name: "pushed", Payload: []byte{0, 1}}}, nil
	case "say binary":
		return []abi.Effect{{Kind: abi.EffectBroadcast, Flags: abi.Binary, Name: "said", Payload: []byte{0, 1}}}, nil
	case "wait":
		<-r.plugin.gate
		return reply("ok", string(e.Payload)), nil
	case "wait and say":
		<-r.plugin.gate
		return effects(abi.EffectBroadcast, "said", string(e.Payload)), nil
	case "wait and crash":
		<-r.plugin.gate
		return nil, errTrap
	case "crash":
		return effects(abi.EffectBroadcast, "said", `{"half":"done"}`), errTrap
	case "panic":
		panic("a bug")
	case "large":
		return nil, fmt.Errorf("inbox: %w", channels.ErrTooLarge)
	case "who":
		return reply("ok", quoted(e.Detail)), nil
	case "tell": // the payload is the member
		return []abi.Effect{{Kind: abi.EffectPush, Name: "told", Detail: strings.Trim(string(e.Payload), `"`)}}, nil
	case "shout around": // the payload is who is left out
		return []abi.Effect{{Kind: abi.EffectBroadcastFrom, Name: "shouted", Detail: strings.Trim(string(e.Payload), `"`)}}, nil
	case "present": // the payload is the topic
		return effects(abi.EffectPresent, strings.Trim(string(e.Payload), `"`), ""), nil
	case "present to": // the payload is the member
		return []abi.Effect{{Kind: abi.EffectPresent, Detail: strings.Trim(string(e.Payload), `"`)}}, nil
	case "apply":
		return slices.Concat(effects(abi.EffectPush, "before", ""), effects(abi.EffectAnswer, "token", "no JSON"), effects(abi.EffectPush, "after", "")), nil
	case "interrupted": // waits for what does not come
		<-r.process.Stopping()
		return nil, fmt.Errorf("waited: %w", supervisor.Shutdown)
	case "stop": // the payload is the kind of reason, and perhaps the reason
		return slices.Concat(stopping(e), effects(abi.EffectBroadcast, "said", ""), effects(abi.EffectStop, "again", "in vain")), nil
	case "reply and stop":
		return append(reply("ok", ""), stopping(e)...), nil
	}
	return nil, nil
}

// Message makes an event of what other processes tell.
func (r *room) Message(msg any) (e abi.Event, ok bool) {
	if msg, ok := msg.(told); ok {
		return abi.Event{Kind: abi.EventInfo, Name: msg.event, Payload: []byte(msg.payload)}, true
	}
	return e, false
}

func (r *room) Apply(e *abi.Effect) {
	switch e.Kind {
	case abi.EffectWants:
		r.wants = true
	case abi.EffectAnswer:
		r.plugin.note("answer "+e.Name+" "+string(e.Payload), false)
	}
}

func (r *room) Wants(k abi.Kind) bool {
	if k == abi.EventAway || k == abi.EventBack {
		return !r.plugin.unaware
	}
	return k == abi.EventTerminate && r.wants
}

// export gives the count away, in a way that the plugin says.
func (r *room) export(e *abi.Event) ([]abi.Effect, error) {
	switch r.plugin.exports {
	case "nothing":
		return nil, nil
	case "stateless":
		return []abi.Effect{{Kind: abi.EffectState, Flags: abi.Replay}}, nil
	case "trap":
		return nil, errTrap
	case "wait":
		<-r.plugin.gate
	}
	return effects(abi.EffectState, "count of "+e.Name, fmt.Sprint(r.count)), nil
}

func (r *room) imported(e *abi.Event) ([]abi.Effect, error) {
	var list []string
	for field := range abi.Fields([]byte(e.Extra)) {
		list = append(list, string(field))
	}
	r.plugin.note(fmt.Sprintf("import %s %s of %q", e.Detail, e.Payload, list), false)
	if !r.holds {
		r.plugin.note("with empty hands", false)
	}
	switch r.plugin.imports {
	case "refuse":
		return append(reply("error", `{"reason":"what is this?"}`), effects(abi.EffectBroadcast, "never", "")...), nil
	case "trap":
		return nil, errTrap
	case "stop":
		return effects(abi.EffectStop, "normal", ""), nil
	}
	_, err := fmt.Sscan(string(e.Payload), &r.count)
	return append(reply("ok", ""), effects(abi.EffectBroadcast, "moved", "")...), err
}

// Commit stores nothing: a room is not durable.
func (r *room) Commit([]abi.Effect) error { return nil }

// Adopt takes over what another room holds.
func (r *room) Adopt(other channels.Guest) {
	from := other.(*room)
	r.holds, from.holds = from.holds, false
	r.wants = r.wants || from.wants
}

// out pushes what the room intercepts, shared ones to the first member.
func (r *room) out(e *abi.Event) ([]abi.Effect, error) {
	note := fmt.Sprintf("out %s %s", e.Name, e.Payload)
	if e.Detail != "" {
		note += " but for " + e.Detail
	}
	r.plugin.note(note, false)
	switch string(e.Payload) {
	case `{"drop":true}`:
		return nil, nil
	case `{"crash":true}`:
		return nil, errTrap
	case `{"wait":true}`:
		<-r.plugin.gate
	}
	push := abi.Effect{Kind: abi.EffectPush, Flags: e.Flags & abi.Binary, Name: e.Name + " out", Payload: e.Payload}
	if r.plugin.shared.Load() {
		push.Detail = "1"
	}
	return []abi.Effect{push}, nil
}

func (r *room) leave(e *abi.Event) ([]abi.Effect, error) {
	r.plugin.note(fmt.Sprintf("%s %s", e.Detail, e.Payload), false)
	if r.plugin.trapsLeave.Load() {
		return nil, errTrap
	}
	return append(effects(abi.EffectPush, "never", ""), effects(abi.EffectBroadcast, "left", quoted(e.Detail, "who"))...), nil
}

// away pushes what the client is to find when it is back.
func (r *room) away(e *abi.Event) ([]abi.Effect, error) {
	r.plugin.note("away "+string(e.Payload), false)
	switch r.plugin.onAway {
	case "stop":
		return effects(abi.EffectStop, "normal", ""), nil
	case "crash":
		return nil, errTrap
	case "push":
		return effects(abi.EffectPush, "meanwhile", ""), nil
	}
	return nil, nil
}

// back does what the payload of the join says.
func (r *room) back(e *abi.Event) ([]abi.Effect, error) {
	var p struct{ Do string }
	_ = json.Unmarshal(e.Payload, &p)
	note := "back " + p.Do
	if e.Extra != "" {
		note += " with " + e.Extra
	}
	r.plugin.note(note, false)
	switch p.Do {
	case "refuse":
		return append(effects(abi.EffectPush, "kept", ""), reply("error", `{"reason":"no"}`)...), nil
	case "crash":
		return nil, errTrap
	case "large":
		return nil, channels.ErrTooLarge
	case "wait":
		<-r.plugin.gate
	case "count":
		return append(effects(abi.EffectPush, "hello", ""), reply("ok", fmt.Sprint(r.count))...), nil
	case "binary":
		return []abi.Effect{{Kind: abi.EffectReply, Flags: abi.Binary, Name: "ok", Payload: []byte{0, 1}}}, nil
	}
	return nil, nil
}

func (r *room) members(e *abi.Event) ([]abi.Effect, error) {
	r.holds = true
	var list []string
	for field := range abi.Fields(e.Payload) {
		list = append(list, string(field))
	}
	for field := range abi.Fields([]byte(e.Extra)) {
		list = append(list, "with", string(field))
	}
	r.plugin.note("members "+strings.Join(list, " "), false)
	if r.plugin.trapsMembers.Load() {
		return nil, errTrap
	}
	return effects(abi.EffectBroadcast, "again", ""), nil
}

func (r *room) terminate(e *abi.Event) ([]abi.Effect, error) {
	r.plugin.note(fmt.Sprintf("terminate %s %s", e.Name, e.Payload), false)
	if r.plugin.waitsAtEnd {
		<-r.plugin.gate
	}
	if r.plugin.trapsOn != "" && string(e.Payload) == r.plugin.trapsOn {
		return nil, errTrap
	}
	return append(effects(abi.EffectPush, "bye", ""), effects(abi.EffectBroadcast, "gone", "")...), nil
}

func (r *room) join(e *abi.Event) ([]abi.Effect, error) {
	replay := e.Flags&abi.Replay != 0
	r.holds = true
	payload := string(e.Payload)
	if e.Detail != "" {
		payload += " as " + e.Detail
	}
	if e.Flags&abi.Binary != 0 {
		payload += " in binary"
	}
	if e.Extra != "" {
		payload += " with " + e.Extra
	}
	r.plugin.note(payload, replay)
	var asks struct{ Intercept, Refuse bool }
	_ = json.Unmarshal(e.Payload, &asks) // most are no objects
	switch {
	case asks.Intercept:
		return effects(abi.EffectIntercept, "said", ""), nil
	case asks.Refuse:
		return reply("error", `{"reason":"full"}`), nil
	}
	switch string(e.Payload) {
	case `"refuse"`:
		return append(effects(abi.EffectPush, "never", ""), reply("error", `{"reason":"unauthorized"}`)...), nil
	case `"crash"`:
		return nil, errTrap
	case `"panic"`:
		panic("a bug")
	case `"large"`:
		return nil, channels.ErrTooLarge
	case `"wait"`:
		<-r.plugin.gate
	case `"wait in replay"`:
		if replay {
			<-r.plugin.gate
		}
	case `"refuse replay"`:
		if replay {
			return reply("error", `{"reason":"not again"}`), nil
		}
	case `"crash in replay"`:
		if replay {
			return nil, errTrap
		}
	case `"greet"`:
		if replay {
			return effects(abi.EffectPush, "back", ""), nil
		}
		hello := append(effects(abi.EffectPush, "hello", ""), effects(abi.EffectBroadcast, "new", "")...)
		return append(hello, reply("ok", `{"you":"are in"}`)...), nil
	case `"present"`:
		return slices.Concat(effects(abi.EffectPresent, "", ""), effects(abi.EffectPush, "hello", ""), reply("ok", "")), nil
	case `"present and refuse"`:
		return append(effects(abi.EffectPresent, "", ""), reply("error", "")...), nil
	case `"not json"`:
		return reply("ok", `{`), nil
	case `"binary"`:
		return []abi.Effect{{Kind: abi.EffectReply, Flags: abi.Binary, Name: "ok", Payload: []byte{0, 1}}}, nil
	case `"refuse in binary"`:
		return []abi.Effect{{Kind: abi.EffectReply, Flags: abi.Binary, Name: "error", Payload: []byte{0, 1}}}, nil
	case `"intercept"`:
		return effects(abi.EffectIntercept, "said", ""), nil
	case `"intercept and say"`:
		return append(effects(abi.EffectIntercept, "said", ""), effects(abi.EffectBroadcast, "said", "")...), nil
	case `"intercept once"`: // but not again
		if !replay {
			return effects(abi.EffectIntercept, "said", ""), nil
		}
	case `"wants"`:
		return effects(abi.EffectWants, "terminate", ""), nil
	case `"stop"`:
		return append(effects(abi.EffectStop, "normal", ""), effects(abi.EffectPush, "hello", "")...), nil
	case `"knock"`:
		return append(effects(abi.EffectBroadcast, "knocked", ""), reply("error", `{"reason":"private"}`)...), nil
	case `"interrupted"`:
		if r.plugin.interrupts.CompareAndSwap(true, false) {
			if c, shared := r.process.Actor().(*channels.SharedChannel); shared {
				owner, _ := c.PresenceOwner(r.plugin.idsOf(c).id(e.Detail))
				r.plugin.joining.Store(&owner)
			}
			<-r.process.Stopping()
			return nil, supervisor.ForRestart
		}
	}
	return nil, nil
}

func (*room) Release() {}

func (r *room) Close(reason error) {
	r.plugin.closed.Add(1)
	r.plugin.noteEnd(reason)
	r.plugin = nil // a second Close, or a call after it, panics
}

func stopping(e *abi.Event) []abi.Effect {
	kind, reason, _ := strings.Cut(strings.Trim(string(e.Payload), `"`), " ")
	return effects(abi.EffectStop, kind, cmp.Or(reason, "enough"))
}

func reply(status, response string) []abi.Effect { return effects(abi.EffectReply, status, response) }

func effects(k abi.Kind, name, payload string) []abi.Effect {
	return []abi.Effect{{Kind: k, Name: name, Payload: []byte(payload)}}
}

// binary makes effects binary if the event is.
func binary(e *abi.Event, effects []abi.Effect) []abi.Effect {
	for i := range effects {
		effects[i].Flags |= e.Flags & abi.Binary
	}
	return effects
}

// quoted is s as a JSON string, or an object with s under a key.
func quoted(s string, key ...string) string {
	if key != nil {
		return fmt.Sprintf(`{%q:%q}`, key[0], s)
	}
	return fmt.Sprintf("%q", s)
}

// unquoted turns "\xNN…" in a JSON string into those bytes.
func unquoted(payload []byte) string {
	s := strings.Trim(string(payload), `"`)
	if s == "invalid UTF-8" {
		return "{\"a\":\"\xff\"}"
	}
	return strings.ReplaceAll(s, "'", `"`)
}

// plugin serves rooms.
type plugin struct {
	name           string
	tree           *supervisor.Dynamic
	current        atomic.Pointer[channels.Version]
	trial          atomic.Pointer[channels.Version] // for topics that begin with tries
	tries          string
	gate           chan struct{} // what waiting guests wait for
	opened, closed atomic.Int64
	kept           atomic.Int64 // bytes of broadcasts that wait
	room           int64        // for them; 0 is no bound
	shared         atomic.Bool
	stays          bool
	waitsAtEnd     bool   // in terminate, for gate
	trapsOn        string // detail of the reason at which terminate traps
	trapsLeave     atomic.Bool
	trapsMembers   atomic.Bool
	interrupts     atomic.Bool         // one join, if it is for that
	joining        atomic.Pointer[any] // owner of presence whose join is interrupted
	// How guests answer export and import, which versions called "… exports" know;
	// set while none runs.
	exports, imports string
	onAway           string // what guests do then
	unaware          bool   // of away and back

	mu    sync.Mutex
	token string   // of the message to answer later
	joins []string // payloads, replays marked; and other events
	ends  []string // reasons of Close
	// What became of channels that were asked to renew themselves.
	renewals []channels.Renewal
	process  *supervisor.Process // of the latest guest
	ids      map[*channels.SharedChannel]*ids
}

func (p *plugin) idsOf(c *channels.SharedChannel) *ids {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ids == nil {
		p.ids = map[*channels.SharedChannel]*ids{}
	}
	if p.ids[c] == nil {
		p.ids[c] = &ids{}
	}
	return p.ids[c]
}

func (p *plugin) saveToken(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = token
}

func (p *plugin) savedToken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.token
}

func (p *plugin) noteEnd(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, reason.Error())
}

// latest is the process of the guest that was opened last.
func (p *plugin) latest() *supervisor.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

func (p *plugin) Name() string                    { return p.name }
func (p *plugin) Supervisor() *supervisor.Dynamic { return p.tree }
func (p *plugin) Current() *channels.Version      { return p.current.Load() }

// MayUse denies the topics of a test's others.
func (p *plugin) MayUse(topic string) bool { return !strings.HasPrefix(topic, "others:") }

// Next lets a test have a trial: handlers of topics with this prefix go to
// another version.
func (p *plugin) Next(old *channels.Version, topic string) *channels.Version {
	if trial := p.trial.Load(); trial != nil && strings.HasPrefix(topic, p.tries) {
		return trial
	}
	return p.current.Load()
}

// Keep has room for as many bytes as a test says, if it does.
func (p *plugin) Keep(bytes int) bool {
	if n := p.kept.Add(int64(bytes)); p.room > 0 && n > p.room {
		p.kept.Add(-int64(bytes))
		return false
	}
	return true
}

func (p *plugin) Give(bytes int) { p.kept.Add(-int64(bytes)) }

func (p *plugin) note(payload string, replay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if replay {
		payload += " replayed"
	}
	p.joins = append(p.joins, payload)
}

// deploy makes a version current and moves the channels to it.
func (p *plugin) deploy(v *channels.Version) {
	p.current.Store(v)
	p.renew(false)
}

// renew asks all channels to move, and notes what becomes of them.
func (p *plugin) renew(keep bool) {
	p.tree.Each(func(c supervisor.Child) {
		c.(interface {
			Renew(bool, func(channels.Renewal, error))
		}).Renew(keep, func(became channels.Renewal, _ error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.renewals = append(p.renewals, became)
		})
	})
}

func (p *plugin) version(id string, r supervisor.Restart) *channels.Version {
	v := &channels.Version{ID: id, Restart: r, Stays: p.stays, Exports: strings.HasSuffix(id, "exports"), New: func(process *supervisor.Process, topic string) (channels.Guest, error) {
		p.opened.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.process = process
		return &room{plugin: p, process: process}, nil
	}}
	if p.shared.Load() {
		v.Scope = func(string) channels.Scope { return channels.PerTopic }
	}
	return v
}
