package rewrite

import (
	"fmt"
	"strings"
)

// Section numbers of the binary format.
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
	sectionCount
)

// sectionOrder is the order of sections in a module.
var sectionOrder = [sectionCount]int{typeSection: 1, importSection: 2, functionSection: 3, tableSection: 4,
	memorySection: 5, globalSection: 6, exportSection: 7, startSection: 8, elementSection: 9, dataCountSection: 10,
	codeSection: 11, dataSection: 12}

// parts are the sections of a module, found but not read.
type parts struct {
	sections [sectionCount]span // the zero span: not there
	customs  []custom           // in the order of the module
	names    span               // content of the name section
}

type span struct{ start, end int }

type custom struct {
	name string
	span // with its name
}

// section returns a reader of a section's content, at its end if there is no such section.
func (rw *rewriter) section(id int) reader {
	s := rw.sections[id]
	return reader{wasm: rw.wasm, pos: s.start, end: s.end}
}

// split finds the sections and checks their order.
func (rw *rewriter) split() *Error {
	r := &reader{wasm: rw.wasm, end: len(rw.wasm)}
	if len(rw.wasm) > rw.opts.MaxBytes {
		r.fail(ErrLimit, 0, fmt.Sprintf("%d bytes, allowed are %d", len(rw.wasm), rw.opts.MaxBytes))
		return r.err
	}
	switch head := string(r.take(uint32(min(8, len(rw.wasm))))); {
	case head == "\x00asm\x01\x00\x00\x00":
	case strings.HasPrefix(head, "\x00asm") && strings.HasSuffix(head, "\x01\x00"):
		r.fail(ErrUnsupported, 4, "this is a component; build a core module instead")
	default:
		r.fail(ErrMalformed, 0, "not a WebAssembly module")
	}
	last := 0
	for !r.done() {
		at := r.pos
		id := int(r.byte())
		content := r.sub(r.u32())
		switch {
		case r.err != nil:
		case id == customSection:
			start := content.pos
			name := content.name()
			if content.err != nil {
				return content.err
			}
			if name == "name" {
				if rw.names != (span{}) {
					r.fail(ErrMalformed, at, "more than one name section")
				}
				rw.names = span{content.pos, content.end}
				break
			}
			rw.customs = append(rw.customs, custom{name, span{start, content.end}})
		case id == 13:
			r.fail(ErrUnsupported, at, "tag section (exception handling)")
		case id >= sectionCount:
			r.fail(ErrUnsupported, at, fmt.Sprintf("unknown section %d", id))
		case sectionOrder[id] <= last:
			r.fail(ErrMalformed, at, fmt.Sprintf("section %d is out of order", id))
		default:
			last = sectionOrder[id]
			rw.sections[id] = span{content.pos, content.end}
		}
	}
	return r.err
}

func (rw *rewriter) readTypes() *Error {
	r := rw.section(typeSection)
	for range r.optional() {
		at := r.pos
		switch form := r.byte(); {
		case r.err != nil:
			return r.err
		case form == 0x4e || form == 0x4f || form == 0x50 || form == 0x5e || form == 0x5f:
			r.fail(ErrUnsupported, at, "type other than a function (garbage collection)")
		case form != 0x60:
			r.fail(ErrMalformed, at, fmt.Sprintf("type of form %#x", form))
		}
		var t funcType
		t.params = rw.readValueTypes(&r)
		t.results = rw.readValueTypes(&r)
		if t.results > 1 {
			rw.result.Features |= MultiValue
		}
		rw.types = append(rw.types, t)
	}
	return r.finish()
}

const maxValues = 1000 // of a function type, in parameters and in results

func (rw *rewriter) readValueTypes(r *reader) int {
	at := r.pos
	n := r.count()
	if n > maxValues {
		r.fail(ErrLimit, at, fmt.Sprintf("%d parameters or results, allowed are %d", n, maxValues))
	}
	for range n {
		rw.readValueType(r)
	}
	return int(n)
}

