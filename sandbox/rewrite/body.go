package rewrite

import (
	"fmt"

	"rtd/sandbox/sections"
)

// What things cost. A reduction stands for a piece of straight-line code: one iteration of a small loop, one call of a
// small function. See the rationale in doc.go.
const (
	// uncharged is the number of reductions that a function's loops may run up before they are charged.
	uncharged = 128
	// forgiven is what a function pays in advance that may leave so many uncharged.
	forgiven = 16
	// loopShift and entryShift: bytes of code per further reduction of an iteration, and of a call.
	loopShift  = 10
	entryShift = 8
	// callWeight is what a call counts in bytes of code, as it may reach a function that is not charged; no function
	// larger than this is left out.
	callWeight = 128

	// What an instruction may cost besides, as it may be the first one to reach a page, which the kernel then has to clear
	// or to copy: some microseconds. In touches.
	loadTouches  = 1
	storeTouches = 4
	fillTouches  = 2 * storeTouches
	copyTouches  = 2*storeTouches + 2*loadTouches
	callTouches  = 1

	touchShift = 4 // touches per reduction: 16

	// entryTouches is how many a function without loops is charged for when it is entered, whatever it will do.
	entryTouches = 128
	// ownTouches is from how many on a run pays for itself. Smaller ones, which is most code, pay by their bytes.
	ownTouches = 32
	// mostTouches is how many the runs of a function that pay may have together without checks of their own: 512 stores.
	mostTouches = 2048
	// splitTouches bounds a run that is checked.
	splitTouches = 256
)

// edit is a change to a body. Everything between two edits is copied.
type edit struct {
	at      int // offset in the module
	cut     int // bytes left out there
	kind    editKind
	arg     uint32   // the index, or the weight
	touches uint32   // of the run that begins here
	carries localSet // locals that the loop carries
}

type editKind uint8

const (
	editIndex          editKind = iota // another function index
	editLoop                           // the check at a loop header; weight 0: no branch leads there, so none is needed
	editLoopWithValues                 // the same, for a loop that takes values from the stack
	editExit                           // the check in front of an exit
	editAgain                          // a branch to a loop on a condition, of that label
	editTouches                        // charge a run of code for its touches
	editFill                           // memory.fill, in pieces
	editCopy                           // memory.copy, in pieces
	editInit                           // memory.init of the segment, in pieces if that is large
	editBytes                          // charge the operand as bytes
	editEntries                        // charge the operand as table entries
	editPages                          // charge the operand as pages
)

// span is a part of the module.
type span struct{ start, end int }

// frame is an open block.
type frame struct {
	start    int // of its code
	calls    int // before it
	loop     int // its edit, -1 if it is no loop
	branched bool

	sure, otherwise localSet // see carried: at its end, and where an if without an else goes on
}

// run is a piece of code with one way in, perhaps several out: whoever gets into it pays for all of it.
type run struct {
	edit    int  // that charges it: its loop's, or one in front of the first instruction with touches; -1 if there is none yet
	entry   bool // it is the function's first, which is charged for when that is entered
	touches int
}

// body is the code of one function, read.
type body struct {
	function uint32 // index in the original
	edits    []edit
	frames   []frame
	locals   uint32        // with parameters
	groups   uint32        // of locals, as declared
	types    [64]ValueType // of the first locals
	carried  carried

	opens bool // calls other functions of the guest, and waits for them

	length    uint32 // the last i32.const
	lengthEnd int    // behind it
	declared  span   // the groups
	code      span
	calls     int
	loops     int // charged
	largest   int // bytes of a loop
	bulks     int // instructions that are done in pieces
	nested    int // loops open
	run       run // at hand
	touches   int // of all runs
	entry     int // of the first
	own       int // of those that pay where they begin
}

// weight is the work of a piece of code, in bytes of code.
func weight(bytes, calls int) int { return bytes + calls*callWeight }

