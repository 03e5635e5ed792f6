package rewrite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// assemble writes the new module, section by section.
func (rw *rewriter) assemble() *Error {
	out := make(buffer, 0, len(rw.wasm)+len(rw.wasm)/4+1024)
	out.raw(rw.wasm[:8])
	add := rw.added()
	for _, section := range []struct {
		id    byte
		write func(added, *buffer) *Error
	}{
		{typeSection, rw.writeTypes},
		{importSection, rw.writeImports},
		{functionSection, rw.writeFunctions},
		{tableSection, rw.writeTables},
		{memorySection, rw.writeMemory},
		{globalSection, rw.writeGlobals},
		{exportSection, rw.writeExports},
		{elementSection, rw.writeElements},
		{dataCountSection, rw.writeDataCount},
		{codeSection, rw.writeCode},
		{dataSection, rw.writeData},
	} {
		old := rw.sections[section.id]
		content := make(buffer, 0, (old.end-old.start)*5/4+64)
		if err := section.write(add, &content); err != nil {
			return err
		}
		if len(content) > 0 {
			out.section(section.id, content)
		}
	}
	rw.writeCustoms(&out)
	rw.result.WASM = out
	rw.result.Reductions = reductionsName
	return nil
}

// extend copies a vector section that is not read again, with more elements behind it.
func (rw *rewriter) extend(id int, more uint32, out *buffer) {
	r := rw.section(id)
	out.u32(r.optional() + more)
	out.raw(r.wasm[r.pos:r.end])
}

func (rw *rewriter) writeTypes(_ added, out *buffer) *Error {
	rw.extend(typeSection, 2, out)
	out.byte(0x60, 0, 0)                       // func()
	out.byte(0x60, 1, byte(I32), 1, byte(I32)) // func(i32) i32
	return nil
}

// writeImports puts yield first: a shift by one for every function is easier to get right than one from an index on.
func (rw *rewriter) writeImports(add added, out *buffer) *Error {
	r := rw.section(importSection)
	out.u32(r.optional() + 1)
	out.name(rw.opts.YieldModule)
	out.name(rw.opts.YieldName)
	out.byte(byte(FunctionKind))
	out.u32(add.plain)
	out.raw(r.wasm[r.pos:r.end])
	return nil
}

func (rw *rewriter) writeFunctions(add added, out *buffer) *Error {
	rw.extend(functionSection, uint32(len(injected)), out)
	for range injected {
		out.u32(add.helper)
	}
	return nil
}

// writeTables bounds every table, as its memory is the host's and outside of the limit on the linear memory.
func (rw *rewriter) writeTables(_ added, out *buffer) *Error {
	r := rw.section(tableSection)
	n := r.optional()
	if n == 0 {
		return r.finish()
	}
	out.u32(n)
	for range n {
		t := rw.readTable(&r)
		if !t.bounded || uint64(t.max) > uint64(rw.opts.MaxTable) {
			t.max = uint32(rw.opts.MaxTable)
		}
		out.byte(byte(t.element), 1)
		out.u32(t.min)
		out.u32(t.max)
	}
	return r.finish()
}

func (rw *rewriter) writeMemory(_ added, out *buffer) *Error {
	r := rw.section(memorySection)
	at := r.pos
	n := r.optional()
	if n == 0 {
		return r.finish()
	}
	if n > 1 || rw.importsMemory() {
		r.fail(ErrUnsupported, at, "more than one memory")
	}
	rw.readMemory(&r)
	out.raw(r.wasm[at:r.end])
	rw.result.Memory.Export = memoryName // unless the module exports it
	return r.finish()
}

func (rw *rewriter) importsMemory() bool {
	for _, imp := range rw.result.Imports {
		if imp.Kind == MemoryKind {
			return true
		}
	}
	return false
}

func (rw *rewriter) writeGlobals(_ added, out *buffer) *Error {
	r := rw.section(globalSection)
	n := r.optional()
	out.u32(n + 1)
	for range n {
		at := r.pos
		rw.readGlobalType(&r)
		out.raw(r.wasm[at:r.pos])
		rw.constant(&r, out)
	}
	out.byte(byte(I64), 1, opI64Const, 0, opEnd) // the counter
	return r.finish()
}

