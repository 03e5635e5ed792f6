package rewrite

import "fmt"

// What things cost. A reduction stands for a piece of straight-line code: one iteration of a small loop, one call of a
// small function. See the rationale in doc.go.
const (
	// uncharged is the number of reductions that a function's loops may run up before they are charged.
	uncharged = 128
	// loopShift and entryShift: bytes of code per further reduction of an iteration, and of a call.
	loopShift  = 10
	entryShift = 8
	// callWeight is what a call counts in bytes of code, as it may reach a function that is not charged; no function
	// larger than this is left out.
	callWeight = 128
)

// edit is a change to a body. Everything between two edits is copied.
type edit struct {
	at   int // offset in the module
	cut  int // bytes left out there
	kind editKind
	arg  uint32 // the index, or the weight
}

type editKind uint8

const (
	editIndex          editKind = iota // another function index
	editLoop                           // the check at a loop header; weight 0: no branch leads there, so none is needed
	editLoopWithValues                 // the same, for a loop that takes values from the stack
	editBytes                          // charge the operand as bytes
	editEntries                        // charge the operand as table entries
	editPages                          // charge the operand as pages
)

// frame is an open block.
type frame struct {
	start    int // of its code
	calls    int // before it
	loop     int // its edit, -1 if it is no loop
	branched bool
}

// body is the code of one function, read.
type body struct {
	function uint32 // index in the original
	edits    []edit
	frames   []frame
	locals   uint32 // with parameters
	groups   uint32 // of locals, as declared
	declared span   // the groups
	code     span
	calls    int
	loops    int // charged
	nested   int // loops open
}

// weight is the work of a piece of code, in bytes of code.
func weight(bytes, calls int) int { return bytes + calls*callWeight }

// read reads a function's locals and code, checks what the rewriting relies on, and collects the edits. It reuses b's
// memory.
func (b *body) read(rw *rewriter, r *reader) {
	b.edits, b.frames = b.edits[:0], b.frames[:0]
	b.calls, b.loops, b.nested = 0, 0, 0
	b.readLocals(rw, r)
	b.code = span{r.pos, r.end}
	b.frames = append(b.frames, frame{start: r.pos, loop: -1})
	for len(b.frames) > 0 && r.err == nil {
		b.instruction(rw, r)
	}
	if r.err == nil && r.pos != r.end {
		r.fail(ErrMalformed, r.pos, "code behind the end of the function")
	}
}

func (b *body) readLocals(rw *rewriter, r *reader) {
	at := r.pos
	b.groups = r.count()
	b.declared.start = r.pos
	total := 0
	for range b.groups {
		n := r.u32()
		if uint64(n) > uint64(rw.opts.MaxLocals-total) {
			r.fail(ErrLimit, at, fmt.Sprintf("more than %d locals", rw.opts.MaxLocals))
			return
		}
		rw.readValueType(r)
		total += int(n)
	}
	b.declared.end = r.pos
	if rw.locals += total; rw.locals > 40*rw.opts.MaxLocals {
		r.fail(ErrLimit, at, fmt.Sprintf("more than %d locals in all functions", 40*rw.opts.MaxLocals))
	}
	b.locals = uint32(rw.types[rw.functions[b.function]].params + total)
}

// instruction reads one instruction.
func (b *body) instruction(rw *rewriter, r *reader) {
	at := r.pos
	first := r.byte()
	op := opcodes[first]
	switch op.imm {
	case immMisc:
		op = second(r, &miscOpcodes)
	case immVector:
		op = second(r, &vectorOpcodes)
	}
	rw.result.Features |= op.feature
	switch op.imm {
	case immUnknown:
		r.fail(ErrUnsupported, at, fmt.Sprintf("opcode %#x (%s)", r.wasm[at:r.pos], proposal(first)))
	case immNone, immElse:
	case immBlock:
		b.open(rw, r, first == opLoop)
	case immEnd:
		b.close(r)
	case immLabel:
		b.branch(r)
	case immLabels:
		for range r.count() {
			b.branch(r)
		}
		b.branch(r)
	case immFunc:
		b.reindex(rw, r)
	case immCall:
		b.reindex(rw, r)
		b.calls++
	case immCallType:
		rw.readTypeIndex(r)
		r.u32()
		b.calls++
	case immSelect:
		r.exactly(1, "select with other than one type")
		rw.readValueType(r)
	case immLocal:
		if r.u32() >= b.locals {
			r.fail(ErrMalformed, at, "unknown local")
		}
	case immGlobal:
		rw.readGlobal(r)
	case immTable:
		r.u32()
	case immTableSet:
		r.u32()
		b.pin(rw, "it changes a table")
	case immMemArg:
		r.memArg()
	case immMemory:
		r.exactly(0, "memory other than 0")
	case immGrow:
		r.exactly(0, "memory other than 0")
		b.bulk(rw, at, editPages)
	case immI32:
		r.skipLEB(5)
	case immI64:
		r.skipLEB(10)
	case immF32:
		r.take(4)
	case immF64:
		r.take(8)
	case immRefType:
		rw.readRefType(r)
	case immV128:
		r.take(16)
	case immLane:
		r.byte()
	case immMemLane:
		r.memArg()
		r.byte()
	default:
		b.bulkInstruction(rw, r, at, op.imm)
	}
}

