package rewrite

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"rtd/sandbox/sections"
)

// assemble writes the new module, section by section.
func (rw *rewriter) assemble() *sections.Error {
	out := make(buffer, 0, len(rw.wasm)+len(rw.wasm)/4+1024)
	out.raw([]byte(sections.Header))
	add := rw.added()
	// The code comes first, as it decides which helpers are added.
	var code buffer
	if err := rw.writeCode(add, &code); err != nil {
		return err
	}
	for _, section := range []struct {
		id    byte
		write func(added, *buffer) *sections.Error
	}{
		{sections.Type, rw.writeTypes},
		{sections.Import, rw.writeImports},
		{sections.Function, rw.writeFunctions},
		{sections.Table, rw.writeTables},
		{sections.Memory, rw.writeMemory},
		{sections.Global, rw.writeGlobals},
		{sections.Export, rw.writeExports},
		{sections.Element, rw.writeElements},
		{sections.DataCount, rw.writeDataCount},
		{sections.Code, func(_ added, out *buffer) *sections.Error { out.raw(code); return nil }},
		{sections.Data, rw.writeData},
	} {
		old := rw.section(section.id)
		content := make(buffer, 0, old.Left()*5/4+64)
		if err := section.write(add, &content); err != nil {
			return err
		}
		if len(content) > 0 {
			out.section(section.id, content)
		}
	}
	if err := rw.writeCustoms(&out); err != nil {
		return err
	}
	rw.result.WASM = out
	rw.result.Reductions = reductionsName
	return nil
}

// extend copies a vector section that is not read again, with more elements behind it.
func (rw *rewriter) extend(id byte, more uint32, out *buffer) {
	r, n := rw.vector(id, "", math.MaxInt) // which was within its limit
	out.u32(n + more)
	out.raw(r.Rest())
}

func (rw *rewriter) writeTypes(_ added, out *buffer) *sections.Error {
	rw.extend(sections.Type, 3, out)
	out.byte(0x60, 0, 0)                                  // func()
	out.byte(0x60, 1, byte(I32), 1, byte(I32))            // func(i32) i32
	out.byte(0x60, 3, byte(I32), byte(I32), byte(I32), 0) // func(i32, i32, i32)
	return nil
}

// writeImports puts yield first: a shift by one for every function is easier to get right than one from an index on.
func (rw *rewriter) writeImports(add added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Import, "", math.MaxInt) // as in extend
	out.u32(n + 1)
	out.name(rw.opts.YieldModule)
	out.name(rw.opts.YieldName)
	out.byte(byte(FunctionKind))
	out.u32(add.plain)
	out.raw(r.Rest())
	return nil
}

func (rw *rewriter) writeFunctions(add added, out *buffer) *sections.Error {
	rw.extend(sections.Function, uint32(len(rw.helpers)), out)
	for _, h := range rw.helpers {
		out.u32(h.kind.typeOf(add))
	}
	return nil
}

// writeTables bounds every table, as its memory is the host's and outside of the limit on the linear memory.
func (rw *rewriter) writeTables(_ added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Table, "tables", rw.opts.Tables)
	if n == 0 {
		return r.Finish()
	}
	out.u32(n)
	for range n {
		t := rw.readTable(&r)
		if most := max(t.min, uint32(rw.opts.TableGrowth)); !t.bounded || t.max > most {
			t.max = most
		}
		out.byte(byte(t.element), 1)
		out.u32(t.min)
		out.u32(t.max)
	}
	return r.Finish()
}

func (rw *rewriter) writeMemory(_ added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Memory, "memories", math.MaxInt)
	if n == 0 {
		return r.Finish()
	}
	at := r.Pos
	if n > 1 || rw.importsMemory() {
		r.Fail(sections.ErrUnsupported, at, "more than one memory")
	}
	rw.readMemory(&r)
	out.u32(n)
	out.raw(rw.wasm[at:r.End])
	rw.result.Memory.Export = memoryName // unless the module exports it
	return r.Finish()
}

func (rw *rewriter) importsMemory() bool {
	for _, imp := range rw.result.Imports {
		if imp.Kind == MemoryKind {
			return true
		}
	}
	return false
}