// read reads a function's locals and code, checks what the rewriting relies on, and collects the edits. It reuses b's
// memory.
func (b *body) read(rw *rewriter, r *sections.Reader) {
	b.edits, b.frames = b.edits[:0], b.frames[:0]
	b.calls, b.loops, b.largest, b.bulks, b.nested = 0, 0, 0, 0, 0
	b.run, b.touches, b.entry, b.own = run{edit: -1, entry: true}, 0, 0, 0
	b.carried.begin(0)
	b.lengthEnd, b.opens = -1, false
	b.readLocals(rw, r)
	b.code = span{r.Pos, r.End}
	b.frames = append(b.frames, frame{start: r.Pos, loop: -1})
	for len(b.frames) > 0 && r.Err == nil {
		b.instruction(rw, r)
	}
	if r.Err == nil && r.Pos != r.End {
		r.Fail(sections.ErrMalformed, r.Pos, "code behind the end of the function")
	}
}

func (b *body) readLocals(rw *rewriter, r *sections.Reader) {
	at := r.Pos
	b.groups = count(r, "groups of locals", rw.opts.Locals, new(int))
	b.declared.start = r.Pos
	t := rw.types[rw.functions[b.function]]
	total, known := 0, 0
	for ; known < min(t.params, len(b.types)); known++ {
		b.types[known] = ValueType(rw.wasm[t.at+known])
	}
	for range b.groups {
		n := r.U32()
		if uint64(n) > uint64(rw.opts.Locals-total) {
			r.Fail(sections.ErrLimit, at, fmt.Sprintf("more than %d locals", rw.opts.Locals))
			return
		}
		group := rw.readValueType(r)
		total += int(n)
		for ; known < min(t.params+total, len(b.types)); known++ {
			b.types[known] = group
		}
	}
	b.declared.end = r.Pos
	if rw.locals += total; rw.locals > rw.opts.AllLocals {
		r.Fail(sections.ErrLimit, at, fmt.Sprintf("more than %d locals in all functions", rw.opts.AllLocals))
	}
	b.locals = uint32(t.params + total)
}

// instruction reads one instruction.
func (b *body) instruction(rw *rewriter, r *sections.Reader) {
	at := r.Pos
	first := r.Byte()
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
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("opcode %#x (%s)", r.Module[at:r.Pos], proposal(first)))
	case immNone:
		if first == opUnreachable || first == opReturn {
			b.carried.leave()
		}
		if first == opReturn {
			b.exit(at)
		}
	case immElse:
		b.beginRun(-1)
		b.carried.otherwise(&b.frames[len(b.frames)-1])
	case immBlock:
		b.open(rw, r, first)
	case immEnd:
		b.close(r)
	case immLabel:
		f, label := b.branch(r)
		switch {
		case f == nil:
			return
		case f == &b.frames[0]:
			b.exit(at)
		case first != opBr && f.loop >= 0 && b.edits[f.loop].kind == editLoop:
			b.edits = append(b.edits, edit{at: at, cut: r.Pos - at, kind: editAgain, arg: label})
		}
		if first == opBr {
			b.carried.leave()
		}
	case immLabels:
		exits := false
		for range r.Count() {
			f, _ := b.branch(r)
			exits = exits || f == &b.frames[0]
		}
		if f, _ := b.branch(r); exits || f == &b.frames[0] {
			b.exit(at)
		}
		b.carried.leave()
	case immFunc:
		b.reindex(rw, r)
	case immCall:
		b.touch(at, callTouches)
		b.called(at, first)
		if i := b.reindex(rw, r); first == opCall && int(i) >= rw.importedFunctions {
			b.opens = true
		}
	case immCallType:
		b.touch(at, callTouches)
		b.called(at, first)
		rw.readTypeIndex(r)
		r.U32()
		b.opens = b.opens || first == opCallIndirect
	case immSelect:
		exactly(r, 1, "select with other than one type")
		rw.readValueType(r)
	case immLocal:
		local := r.U32()
		if local >= b.locals {
			r.Fail(sections.ErrMalformed, at, "unknown local")
		}
		b.carried.local(first, local)
	case immGlobal:
		rw.readGlobal(r)
	case immTable:
		r.U32()
	case immTableSet:
		r.U32()
		b.pin(rw, "it changes a table")
	case immLoad:
		b.touch(at, loadTouches)
		memArg(r)
	case immStore:
		b.touch(at, storeTouches)
		memArg(r)
	case immMemory:
		exactly(r, 0, "memory other than 0")
	case immGrow:
		exactly(r, 0, "memory other than 0")
		b.bulk(rw, r, edit{at: at, kind: editPages})
	case immI32:
		r.SkipLEB(5)
		b.length, b.lengthEnd = signed32(r.Module[at+1:r.Pos]), r.Pos
	case immI64:
		r.SkipLEB(10)
	case immF32:
		r.Take(4)
	case immF64:
		r.Take(8)
	case immRefType:
		rw.readRefType(r)
	case immV128:
		r.Take(16)
	case immLane:
		r.Byte()
	case immLoadLane:
		b.touch(at, loadTouches)
		memArg(r)
		r.Byte()
	case immStoreLane:
		b.touch(at, storeTouches)
		memArg(r)
		r.Byte()
	default:
		b.bulkInstruction(rw, r, at, op.imm)
	}
}

