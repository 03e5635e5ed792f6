package rewrite

import (
	"fmt"
	"math/bits"
)

// added are the indices, in the new module, of what is added.
type added struct {
	yield uint32 // imported function
	first uint32 // of the helpers

	plain uint32 // type of yield
	count uint32 // type of helpers that take a number and return one
	bulk  uint32 // type of helpers that stand for an instruction on a range

	reductions uint32 // global
}

func (rw *rewriter) added() added {
	types := uint32(len(rw.types))
	return added{yield: 0, first: uint32(len(rw.functions)) + 1, plain: types, count: types + 1, bulk: types + 2,
		reductions: uint32(len(rw.globals))}
}

// helper is a function that is added behind the module's own. Only those are that something calls.
type helper struct {
	kind    helperKind
	segment uint32 // of helperInit
}

func (h helper) name() string {
	if h.kind == helperInit {
		return fmt.Sprintf("%s%s:%d", prefix, helperNames[h.kind], h.segment)
	}
	return prefix + helperNames[h.kind]
}

type helperKind uint8

const (
	helperCharge  helperKind = iota // spends n/16 and returns 0
	helperBytes                     // spends n/256 and returns n, so that it can stand in front of an instruction without a local
	helperEntries                   // spends n/32 and returns n: an entry has 8 bytes
	helperPages                     // spends 256 a page and returns n
	helperFill                      // memory.fill in pieces
	helperCopy                      // memory.copy in pieces
	helperInit                      // memory.init of one segment in pieces
)

var helperNames = [...]string{"charge", "bytes", "entries", "pages", "fill", "copy", "init"}

func (k helperKind) typeOf(add added) uint32 {
	if k >= helperFill {
		return add.bulk
	}
	return add.count
}

// helper returns the index of a helper, and has it added.
func (rw *rewriter) helper(add added, kind helperKind, segment uint32) uint32 {
	h := helper{kind, segment}
	i, ok := rw.helperIndex[h]
	if !ok {
		i = uint32(len(rw.helpers))
		rw.helpers = append(rw.helpers, h)
		rw.helperIndex[h] = i
	}
	return add.first + i
}

// Opcodes of the code that is added.
const (
	opUnreachable  = 0x00
	opIf           = 0x04
	opElse         = 0x05
	opBr           = 0x0c
	opBrIf         = 0x0d
	opReturn       = 0x0f
	opEnd          = 0x0b
	opCall         = 0x10
	opCallIndirect = 0x11
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opI32Const     = 0x41
	opI64Const     = 0x42
	opMemorySize   = 0x3f
	opI32GtU       = 0x4b
	opI64GtU       = 0x56
	opI32Sub       = 0x6b
	opI32Or        = 0x72
	opI64Add       = 0x7c
	opMisc         = 0xfc
	miscInit       = 0x08
	miscCopy       = 0x0a
	miscFill       = 0x0b
	opI32ShrU      = 0x76
	opI32LtU       = 0x49
	opI64GeS       = 0x59
	opI32Add       = 0x6a
	opI32And       = 0x71
	opI64Sub       = 0x7d
	opI64Shl       = 0x86
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	noValue        = 0x40

	opI32ReinterpretF32 = 0xbc
	opI64ReinterpretF64 = 0xbd
	opF32ReinterpretI32 = 0xbe
	opF64ReinterpretI64 = 0xbf
)

// write appends the body with its checks.
func (b *body) write(rw *rewriter, add added, out *buffer) {
	touches, own := b.entry, b.own > 0
	if b.loops == 0 && b.touches <= entryTouches {
		touches, own = b.touches, false
	}
	checks := b.own > mostTouches
	counts := b.loops > 0 || own // in a local, see checkLoop
	locals := uint32(0)          // that are added
	if counts {
		locals++
	}
	operands := b.locals + locals // of instructions that are done in pieces
	if b.bulks > 0 {
		locals += 3
	}
	out.u32(b.groups + min(locals, 1))
	out.raw(rw.wasm[b.declared.start:b.declared.end])
	if locals > 0 {
		out.u32(locals)
		out.byte(byte(I32))
	}
	size := weight(b.code.end-b.code.start, b.calls)
	if b.calls > 0 || counts || b.touches > 0 || size > callWeight {
		entry := 1 + size>>entryShift + touches>>touchShift
		if counts {
			entry += forgiven
		}
		add.check(int64(entry), out)
		rw.result.Charged++
	}
	exit := b.leaving()
	call := func(kind helperKind, segment uint32) {
		out.byte(opCall)
		out.u32(rw.helper(add, kind, segment))
	}
	at := b.code.start
	for _, e := range b.edits {
		out.raw(rw.wasm[at:e.at])
		at = e.at + e.cut
		switch e.kind {
		case editIndex:
			out.u32(e.arg)
		case editLoop, editLoopWithValues:
			if e.arg > 0 {
				b.checkLoop(rw, add, e, out)
				rw.result.Loops++
				break
			}
			fallthrough // a loop that is no loop
		case editTouches:
			switch {
			case !own || e.touches == 0:
			case checks:
				b.checkLoop(rw, add, edit{kind: editTouches, touches: e.touches}, out)
			default:
				addTouches(b.locals, e.touches, out)
			}
		case editExit:
			if exit > 0 {
				add.check(exit, out)
			}
		case editAgain:
			out.byte(opIf, noValue, opBr)
			out.u32(e.arg + 1)
			out.byte(opEnd)
		case editFill:
			rw.writeBulk(add, operands, memoryFill, helper{kind: helperFill}, out)
		case editCopy:
			rw.writeBulk(add, operands, memoryCopy, helper{kind: helperCopy}, out)
		case editInit:
			rw.writeBulk(add, operands, memoryInit(e.arg), helper{helperInit, e.arg}, out)
		case editBytes:
			call(helperBytes, 0)
		case editEntries:
			call(helperEntries, 0)
		case editPages:
			call(helperPages, 0)
		}
	}
	out.raw(rw.wasm[at:b.code.end])
}