func (rw *rewriter) readValueType(r *reader) ValueType {
	at := r.pos
	switch t := ValueType(r.byte()); t {
	case I32, I64, F32, F64:
		return t
	case V128:
		rw.result.Features |= SIMD
		return t
	case FuncRef, ExternRef:
		rw.result.Features |= ReferenceTypes
		return t
	default:
		r.fail(ErrUnsupported, at, fmt.Sprintf("value type %#x", byte(t)))
		return t
	}
}

func (rw *rewriter) readImports() *Error {
	r := rw.section(importSection)
	for range r.optional() {
		at := r.pos
		imp := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
		if imp.Module == rw.opts.YieldModule && imp.Name == rw.opts.YieldName {
			r.fail(ErrUnsupported, at, fmt.Sprintf("import %s.%s is not for guests", imp.Module, imp.Name))
		}
		what := func() string { return imp.Module + "." + imp.Name }
		switch imp.Kind {
		case FunctionKind:
			rw.functions = append(rw.functions, rw.readTypeIndex(&r))
			rw.importedFunctions++
		case TableKind:
			rw.readTable(&r)
			rw.pin("it imports a table", what)
		case MemoryKind:
			if rw.importsMemory() {
				r.fail(ErrUnsupported, at, "more than one memory")
			}
			rw.readMemory(&r)
			rw.pin("it imports its memory", what)
		case GlobalKind:
			g := rw.readGlobalType(&r)
			if g.mutable {
				rw.pin("it imports a mutable global", what)
			}
			rw.globals = append(rw.globals, g)
			rw.importedGlobals++
		default:
			if r.err == nil {
				r.fail(ErrUnsupported, at, fmt.Sprintf("import %s is of kind %d", what(), imp.Kind))
			}
		}
		rw.result.Imports = append(rw.result.Imports, imp)
	}
	return r.finish()
}

func (rw *rewriter) readTypeIndex(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if int(i) >= len(rw.types) {
		r.fail(ErrMalformed, at, "unknown type")
		return 0
	}
	return i
}

func (rw *rewriter) readGlobalType(r *reader) globalType {
	g := globalType{value: rw.readValueType(r)}
	at := r.pos
	switch r.byte() {
	case 0:
	case 1:
		g.mutable = true
	default:
		r.fail(ErrUnsupported, at, "global is neither constant nor variable")
	}
	return g
}

// tableType is a table's element type and limits.
type tableType struct {
	element  ValueType
	min, max uint32
	bounded  bool
}

func (rw *rewriter) readTable(r *reader) tableType {
	at := r.pos
	t := tableType{element: ValueType(r.byte())}
	switch t.element {
	case FuncRef:
	case ExternRef:
		rw.result.Features |= ReferenceTypes
	default:
		r.fail(ErrUnsupported, at, fmt.Sprintf("table of form %#x (typed function references)", byte(t.element)))
	}
	t.min, t.max, t.bounded = r.limits()
	if uint64(t.min) > uint64(rw.opts.MaxTable) {
		r.fail(ErrLimit, at, fmt.Sprintf("table of %d entries, allowed are %d", t.min, rw.opts.MaxTable))
	}
	rw.tables++
	return t
}

func (rw *rewriter) readMemory(r *reader) {
	m := &rw.result.Memory
	m.Min, m.Max, m.Bounded = r.limits()
}

func (r *reader) limits() (low, high uint32, bounded bool) {
	at := r.pos
	switch flags := r.byte(); flags {
	case 0:
		return r.u32(), 0, false
	case 1:
		return r.u32(), r.u32(), true
	case 2, 3:
		r.fail(ErrUnsupported, at, "shared memory (threads); build without threads")
	default:
		r.fail(ErrUnsupported, at, fmt.Sprintf("limits with flags %#x (64-bit memory)", flags))
	}
	return 0, 0, false
}

