package rewrite

import "rtd/sandbox/sections"

// piece is how many bytes an instruction may copy or fill at once: what takes some microseconds, or 100 if every page of
// it is new.
const piece = 64 << 10

// uncountedBytes is how many are copied or filled for nothing but what the instruction costs in any case.
const uncountedBytes = 256

// write appends a helper's body.
func (h helper) write(rw *rewriter, add added, out *buffer) {
	switch h.kind {
	case helperCharge:
		add.writeCount(out, []byte{opI32Const, touchShift, opI32ShrU}, nil, 0)
	case helperBytes:
		add.writeCount(out, nil, []byte{opI64Const, 8, opI64ShrU}, opLocalGet)
	case helperEntries:
		add.writeCount(out, nil, []byte{opI64Const, 5, opI64ShrU}, opLocalGet)
	case helperPages:
		// Growing by 65,536 pages or more fails, so the mask forgives nothing.
		add.writeCount(out, []byte{opI32Const, 0xff, 0xff, 0x03, opI32And}, []byte{opI64Const, 8, opI64Shl}, opLocalGet)
	case helperFill:
		add.writePieces(out, memoryFill, false, 0)
	case helperCopy:
		add.writePieces(out, memoryCopy, true, 0)
	case helperInit:
		add.writePieces(out, memoryInit(h.segment), false, int64(rw.passive(h.segment)))
	}
}

// writeCount writes: reductions -= scale(int64(mask(n))); if reductions < 0 { yield() }; return n or 0.
func (add added) writeCount(b *buffer, mask, scale []byte, result byte) {
	b.u32(0) // locals
	b.byte(opGlobalGet)
	b.u32(add.reductions)
	b.byte(opLocalGet, 0)
	b.raw(mask)
	b.byte(opI64ExtendU)
	b.raw(scale)
	b.byte(opI64Sub)
	add.store(b)
	if result == opLocalGet {
		b.byte(opLocalGet, 0, opEnd)
	} else {
		b.byte(opI32Const, 0, opEnd)
	}
}

// Parameters of the helpers that stand for an instruction on a range, and so its operands.
const (
	toLocal     = 0
	fromLocal   = 1 // or the value to fill with
	lengthLocal = 2
)

var (
	memoryFill = []byte{opMisc, miscFill, 0}
	memoryCopy = []byte{opMisc, miscCopy, 0, 0}
)

func memoryInit(segment uint32) []byte {
	b := buffer{opMisc, miscInit}
	b.u32(segment)
	b.byte(0)
	return b
}

// writePieces writes a function that does what an instruction does on a range, in pieces, with a check before each:
//
//	if n > piece {
//	    if the range is not all there { instruction(to, from, n), which traps }
//	    loop {
//	        charge(piece)
//	        instruction(to, from, piece)
//	        to += piece; from += piece; n -= piece
//	        if n > piece { continue }
//	    }
//	}
//	charge(n)
//	instruction(to, from, n)
//
// A copy whose target begins behind its source goes from the end to the begin, so that overlapping ranges come out right.
// segment is the size of the data segment that is read, or 0 for none.
func (add added) writePieces(b *buffer, instruction []byte, copies bool, segment int64) {
	fills := !copies && segment == 0
	get := func(local byte) { b.byte(opLocalGet, local) }
	number := func(n int64) {
		b.byte(opI32Const)
		b.s64(n)
	}
	move := func(local, op byte) { // local = local op piece
		get(local)
		number(piece)
		b.byte(op, opLocalSet, local)
	}
	charge := func(bytes func()) {
		b.byte(opGlobalGet)
		b.u32(add.reductions)
		bytes()
		b.byte(opI64ExtendU, opI64Const, 8, opI64ShrU, opI64Sub)
		add.store(b)
	}
	// longer asks whether local + n is more than all, as a number of 64 bits.
	longer := func(local byte, all func()) {
		get(local)
		b.byte(opI64ExtendU)
		get(lengthLocal)
		b.byte(opI64ExtendU, opI64Add)
		all()
		b.byte(opI64GtU)
	}
	memory := func() { b.byte(opMemorySize, 0, opI64ExtendU, opI64Const, 16, opI64Shl) }
	whole := func() {
		get(toLocal)
		get(fromLocal)
		get(lengthLocal)
		b.raw(instruction)
	}
	more := func() { // if n > piece { continue }
		get(lengthLocal)
		number(piece)
		b.byte(opI32GtU, opBrIf, 0)
	}

	b.u32(0) // locals
	get(lengthLocal)
	number(piece)
	b.byte(opI32GtU, opIf, noValue)
	longer(toLocal, memory)
	switch {
	case copies:
		longer(fromLocal, memory)
		b.byte(opI32Or)
	case !fills:
		longer(fromLocal, func() {
			b.byte(opI64Const)
			b.s64(segment)
		})
		b.byte(opI32Or)
	}
	b.byte(opIf, noValue)
	whole()
	b.byte(opUnreachable, opEnd)
	if !copies && !fills { // the segment may be dropped, which shows at its end
		get(toLocal)
		get(lengthLocal)
		b.byte(opI32Add)
		get(fromLocal)
		get(lengthLocal)
		b.byte(opI32Add)
		number(0)
		b.raw(instruction)
	}
	if copies {
		get(toLocal)
		get(fromLocal)
		b.byte(opI32GtU, opIf, noValue, opLoop, noValue)
		charge(func() { number(piece) })
		move(lengthLocal, opI32Sub)
		get(toLocal)
		get(lengthLocal)
		b.byte(opI32Add)
		get(fromLocal)
		get(lengthLocal)
		b.byte(opI32Add)
		number(piece)
		b.raw(instruction)
		more()
		b.byte(opEnd, opElse)
	}
	b.byte(opLoop, noValue)
	charge(func() { number(piece) })
	get(toLocal)
	get(fromLocal)
	number(piece)
	b.raw(instruction)
	move(toLocal, opI32Add)
	if !fills {
		move(fromLocal, opI32Add)
	}
	move(lengthLocal, opI32Sub)
	more()
	b.byte(opEnd)
	if copies {
		b.byte(opEnd)
	}
	b.byte(opEnd)
	charge(func() { get(lengthLocal) })
	whole()
	b.byte(opEnd)
}

// passive is the size of a passive data segment, 0 for any other. What is wrong with the section comes out when it is
// written.
func (rw *rewriter) passive(segment uint32) uint32 {
	if rw.segments == nil {
		rw.segments = []uint32{}
		var scratch buffer
		r, n := rw.vector(sections.Data, "data segments", rw.opts.Segments)
		for range n {
			flags := r.U32()
			if flags == 2 {
				r.U32()
			}
			if flags != 1 {
				scratch = scratch[:0]
				rw.constant(&r, &scratch)
			}
			size := uint32(len(r.Take(r.U32())))
			if r.Err != nil {
				break
			}
			if flags != 1 {
				size = 0
			}
			rw.segments = append(rw.segments, size)
		}
	}
	if uint64(segment) >= uint64(len(rw.segments)) {
		return 0
	}
	return rw.segments[segment]
}