// bulkInstruction reads the instructions of the bulk memory and reference types proposals that work on a range.
func (b *body) bulkInstruction(rw *rewriter, r *sections.Reader, at int, imm immediate) {
	switch imm {
	case immMemoryInit:
		b.touch(at, fillTouches)
		segment := r.U32()
		exactly(r, 0, "memory other than 0")
		if rw.passive(segment) > piece {
			b.bulk(rw, r, edit{at: at, cut: r.Pos - at, kind: editInit, arg: segment})
		} else {
			b.bulk(rw, r, edit{at: at, kind: editBytes})
		}
	case immMemoryCopy:
		b.touch(at, copyTouches)
		exactly(r, 0, "memory other than 0")
		exactly(r, 0, "memory other than 0")
		b.rangeOf(rw, r, at, editCopy)
	case immMemoryFill:
		b.touch(at, fillTouches)
		exactly(r, 0, "memory other than 0")
		b.rangeOf(rw, r, at, editFill)
	case immTableInit, immTableCopy:
		r.U32()
		r.U32()
		b.bulk(rw, r, edit{at: at, kind: editEntries})
		b.pin(rw, "it changes a table")
	case immTableFill:
		r.U32()
		b.bulk(rw, r, edit{at: at, kind: editEntries})
		b.pin(rw, "it changes a table")
	case immDataDrop:
		r.U32()
		b.pin(rw, "it drops a data segment")
	case immElemDrop:
		r.U32()
		b.pin(rw, "it drops an element segment")
	}
}

const (
	opBlock = 0x02
	opLoop  = 0x03
)

// second reads an opcode behind a prefix. The specification allows padding in it, which no compiler writes and on which
// engines disagree: refused.
func second(r *sections.Reader, table *[256]opcode) opcode {
	at := r.Pos
	n := r.U32()
	if n > 0xff {
		return opcode{}
	}
	if size := r.Pos - at; size > 2 || size == 2 && n < 0x80 {
		r.Fail(sections.ErrUnsupported, at, "padded opcode")
	}
	return table[n]
}

// exactly reads a byte that must have a certain value.
func exactly(r *sections.Reader, want byte, otherwise string) {
	at := r.Pos
	if r.Byte() != want {
		r.Fail(sections.ErrUnsupported, at, otherwise)
	}
}

func memArg(r *sections.Reader) {
	at := r.Pos
	if r.U32() >= 32 { // bit 6 announces a memory index
		r.Fail(sections.ErrUnsupported, at, "alignment beyond 31, or memory other than 0")
	}
	r.U32()
}

// reindex reads a function index.
func (b *body) reindex(rw *rewriter, r *sections.Reader) (i uint32) {
	at := r.Pos
	i = rw.readFunction(r)
	b.edits = append(b.edits, edit{at: at, cut: r.Pos - at, kind: editIndex, arg: i + 1})
	return i
}

// called notes a call. A tail call is an exit.
func (b *body) called(at int, op byte) {
	b.calls++
	if op != opCall && op != opCallIndirect {
		b.exit(at)
		b.carried.leave()
	}
}

// exit notes where the function may be left.
func (b *body) exit(at int) { b.edits = append(b.edits, edit{at: at, kind: editExit}) }