func (rw *rewriter) writeGlobals(_ added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Global, "globals", rw.opts.Entries)
	out.u32(n + 1)
	for range n {
		at := r.Pos
		rw.readGlobalType(&r)
		out.raw(r.Module[at:r.Pos])
		rw.constant(&r, out)
	}
	out.byte(byte(I64), 1, opI64Const, 0, opEnd) // the counter
	return r.Finish()
}

func (rw *rewriter) writeExports(add added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Export, "exports", rw.opts.Entries)
	names := make(map[uint32]string) // of globals
	var own buffer
	for range n {
		at := r.Pos
		e := Export{Name: r.Name(), Kind: Kind(r.Byte())}
		if strings.HasPrefix(e.Name, prefix) {
			r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("export %q: names that begin with %s are for the host", e.Name, prefix))
		}
		own.name(e.Name)
		own.byte(byte(e.Kind))
		switch e.Kind {
		case FunctionKind:
			own.u32(rw.readFunction(&r) + 1)
		case GlobalKind:
			i := rw.readGlobal(&r)
			names[i] = e.Name
			own.u32(i)
		case TableKind, MemoryKind:
			own.u32(r.U32())
			if e.Kind == MemoryKind && rw.result.Memory.Export != "" {
				rw.result.Memory.Export = e.Name
			}
		default:
			if r.Err == nil {
				r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("export %q is of kind %d", e.Name, e.Kind))
			}
		}
		rw.result.Exports = append(rw.result.Exports, e)
	}
	if err := r.Finish(); err != nil {
		return err
	}
	export := func(name string, kind Kind, index uint32) {
		own.name(name)
		own.byte(byte(kind))
		own.u32(index)
		n++
	}
	export(reductionsName, GlobalKind, add.reductions)
	if rw.start >= 0 {
		rw.result.Start = startName
		export(startName, FunctionKind, uint32(rw.start)+1)
	}
	if rw.result.Memory.Export == memoryName {
		export(memoryName, MemoryKind, 0)
	}
	for i, g := range rw.globals {
		switch {
		case i < rw.importedGlobals || !g.mutable:
		case !g.value.numeric():
			rw.pin("it has a mutable global that is no number", func() string { return "global " + strconv.Itoa(i) })
		default:
			name, ok := names[uint32(i)]
			if !ok {
				name = globalPrefix + strconv.Itoa(i)
				export(name, GlobalKind, uint32(i))
			}
			rw.result.Globals = append(rw.result.Globals, Global{Export: name, Type: g.value})
		}
	}
	out.u32(n)
	out.raw(own)
	return nil
}

// Bits of an element segment's first number.
const (
	notActive   = 1 << iota // passive, or declarative with the next bit
	explicit                // with a table index, if active
	expressions             // constant expressions instead of function indices
)

func (rw *rewriter) writeElements(_ added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Element, "element segments", rw.opts.Segments)
	if n == 0 {
		return r.Finish()
	}
	out.u32(n)
	for range n {
		at := r.Pos
		flags := r.U32()
		if flags > 7 {
			r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("element segment of kind %d", flags))
		}
		if flags != 0 {
			rw.result.Features |= BulkMemory
		}
		out.u32(flags)
		if flags&notActive == 0 {
			if flags&explicit != 0 {
				out.u32(r.U32())
			}
			rw.constant(&r, out)
		}
		if flags&(notActive|explicit) != 0 { // element kind, or reference type
			at := r.Pos
			kind := r.Byte()
			switch {
			case flags&expressions == 0 && kind == 0:
			case flags&expressions != 0 && (ValueType(kind) == FuncRef || ValueType(kind) == ExternRef):
			default:
				r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("elements of kind %#x", kind))
			}
			out.byte(kind)
		}
		elements := count(&r, "elements", rw.opts.Elements, &rw.elements)
		out.u32(elements)
		for range elements {
			if flags&expressions != 0 {
				rw.constant(&r, out)
			} else {
				out.u32(rw.readFunction(&r) + 1)
			}
		}
	}
	return r.Finish()
}

func (rw *rewriter) writeDataCount(_ added, out *buffer) *sections.Error {
	r := rw.section(sections.DataCount)
	if r.Left() == 0 {
		return nil
	}
	out.u32(r.U32())
	return r.Finish()
}