// leaving is what a function pays when it is left, 0 if that needs no check. It has paid for its code when it was entered, but where
// many calls are open the code behind all of them may come in one go. See the rationale in doc.go.
func (b *body) leaving() int64 {
	size := b.code.end - b.code.start
	if !b.opens || b.loops == 0 && size <= callWeight {
		return 0
	}
	return 1 + int64(size>>entryShift) + int64(forgiven*min(b.largest, 1<<loopShift)>>loopShift)
}

// writeBulk writes: if n < uncountedBytes { instruction } else { helper }. Its operands go through three locals, so that
// small ranges, which are what most code has, cost a comparison.
func (rw *rewriter) writeBulk(add added, operands uint32, instruction []byte, h helper, out *buffer) {
	for i := range uint32(3) {
		out.byte(opLocalSet)
		out.u32(operands + 2 - i)
	}
	get := func() {
		for i := range uint32(3) {
			out.byte(opLocalGet)
			out.u32(operands + i)
		}
	}
	out.byte(opLocalGet)
	out.u32(operands + 2)
	out.byte(opI32Const)
	out.s64(uncountedBytes)
	out.byte(opI32LtU, opIf, noValue)
	get()
	out.raw(instruction)
	out.byte(opElse)
	get()
	out.byte(opCall)
	out.u32(rw.helper(add, h.kind, h.segment))
	out.byte(opEnd)
}

// addTouches writes: run += touches. The next check of a loop looks at it.
func addTouches(run, touches uint32, out *buffer) {
	out.byte(opLocalGet)
	out.u32(run)
	out.byte(opI32Const)
	out.s64(int64(touches))
	out.byte(opI32Add, opLocalSet)
	out.u32(run)
}

// check writes: reductions -= weight; while reductions < 0 { yield() }. The loop keeps the call out of the straight line.
func (add added) check(weight int64, out *buffer) {
	out.byte(opGlobalGet)
	out.u32(add.reductions)
	out.byte(opI64Const)
	out.s64(weight)
	out.byte(opI64Sub)
	out.byte(opGlobalSet)
	out.u32(add.reductions)
	out.byte(opLoop, noValue, opGlobalGet)
	out.u32(add.reductions)
	out.byte(opI64Const, 0, opI64GeS, opIf, noValue, opElse, opCall)
	out.u32(add.yield)
	out.byte(opBr, 1, opEnd, opEnd)
}

// store takes the new value of the counter, and yields if it is negative.
func (add added) store(out *buffer) {
	out.byte(opGlobalSet)
	out.u32(add.reductions)
	out.byte(opGlobalGet)
	out.u32(add.reductions)
	out.byte(opI64Const, 0, opI64GeS, opIf, noValue, opElse, opCall)
	out.u32(add.yield)
	out.byte(opEnd)
}

// checkLoop writes: run += weight; if run >= uncharged { run = charge(run); continue }, with run a local of the function,
// in touches, of which a reduction has 16. The locals that the loop carries are saved around the call.
//
// The continue matters: it keeps the rare path out of the loop's straight line, and costs the check a few times less than
// going on behind it. It is left out where the loop takes values from the stack, which are not ours to pass again, and
// where one iteration is worth a charge by itself, as it would come back for ever.
func (b *body) checkLoop(rw *rewriter, add added, e edit, out *buffer) {
	run := b.locals
	again := e.kind == editLoop && e.arg<<touchShift+e.touches < uncharged<<touchShift
	if !again {
		e.carries = 0
	}
	out.byte(opLocalGet)
	out.u32(run)
	out.byte(opI32Const)
	out.s64(int64(e.arg)<<touchShift + int64(e.touches))
	out.byte(opI32Add, opLocalTee)
	out.u32(run)
	out.byte(opI32Const)
	out.s64(uncharged << touchShift)
	out.byte(opI32LtU, opIf, noValue, opElse)
	b.save(e.carries, out)
	out.byte(opLocalGet)
	out.u32(run)
	out.byte(opCall)
	out.u32(rw.helper(add, helperCharge, 0))
	out.byte(opLocalSet)
	out.u32(run)
	b.restore(e.carries, out)
	if again {
		out.byte(opBr, 1)
	}
	out.byte(opEnd)
}

// save pushes the locals as numbers of the other kind, and restore pops them.
func (b *body) save(locals localSet, out *buffer) {
	for ; locals != 0; locals &= locals - 1 {
		local := bits.TrailingZeros64(uint64(locals))
		if other, _ := reinterpret(b.types[local]); other != 0 {
			out.byte(opLocalGet, byte(local), other)
		}
	}
}

func (b *body) restore(locals localSet, out *buffer) {
	for locals != 0 {
		local := bits.Len64(uint64(locals)) - 1
		if _, back := reinterpret(b.types[local]); back != 0 {
			out.byte(back, opLocalSet, byte(local))
		}
		locals &^= 1 << local
	}
}

// reinterpret is the instructions that make a number one of the other kind with the same bits, and back; 0 for what is no
// number.
func reinterpret(t ValueType) (other, back byte) {
	switch t {
	case I32:
		return opF32ReinterpretI32, opI32ReinterpretF32
	case I64:
		return opF64ReinterpretI64, opI64ReinterpretF64
	case F32:
		return opI32ReinterpretF32, opF32ReinterpretI32
	case F64:
		return opI64ReinterpretF64, opF64ReinterpretI64
	}
	return 0, 0
}
