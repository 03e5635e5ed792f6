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
	// maxName bounds event names, statuses and patterns, in bytes. It is what
	// Phoenix's binary protocol can carry.
	maxName = 255
	// maxTopics bounds the patterns that a plugin may declare.
	maxTopics = 100
	// keepArena is how large an arena may be and still be kept for the next
	// event. One burst should not be paid for by an idle instance for ever.
	keepArena = 64 << 10
)

// effects collects what a guest asks for during one event.
type effects struct {
	limits  Limits
	event   abi.Kind // at hand
	list    []abi.Effect
	arena   []byte // copies of the records; list's payloads alias it
	bytes   int    // of records so far
	replied bool
	topics  []string // declared in start
	scratch span     // declared in start
}

// span is a range of linear memory.
type span struct{ from, to uint32 }

// effectsPool has one for every instance whose effects are being applied.
var effectsPool = sync.Pool{New: func() any { return new(effects) }}

func newEffects(l Limits) *effects {
	c := effectsPool.Get().(*effects)
	c.limits = l
	return c
}

func (c *effects) free() {
	c.begin(0)
	c.topics, c.scratch = nil, span{}
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
	if !nameFits(record) {
		return abi.CodeMalformed
	}
	start := len(c.arena)
	c.arena = append(c.arena, record...)
	effect, err := abi.ParseEffect(c.arena[start:])
	if err != nil || !utf8.ValidString(effect.Name) {
		c.arena = c.arena[:start]
		return abi.CodeMalformed
	}
	c.bytes += len(record)
	switch kind {
	case abi.EffectHandles:
		return c.declare(effect.Name)
	case abi.EffectScratch:
		return c.forget(effect.Payload)
	}
	c.replied = c.replied || kind == abi.EffectReply
	c.list = append(c.list, effect)
	return 0
}

// allowed says whether this kind of effect may be asked for now.
func (c *effects) allowed(kind abi.Kind) abi.Code {
	starting := c.event == abi.EventStart
	silent := starting || c.event == abi.EventIdle // there is no topic and no client
	switch kind {
	case abi.EffectReply:
		if silent || c.replied {
			return abi.CodeNotNow
		}
	case abi.EffectPush, abi.EffectBroadcast, abi.EffectBroadcastFrom:
		if silent {
			return abi.CodeNotNow
		}
	case abi.EffectHandles, abi.EffectScratch:
		if !starting {
			return abi.CodeNotNow
		}
	default:
		return abi.CodeUnknown
	}
	return 0
}

// declare notes a topic pattern: a topic, or a prefix and "*".
func (c *effects) declare(pattern string) abi.Code {
	if pattern == "" || strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
		return abi.CodeMalformed
	}
	if slices.Contains(c.topics, pattern) {
		return 0
	}
	if len(c.topics) == maxTopics {
		return abi.CodeTooMuch
	}
	c.topics = append(c.topics, pattern)
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

// kindOf and nameFits look into a record before it is parsed. nameFits keeps
// the parser from making a string of a megabyte.
func kindOf(record []byte) abi.Kind { return abi.Kind(binary.LittleEndian.Uint16(record)) }

func nameFits(record []byte) bool {
	const lengthAt = 4
	return len(record) < lengthAt+4 || binary.LittleEndian.Uint32(record[lengthAt:]) <= maxName
}