// bulkInstruction reads the instructions of the bulk memory and reference types proposals that work on a range.
func (b *body) bulkInstruction(rw *rewriter, r *reader, at int, imm immediate) {
	switch imm {
	case immMemoryInit:
		r.u32()
		r.exactly(0, "memory other than 0")
		b.bulk(rw, at, editBytes)
	case immMemoryCopy:
		r.exactly(0, "memory other than 0")
		r.exactly(0, "memory other than 0")
		b.bulk(rw, at, editBytes)
	case immMemoryFill:
		r.exactly(0, "memory other than 0")
		b.bulk(rw, at, editBytes)
	case immTableInit, immTableCopy:
		r.u32()
		r.u32()
		b.bulk(rw, at, editEntries)
		b.pin(rw, "it changes a table")
	case immTableFill:
		r.u32()
		b.bulk(rw, at, editEntries)
		b.pin(rw, "it changes a table")
	case immDataDrop:
		r.u32()
		b.pin(rw, "it drops a data segment")
	case immElemDrop:
		r.u32()
		b.pin(rw, "it drops an element segment")
	}
}

const opLoop = 0x03

// second reads an opcode behind a prefix. The specification allows padding in it, which no compiler writes and on which
// engines disagree: refused.
func second(r *reader, table *[256]opcode) opcode {
	at := r.pos
	n := r.u32()
	if n > 0xff {
		return opcode{}
	}
	if size := r.pos - at; size > 2 || size == 2 && n < 0x80 {
		r.fail(ErrUnsupported, at, "padded opcode")
	}
	return table[n]
}

// exactly reads a byte that must have a certain value.
func (r *reader) exactly(want byte, otherwise string) {
	at := r.pos
	if r.byte() != want {
		r.fail(ErrUnsupported, at, otherwise)
	}
}

func (r *reader) memArg() {
	at := r.pos
	if r.u32() >= 32 { // bit 6 announces a memory index
		r.fail(ErrUnsupported, at, "alignment beyond 31, or memory other than 0")
	}
	r.u32()
}

// reindex reads a function index.
func (b *body) reindex(rw *rewriter, r *reader) {
	at := r.pos
	i := rw.readFunction(r)
	b.edits = append(b.edits, edit{at: at, cut: r.pos - at, kind: editIndex, arg: i + 1})
}

// bulk notes an instruction whose top operand is a length.
func (b *body) bulk(rw *rewriter, at int, kind editKind) {
	b.edits = append(b.edits, edit{at: at, kind: kind})
	b.calls++
	rw.result.Bulk++
}

func (b *body) open(rw *rewriter, r *reader, loop bool) {
	at := r.pos
	kind := editLoop
	switch t := r.s33(); {
	case r.err != nil:
	case t >= 0:
		if t >= int64(len(rw.types)) {
			r.fail(ErrMalformed, at, "unknown type")
			return
		}
		if rw.types[t].params > 0 {
			kind = editLoopWithValues
		}
		rw.result.Features |= MultiValue
	case t == -64, t >= -4: // nothing, a number
	case t == -5:
		rw.result.Features |= SIMD
	case t == -16, t == -17:
		rw.result.Features |= ReferenceTypes
	default:
		r.fail(ErrUnsupported, at, fmt.Sprintf("block type %d", t))
	}
	if len(b.frames) > rw.opts.MaxDepth {
		r.fail(ErrLimit, at, fmt.Sprintf("more than %d nested blocks", rw.opts.MaxDepth))
	}
	f := frame{start: r.pos, calls: b.calls, loop: -1}
	if loop {
		if b.nested++; b.nested > rw.opts.MaxLoops {
			r.fail(ErrLimit, at, fmt.Sprintf("more than %d nested loops", rw.opts.MaxLoops))
		}
		f.loop = len(b.edits)
		b.edits = append(b.edits, edit{at: r.pos, kind: kind})
	}
	b.frames = append(b.frames, f)
}

func (b *body) close(r *reader) {
	last := len(b.frames) - 1
	f := b.frames[last]
	b.frames = b.frames[:last]
	if f.loop < 0 {
		return
	}
	b.nested--
	if f.branched {
		w := 1 + weight(r.pos-f.start, b.calls-f.calls)>>loopShift
		b.edits[f.loop].arg = uint32(w)
		b.loops++
	}
}

func (b *body) branch(r *reader) {
	at := r.pos
	label := r.u32()
	if int64(label) >= int64(len(b.frames)) {
		r.fail(ErrMalformed, at, "unknown label")
		return
	}
	b.frames[len(b.frames)-1-int(label)].branched = true
}

// pin notes why an instance of a module with this body cannot be snapshotted.
func (b *body) pin(rw *rewriter, reason string) {
	rw.pin(reason, func() string { return rw.functionName(b.function) })
}
