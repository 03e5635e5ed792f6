package sandbox

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"rtd/sandbox/abi"
)

const (
	// maxText bounds the texts of a record besides its payload, in bytes: event names,
	// statuses, topics, what a child is.
	maxText = 4 << 10
	// maxPatterns bounds the patterns that a plugin may declare, of topics, of what is durable and of what has history.
	maxPatterns = 100
	// keepArena is how large an arena may be and still be kept for the next
	// event. One burst should not be paid for by an idle instance for ever.
	keepArena = 64 << 10
)

// effects collects the effects of one event.
type effects struct {
	limits  Limits
	event   abi.Kind // at hand
	list    []abi.Effect
	arena   []byte // copies of the records; list's payloads alias it
	bytes   int    // of records so far
	replied bool
	silent  bool     // there is no topic, so nobody to push to
	process Process  // that is asked for permission, or nil
	topics  []string // declared in start
	durable []string // declared in start
	history []string // declared in start
	scratch span     // declared in start
}

// span is a range of linear memory.
type span struct{ from, to uint32 }

// effectsPool has one for every instance whose effects are being applied.
var effectsPool = sync.Pool{New: func() any { return new(effects) }}

// newEffects is for an instance's next events. Without a topic nothing can be
// pushed.
func newEffects(l Limits, topic string, p Process) *effects {
	c := effectsPool.Get().(*effects)
	c.limits, c.silent, c.process = l, topic == "", p
	return c
}

func (c *effects) free() {
	c.begin(0)
	c.topics, c.durable, c.history, c.scratch, c.process = nil, nil, nil, span{}, nil
	effectsPool.Put(c)
}

func (c *effects) begin(event abi.Kind) {
	c.event, c.bytes, c.replied = event, 0, false
	clear(c.list)
	c.list, c.arena = c.list[:0], c.arena[:0]
	if cap(c.arena) > keepArena {
		c.list, c.arena = nil, nil
	}
}

// add takes the record of an effect, which lies in the guest's memory.
func (c *effects) add(record []byte) abi.Code {
	kind := kindOf(record)
	if code := c.allowed(kind); code != 0 {
		return code
	}
	if len(c.list) >= c.limits.Effects || len(record) > c.limits.EffectBytes-c.bytes {
		return abi.CodeTooMuch
	}
	if !textsFit(record) {
		return abi.CodeMalformed
	}
	start, n := len(c.arena), len(c.list)
	c.arena = append(c.arena, record...)
	c.list = append(c.list, abi.Effect{}) // is checked in its place: one that a process may look at is on the heap
	effect, err := &c.list[n], error(nil)
	*effect, err = abi.ParseEffect(c.arena[start:])
	code := abi.CodeMalformed
	if err == nil && utf8.ValidString(effect.Name) && utf8.ValidString(effect.Detail) {
		code = c.check(effect)
	}
	if code != 0 {
		*effect = abi.Effect{}
		c.list, c.arena = c.list[:n], c.arena[:start]
		return code
	}
	c.bytes += len(record)
	return 0
}

// check checks an effect by its kind.
func (c *effects) check(e *abi.Effect) abi.Code {
	switch e.Kind {
	case abi.EffectHandles:
		return c.declare(e)
	case abi.EffectDurable:
		return c.remember(e.Name)
	case abi.EffectHistory:
		return note(&c.history, e.Name, e.Name)
	case abi.EffectScratch:
		return c.forget(e.Payload)
	case abi.EffectReply:
		if e.Detail == "" || c.event == abi.EventConnect {
			if !answers(c.event) || c.replied {
				return abi.CodeNotNow
			}
			c.replied = true
		}
	case abi.EffectState:
		if c.replied {
			return abi.CodeNotNow
		}
		c.replied = true
	case abi.EffectIntercept:
		if c.process != nil {
			return c.process.Permit(e)
		}
	case abi.EffectPresent:
		if e.Name == "" {
			return 0
		}
		fallthrough
	case abi.EffectPublish, abi.EffectSubscribe, abi.EffectDisconnect:
		if c.process == nil {
			return abi.CodeNotNow
		}
		return c.process.Permit(e)
	}
	return 0
}