func (rw *rewriter) writeCode(add added, out *buffer) *sections.Error {
	r, n := rw.vector(sections.Code, "function bodies", rw.opts.Functions)
	if int(n) != rw.result.Functions {
		r.Fail(sections.ErrMalformed, r.Pos, fmt.Sprintf("%d functions, but %d bodies", rw.result.Functions, n))
		return r.Err
	}
	var (
		b       body
		scratch buffer
		bodies  = make(buffer, 0, r.Left()*5/4)
	)
	for i := range n {
		at := r.Pos
		size := r.U32()
		if uint64(size) > uint64(rw.opts.Body) {
			r.Fail(sections.ErrLimit, at, fmt.Sprintf("function of %d bytes, allowed are %d", size, rw.opts.Body))
		}
		code := r.Sub(size)
		b.function = uint32(rw.importedFunctions) + i
		b.read(rw, &code)
		if code.Err != nil {
			code.Err.Function = rw.functionName(b.function)
			return code.Err
		}
		scratch = scratch[:0]
		b.write(rw, add, &scratch)
		bodies.sized(scratch)
		if len(bodies) > rw.opts.Code {
			r.Fail(sections.ErrLimit, at, fmt.Sprintf("code of more than %d bytes with its checks; there are too many small loops or large instructions", rw.opts.Code))
			return r.Err
		}
	}
	out.u32(n + uint32(len(rw.helpers)))
	out.raw(bodies)
	for _, h := range rw.helpers {
		scratch = scratch[:0]
		h.write(rw, add, &scratch)
		out.sized(scratch)
	}
	return r.Finish()
}

func (rw *rewriter) writeData(add added, out *buffer) *sections.Error {
	if rw.opts.TakeData && !rw.takesData && rw.result.Memory.Export != "" && !rw.shares() {
		// All segments or none, so that those that overlap are written in order.
		rw.takesData = true
		var all buffer
		if err := rw.writeData(add, &all); err != nil {
			return err
		}
		if rw.takesData {
			// Empty segments take time too; code that refers to segments needs their count.
			if count := rw.section(sections.DataCount); count.Left() > 0 {
				out.raw(all)
			}
			return nil
		}
		rw.opts.TakeData, rw.result.Data = false, nil
	}
	r, n := rw.vector(sections.Data, "data segments", rw.opts.Segments)
	if n == 0 {
		return r.Finish()
	}
	out.u32(n)
	for range n {
		at := r.Pos
		flags := r.U32()
		out.u32(flags)
		constant := len(*out)
		switch flags {
		case 0:
			rw.constant(&r, out)
		case 1:
			rw.result.Features |= BulkMemory
		case 2:
			rw.result.Features |= BulkMemory
			if r.U32() != 0 {
				r.Fail(sections.ErrUnsupported, at, "memory other than 0")
			}
			out.byte(0)
			rw.constant(&r, out)
		default:
			r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("data segment of kind %d", flags))
		}
		content := r.Take(r.U32())
		if r.Err != nil {
			return r.Err
		}
		if offset, plain := constantOffset((*out)[constant:]); flags == 0 && plain && rw.takesData {
			rw.result.Data = append(rw.result.Data, Data{offset, content})
			content = nil // the segment stays, for the others' indices
		} else if flags != 1 {
			rw.takesData = false
		}
		out.sized(content)
	}
	return r.Finish()
}

// shares says that others may see what an instantiation that fails has written.
func (rw *rewriter) shares() bool {
	return slices.ContainsFunc(rw.result.Imports, func(i Import) bool { return i.Kind == MemoryKind || i.Kind == TableKind })
}

// constantOffset reads an expression that is nothing but an i32.const.
func constantOffset(expression []byte) (offset uint32, plain bool) {
	if len(expression) < 3 || expression[0] != opI32Const {
		return 0, false
	}
	number := expression[1 : len(expression)-1] // and an end
	for i, b := range number {
		if b&0x80 == 0 {
			return signed32(number), i+1 == len(number)
		}
	}
	return 0, false
}

// signed32 reads a whole LEB128 of 32 bits.
func signed32(leb []byte) (n uint32) {
	for i, b := range leb {
		n |= uint32(b&0x7f) << (7 * i)
		if i < 4 && b&0xc0 == 0x40 {
			n |= ^uint32(0) << (7 * (i + 1))
		}
	}
	return n
}