func (rw *rewriter) readFunctions() *Error {
	r := rw.section(functionSection)
	for range r.optional() {
		if len(rw.functions) >= rw.opts.MaxFunctions {
			r.fail(ErrLimit, r.pos, fmt.Sprintf("more than %d functions", rw.opts.MaxFunctions))
			break
		}
		rw.functions = append(rw.functions, rw.readTypeIndex(&r))
	}
	rw.result.Functions = len(rw.functions) - rw.importedFunctions
	return r.finish()
}

// readGlobals notes the types; assemble comes back for the values.
func (rw *rewriter) readGlobals() *Error {
	r := rw.section(globalSection)
	n := r.optional()
	// A global may only refer to imported globals, which no value here changes: read the types with a scratch output.
	var scratch buffer
	for range n {
		g := rw.readGlobalType(&r)
		rw.globals = append(rw.globals, g)
		scratch = scratch[:0]
		rw.constant(&r, &scratch)
	}
	return r.finish()
}

func (rw *rewriter) readStart() *Error {
	rw.start = -1
	r := rw.section(startSection)
	if r.left() == 0 {
		return nil
	}
	at := r.pos
	rw.start = int(rw.readFunction(&r))
	if r.err == nil && rw.types[rw.functions[rw.start]] != (funcType{}) {
		r.fail(ErrMalformed, at, "start function has parameters or results")
	}
	return r.finish()
}

// readFunction reads an index of the original. An index beyond would reach functions that are added, so all are checked.
func (rw *rewriter) readFunction(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if int64(i) >= int64(len(rw.functions)) {
		r.fail(ErrMalformed, at, "unknown function")
		return 0
	}
	return i
}

// readGlobal reads an index of the original; one beyond would reach the counter.
func (rw *rewriter) readGlobal(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if int64(i) >= int64(len(rw.globals)) {
		r.fail(ErrMalformed, at, "unknown global")
		return 0
	}
	return i
}

// optional reads the count of a section that may be missing.
func (r *reader) optional() uint32 {
	if r.left() == 0 {
		return 0
	}
	return r.count()
}

// finish ends a section.
func (r *reader) finish() *Error {
	if r.err == nil && r.pos != r.end {
		r.fail(ErrMalformed, r.pos, "bytes behind the end of the section")
	}
	return r.err
}

// constant copies a constant expression, with functions shifted.
func (rw *rewriter) constant(r *reader, out *buffer) {
	for r.err == nil {
		at := r.pos
		op := r.byte()
		out.byte(op)
		operand := r.pos
		switch op {
		case 0x0b: // end
			return
		case 0x23: // global.get
			out.u32(rw.readGlobal(r))
			continue
		case 0xd2: // ref.func
			rw.result.Features |= ReferenceTypes
			out.u32(rw.readFunction(r) + 1)
			continue
		case 0x41: // i32.const
			r.skipLEB(5)
		case 0x42: // i64.const
			r.skipLEB(10)
		case 0x43: // f32.const
			r.take(4)
		case 0x44: // f64.const
			r.take(8)
		case 0xd0: // ref.null
			rw.readRefType(r)
		case 0xfd:
			if r.byte() != 0x0c { // v128.const
				r.fail(ErrMalformed, at, "vector instruction in a constant expression")
			}
			rw.result.Features |= SIMD
			r.take(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub and mul of i32 and i64
			rw.result.Features |= ExtendedConst
		default:
			if r.err == nil {
				r.fail(ErrUnsupported, at, fmt.Sprintf("opcode %#x in a constant expression", op))
			}
		}
		if r.err == nil {
			out.raw(r.wasm[operand:r.pos])
		}
	}
}

// readRefType reads the operand of ref.null.
func (rw *rewriter) readRefType(r *reader) {
	at := r.pos
	rw.result.Features |= ReferenceTypes
	if t := ValueType(r.byte()); t != FuncRef && t != ExternRef {
		r.fail(ErrUnsupported, at, fmt.Sprintf("reference type %#x (typed function references)", byte(t)))
	}
}
