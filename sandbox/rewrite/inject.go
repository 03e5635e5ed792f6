package rewrite

// added are the indices, in the new module, of what is added.
type added struct {
	yield   uint32 // imported function
	charge  uint32 // functions of the type helper
	bytes   uint32
	entries uint32
	pages   uint32

	plain  uint32 // type of yield
	helper uint32 // type of the others

	reductions uint32 // global
}

func (rw *rewriter) added() added {
	next := uint32(len(rw.functions)) + 1
	types := uint32(len(rw.types))
	return added{yield: 0, charge: next, bytes: next + 1, entries: next + 2, pages: next + 3,
		plain: types, helper: types + 1, reductions: uint32(len(rw.globals))}
}

// injected are the names of the functions that are added behind the module's own, in order of their indices.
var injected = [...]string{prefix + "charge", prefix + "bytes", prefix + "entries", prefix + "pages"}

// Opcodes of the code that is added.
const (
	opIf         = 0x04
	opElse       = 0x05
	opBr         = 0x0c
	opEnd        = 0x0b
	opCall       = 0x10
	opLocalGet   = 0x20
	opLocalSet   = 0x21
	opLocalTee   = 0x22
	opGlobalGet  = 0x23
	opGlobalSet  = 0x24
	opI32Const   = 0x41
	opI64Const   = 0x42
	opI32LtU     = 0x49
	opI64GeS     = 0x59
	opI32Add     = 0x6a
	opI32And     = 0x71
	opI64Sub     = 0x7d
	opI64Shl     = 0x86
	opI64ShrU    = 0x88
	opI64ExtendU = 0xad
	noValue      = 0x40
)

// write appends the body with its checks.
func (b *body) write(rw *rewriter, add added, out *buffer) {
	if b.loops > 0 {
		out.u32(b.groups + 1)
		out.raw(rw.wasm[b.declared.start:b.declared.end])
		out.byte(1, byte(I32))
	} else {
		out.u32(b.groups)
		out.raw(rw.wasm[b.declared.start:b.declared.end])
	}
	if size := weight(b.code.end-b.code.start, b.calls); b.calls > 0 || b.loops > 0 || size > callWeight {
		add.checkEntry(int64(1+size>>entryShift), out)
		rw.result.Charged++
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
				add.checkLoop(b.locals, e, out)
				rw.result.Loops++
			}
		case editBytes:
			out.byte(opCall)
			out.u32(add.bytes)
		case editEntries:
			out.byte(opCall)
			out.u32(add.entries)
		case editPages:
			out.byte(opCall)
			out.u32(add.pages)
		}
	}
	out.raw(rw.wasm[at:b.code.end])
}

// checkEntry writes: reductions -= weight; if reductions < 0 { yield() }.
func (add added) checkEntry(weight int64, out *buffer) {
	out.byte(opGlobalGet)
	out.u32(add.reductions)
	out.byte(opI64Const)
	out.s64(weight)
	out.byte(opI64Sub)
	add.store(out)
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

// checkLoop writes: run += weight; if run >= uncharged { run = charge(run); continue }, with run a local of the function.
//
// The continue matters: it keeps the rare path out of the loop's straight line, and costs the check a few times less than
// going on behind it. It is left out where the loop takes values from the stack, which are not ours to pass again, and
// where one iteration is worth a charge by itself, as it would come back for ever.
func (add added) checkLoop(run uint32, e edit, out *buffer) {
	out.byte(opLocalGet)
	out.u32(run)
	out.byte(opI32Const)
	out.s64(int64(e.arg))
	out.byte(opI32Add, opLocalTee)
	out.u32(run)
	out.byte(opI32Const)
	out.s64(uncharged)
	out.byte(opI32LtU, opIf, noValue, opElse, opLocalGet)
	out.u32(run)
	out.byte(opCall)
	out.u32(add.charge)
	out.byte(opLocalSet)
	out.u32(run)
	if e.kind == editLoop && e.arg < uncharged {
		out.byte(opBr, 1)
	}
	out.byte(opEnd)
}

// writeHelpers appends the bodies of the injected functions, each with its length. All take a number and spend
// reductions for it.
func (add added) writeHelpers(out *buffer) {
	// charge(n) spends n and returns 0.
	add.writeHelper(out, nil, nil, 0)
	// bytes(n) spends n/256 and returns n, so that it can stand in front of an instruction without a local.
	add.writeHelper(out, nil, []byte{opI64Const, 8, opI64ShrU}, opLocalGet)
	// entries(n) spends n/32 and returns n: an entry has 8 bytes.
	add.writeHelper(out, nil, []byte{opI64Const, 5, opI64ShrU}, opLocalGet)
	// pages(n) spends 256 a page and returns n. Growing by 65,536 pages or more fails, so the mask forgives nothing.
	add.writeHelper(out, []byte{opI32Const, 0xff, 0xff, 0x03, opI32And}, []byte{opI64Const, 8, opI64Shl}, opLocalGet)
}

// writeHelper appends: reductions -= scale(int64(mask(n))); if reductions < 0 { yield() }; return n or 0.
func (add added) writeHelper(out *buffer, mask, scale []byte, result byte) {
	var b buffer
	b.u32(0) // locals
	b.byte(opGlobalGet)
	b.u32(add.reductions)
	b.byte(opLocalGet, 0)
	b.raw(mask)
	b.byte(opI64ExtendU)
	b.raw(scale)
	b.byte(opI64Sub)
	add.store(&b)
	if result == opLocalGet {
		b.byte(opLocalGet, 0, opEnd)
	} else {
		b.byte(opI32Const, 0, opEnd)
	}
	out.sized(b)
}