func (rw *rewriter) writeExports(add added, out *buffer) *Error {
	r := rw.section(exportSection)
	names := make(map[uint32]string) // of globals
	var own buffer
	n := r.optional()
	for range n {
		at := r.pos
		e := Export{Name: r.name(), Kind: Kind(r.byte())}
		if strings.HasPrefix(e.Name, prefix) {
			r.fail(ErrUnsupported, at, fmt.Sprintf("export %q: names that begin with %s are for the host", e.Name, prefix))
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
			own.u32(r.u32())
			if e.Kind == MemoryKind && rw.result.Memory.Export != "" {
				rw.result.Memory.Export = e.Name
			}
		default:
			if r.err == nil {
				r.fail(ErrUnsupported, at, fmt.Sprintf("export %q is of kind %d", e.Name, e.Kind))
			}
		}
		rw.result.Exports = append(rw.result.Exports, e)
	}
	if err := r.finish(); err != nil {
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

func (rw *rewriter) writeElements(_ added, out *buffer) *Error {
	r := rw.section(elementSection)
	n := r.optional()
	if n == 0 {
		return r.finish()
	}
	out.u32(n)
	for range n {
		at := r.pos
		flags := r.u32()
		if flags > 7 {
			r.fail(ErrUnsupported, at, fmt.Sprintf("element segment of kind %d", flags))
		}
		if flags != 0 {
			rw.result.Features |= BulkMemory
		}
		out.u32(flags)
		if flags&notActive == 0 {
			if flags&explicit != 0 {
				out.u32(r.u32())
			}
			rw.constant(&r, out)
		}
		if flags&(notActive|explicit) != 0 { // element kind, or reference type
			at := r.pos
			kind := r.byte()
			switch {
			case flags&expressions == 0 && kind == 0:
			case flags&expressions != 0 && (ValueType(kind) == FuncRef || ValueType(kind) == ExternRef):
			default:
				r.fail(ErrUnsupported, at, fmt.Sprintf("elements of kind %#x", kind))
			}
			out.byte(kind)
		}
		elements := r.count()
		out.u32(elements)
		for range elements {
			if flags&expressions != 0 {
				rw.constant(&r, out)
			} else {
				out.u32(rw.readFunction(&r) + 1)
			}
		}
	}
	return r.finish()
}

func (rw *rewriter) writeDataCount(_ added, out *buffer) *Error {
	r := rw.section(dataCountSection)
	out.raw(r.wasm[r.pos:r.end])
	return nil
}

func (rw *rewriter) writeCode(add added, out *buffer) *Error {
	r := rw.section(codeSection)
	n := r.optional()
	if int(n) != rw.result.Functions {
		r.fail(ErrMalformed, r.pos, fmt.Sprintf("%d functions, but %d bodies", rw.result.Functions, n))
		return r.err
	}
	out.u32(n + uint32(len(injected)))
	var (
		b       body
		scratch buffer
	)
	for i := range n {
		at := r.pos
		size := r.u32()
		if uint64(size) > uint64(rw.opts.MaxBody) {
			r.fail(ErrLimit, at, fmt.Sprintf("function of %d bytes, allowed are %d", size, rw.opts.MaxBody))
		}
		code := r.sub(size)
		b.function = uint32(rw.importedFunctions) + i
		b.read(rw, &code)
		if code.err != nil {
			code.err.Function = rw.functionName(b.function)
			return code.err
		}
		scratch = scratch[:0]
		b.write(rw, add, &scratch)
		out.sized(scratch)
	}
	add.writeHelpers(out)
	return r.finish()
}

func (rw *rewriter) writeData(add added, out *buffer) *Error {
	if rw.opts.TakeData && !rw.takesData && rw.result.Memory.Export != "" && !rw.shares() {
		// All segments or none, so that those that overlap are written in order.
		rw.takesData = true
		var all buffer
		if err := rw.writeData(add, &all); err != nil {
			return err
		}
		if rw.takesData {
			// Empty segments take time too; code that refers to segments needs their count.
			if count := rw.sections[dataCountSection]; count.end > count.start {
				out.raw(all)
			}
			return nil
		}
		rw.opts.TakeData, rw.result.Data = false, nil
	}
	r := rw.section(dataSection)
	n := r.optional()
	if n == 0 {
		return r.finish()
	}
	out.u32(n)
	for range n {
		at := r.pos
		flags := r.u32()
		out.u32(flags)
		constant := len(*out)
		switch flags {
		case 0:
			rw.constant(&r, out)
		case 1:
			rw.result.Features |= BulkMemory
		case 2:
			rw.result.Features |= BulkMemory
			if r.u32() != 0 {
				r.fail(ErrUnsupported, at, "memory other than 0")
			}
			out.byte(0)
			rw.constant(&r, out)
		default:
			r.fail(ErrUnsupported, at, fmt.Sprintf("data segment of kind %d", flags))
		}
		content := r.take(r.u32())
		if r.err != nil {
			return r.err
		}
		if offset, plain := constantOffset((*out)[constant:]); flags == 0 && plain && rw.takesData {
			rw.result.Data = append(rw.result.Data, Data{offset, content})
			content = nil // the segment stays, for the others' indices
		} else if flags != 1 {
			rw.takesData = false
		}
		out.sized(content)
	}
	return r.finish()
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
	for i, b := range expression[1:] {
		if i < 5 {
			offset |= uint32(b&0x7f) << (7 * i)
		}
		if b&0x80 == 0 {
			if i < 4 && b&0x40 != 0 {
				offset |= ^uint32(0) << (7 * (i + 1))
			}
			return offset, i+3 == len(expression)
		}
	}
	return 0, false
}