// bulk notes an instruction whose top operand is a length.
func (b *body) bulk(rw *rewriter, r *sections.Reader, e edit) {
	if r.Err != nil {
		return
	}
	b.edits = append(b.edits, e)
	if e.cut > 0 {
		b.bulks++
	}
	b.calls++
	rw.result.Bulk++
}

// rangeOf notes a memory.copy or memory.fill, unless the instruction before says that it is a short one.
func (b *body) rangeOf(rw *rewriter, r *sections.Reader, at int, kind editKind) {
	if b.lengthEnd == at && b.length < uncountedBytes {
		b.calls++
		return
	}
	b.bulk(rw, r, edit{at: at, cut: r.Pos - at, kind: kind})
}

// touch notes an instruction that may be the first to reach a page, or is charged as one.
func (b *body) touch(at, touches int) {
	if b.run.edit < 0 && !b.run.entry {
		b.run.edit = len(b.edits)
		b.edits = append(b.edits, edit{at: at, kind: editTouches})
	}
	b.touches += touches
	if b.run.touches += touches; b.run.touches >= splitTouches {
		b.beginRun(-1)
	}
}

// beginRun comes where other code may lead to. loop is the edit of the loop that begins there, or -1.
func (b *body) beginRun(loop int) {
	switch {
	case b.run.entry:
		b.entry = b.run.touches
	case b.run.edit >= 0:
		if e := &b.edits[b.run.edit]; e.kind != editTouches || b.run.touches >= ownTouches {
			e.touches = uint32(b.run.touches)
			b.own += b.run.touches
		}
	}
	b.run = run{edit: loop}
}

func (b *body) open(rw *rewriter, r *sections.Reader, op byte) {
	at := r.Pos
	loop := op == opLoop
	kind := editLoop
	switch t := r.S33(); {
	case r.Err != nil:
	case t >= 0:
		if t >= int64(len(rw.types)) {
			r.Fail(sections.ErrMalformed, at, "unknown type")
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
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("block type %d", t))
	}
	if len(b.frames) > rw.opts.Depth {
		r.Fail(sections.ErrLimit, at, fmt.Sprintf("more than %d nested blocks", rw.opts.Depth))
	}
	f := frame{start: r.Pos, calls: b.calls, loop: -1, branched: op == opIf}
	b.carried.open(&f, op)
	if loop {
		b.carried.begin(len(b.frames))
		if b.nested++; b.nested > rw.opts.Loops {
			r.Fail(sections.ErrLimit, at, fmt.Sprintf("more than %d nested loops", rw.opts.Loops))
		}
		f.loop = len(b.edits)
		b.edits = append(b.edits, edit{at: r.Pos, kind: kind})
	}
	if op != opBlock {
		b.beginRun(f.loop)
	}
	b.frames = append(b.frames, f)
}

func (b *body) close(r *sections.Reader) {
	last := len(b.frames) - 1
	f := b.frames[last]
	b.frames = b.frames[:last]
	if f.branched || f.loop >= 0 || last == 0 {
		b.beginRun(-1)
	}
	if last == 0 {
		b.exit(r.Pos - 1)
	}
	if last > b.carried.loop {
		b.carried.close(&f)
	}
	if f.loop < 0 {
		return
	}
	b.nested--
	if last == b.carried.loop {
		b.edits[f.loop].carries = b.carried.end()
	}
	if f.branched {
		b.largest = max(b.largest, r.Pos-f.start)
		w := 1 + weight(r.Pos-f.start, b.calls-f.calls)>>loopShift
		b.edits[f.loop].arg = uint32(w)
		b.loops++
	}
}

// branch reads a label, and returns its frame.
func (b *body) branch(r *sections.Reader) (f *frame, label uint32) {
	at := r.Pos
	label = r.U32()
	if int64(label) >= int64(len(b.frames)) {
		r.Fail(sections.ErrMalformed, at, "unknown label")
		return nil, 0
	}
	f = &b.frames[len(b.frames)-1-int(label)]
	f.branched = true
	b.carried.branch(f)
	return f, label
}

// pin notes why an instance of a module with this body cannot be snapshotted.
func (b *body) pin(rw *rewriter, reason string) {
	rw.pin(reason, func() string { return rw.functionName(b.function) })
}