// answers says whether a reply without a token answers this event.
func answers(event abi.Kind) bool {
	return event == abi.EventJoin || event == abi.EventMessage || event == abi.EventConnect || event == abi.EventImport || event == abi.EventBack
}

// allowed says whether this kind of effect may be asked for now.
func (c *effects) allowed(kind abi.Kind) abi.Code {
	starting := c.event == abi.EventStart
	// There is no process, or the event must not change anything.
	alone := starting || c.event == abi.EventIdle || c.event == abi.EventStop || c.event == abi.EventExport
	ok := true
	switch kind {
	case abi.EffectReply:
		ok = !alone && (!c.silent || c.event == abi.EventConnect || c.event == abi.EventImport)
	case abi.EffectPush, abi.EffectPresent, abi.EffectBroadcast, abi.EffectBroadcastFrom:
		ok = !alone && !c.silent
	case abi.EffectHandles, abi.EffectScratch, abi.EffectChild, abi.EffectDepends, abi.EffectDurable, abi.EffectHistory:
		ok = starting
	case abi.EffectIntercept:
		ok = c.event == abi.EventJoin || c.event == abi.EventMembers
	case abi.EffectState:
		ok = c.event == abi.EventExport
	case abi.EffectAnswer, abi.EffectStop, abi.EffectHibernate, abi.EffectPublish, abi.EffectSubscribe, abi.EffectUnsubscribe,
		abi.EffectDisconnect:
		ok = !alone
	case abi.EffectWants:
		ok = starting || !alone
	default:
		return abi.CodeUnknown
	}
	if !ok {
		return abi.CodeNotNow
	}
	return 0
}

// declare notes a topic pattern.
func (c *effects) declare(e *abi.Effect) abi.Code {
	scope := e.Detail
	if scope != "" && scope != abi.ScopeJoin && scope != abi.ScopeTopic {
		return abi.CodeMalformed
	}
	return note(&c.topics, e.Name, e.Name)
}

// remember notes a durable pattern, of topics or of names.
func (c *effects) remember(pattern string) abi.Code {
	return note(&c.durable, pattern, strings.TrimPrefix(pattern, abi.DurableProcesses))
}

// note adds an entry to a list, whose pattern is a name, or a prefix and "*".
func note(list *[]string, entry, pattern string) abi.Code {
	switch {
	case pattern == "" || strings.Contains(strings.TrimSuffix(pattern, "*"), "*"):
		return abi.CodeMalformed
	case slices.Contains(*list, entry):
		return 0
	case len(*list) == maxPatterns:
		return abi.CodeTooMuch
	}
	*list = append(*list, entry)
	return 0
}

// forget notes which memory means nothing between events.
func (c *effects) forget(payload []byte) abi.Code {
	if len(payload) != 8 {
		return abi.CodeMalformed
	}
	c.scratch = span{binary.LittleEndian.Uint32(payload), binary.LittleEndian.Uint32(payload[4:])}
	return 0
}

// kindOf and textsFit look into a record before it is parsed. textsFit keeps the
// parser from making a string of a megabyte.
func kindOf(record []byte) abi.Kind { return abi.Kind(binary.LittleEndian.Uint16(record)) }

func textsFit(record []byte) bool {
	const header, length = 4, 4
	if len(record) < header {
		return false
	}
	b := record[header:]
	for i := 0; len(b) >= length; i++ {
		n := binary.LittleEndian.Uint32(b)
		switch {
		case uint64(n) > uint64(len(b)-length):
			return true // the parser will say so
		case i == 1: // the payload
		case n > maxText:
			return false
		}
		b = b[length+n:]
	}
	return true
}
