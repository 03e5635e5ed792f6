package rewrite

import (
	"fmt"
	"slices"

	"rtd/sandbox/sections"
)

// order is the place of each section in a module.
var order = [...]int{sections.Type: 1, sections.Import: 2, sections.Function: 3, sections.Table: 4,
	sections.Memory: 5, sections.Global: 6, sections.Export: 7, sections.Start: 8, sections.Element: 9, sections.DataCount: 10,
	sections.Code: 11, sections.Data: 12}

// parts are the sections of a module, found but not read.
type parts struct {
	found   [len(order)]sections.Reader // by their numbers; the zero Reader: not there
	customs []sections.Section          // in the order of the module, but for the name section
	names   sections.Section
}

// section returns a reader of a section's content, at its end if there is no such section.
func (rw *rewriter) section(id byte) sections.Reader { return rw.found[id] }

// split finds the sections and checks their order.
func (rw *rewriter) split() error {
	last := 0
	for s, err := range sections.Of(rw.wasm) {
		var kind error
		var reason string
		switch {
		case err != nil:
			return err
		case s.ID == sections.Custom && len(rw.customs) >= rw.opts.Entries:
			kind, reason = sections.ErrLimit, fmt.Sprintf("more than %d custom sections", rw.opts.Entries)
		case s.ID == sections.Custom && s.Name != "name":
			rw.customs = append(rw.customs, s)
			continue
		case s.ID == sections.Custom && rw.names.Whole == nil:
			rw.names = s
			continue
		case s.ID == sections.Custom:
			kind, reason = sections.ErrMalformed, "more than one name section"
		case s.ID == 13:
			kind, reason = sections.ErrUnsupported, "tag section; build without exception handling"
		case int(s.ID) >= len(order):
			kind, reason = sections.ErrUnsupported, fmt.Sprintf("unknown section %d; build for WebAssembly 2.0", s.ID)
		case order[s.ID] <= last:
			kind, reason = sections.ErrMalformed, fmt.Sprintf("section %d is out of order", s.ID)
		case s.Content.Left() == 0:
			kind, reason = sections.ErrMalformed, fmt.Sprintf("section %d has no content", s.ID)
		default:
			last = order[s.ID]
			rw.found[s.ID] = s.Content
			continue
		}
		return &sections.Error{Kind: kind, Offset: s.Offset, Reason: reason}
	}
	return nil
}

func (rw *rewriter) readTypes() *sections.Error {
	r, n := rw.vector(sections.Type, "types", rw.opts.Types)
	for range n {
		at := r.Pos
		switch form := r.Byte(); {
		case r.Err != nil:
			return r.Err
		case form == 0x4e || form == 0x4f || form == 0x50 || form == 0x5e || form == 0x5f:
			r.Fail(sections.ErrUnsupported, at, "type other than a function; build without garbage collection")
		case form != 0x60:
			r.Fail(sections.ErrMalformed, at, fmt.Sprintf("type of form %#x", form))
		}
		t := funcType{params: rw.readValueTypes(&r)}
		t.at = r.Pos - t.params // a byte each
		t.results = rw.readValueTypes(&r)
		if t.results > 1 {
			rw.result.Features |= MultiValue
		}
		rw.types = append(rw.types, t)
	}
	return r.Finish()
}

func (rw *rewriter) readValueTypes(r *sections.Reader) int {
	at := r.Pos
	n := count(r, "parameters or results of a type", rw.opts.Values, new(int))
	if rw.values += int(n); rw.values > rw.opts.AllValues {
		r.Fail(sections.ErrLimit, at, fmt.Sprintf("types with more than %d parameters and results together", rw.opts.AllValues))
	}
	for range n {
		rw.readValueType(r)
	}
	return int(n)
}

func (rw *rewriter) readValueType(r *sections.Reader) ValueType {
	at := r.Pos
	switch t := ValueType(r.Byte()); t {
	case I32, I64, F32, F64:
		return t
	case V128:
		rw.result.Features |= SIMD
		return t
	case FuncRef, ExternRef:
		rw.result.Features |= ReferenceTypes
		return t
	default:
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("value type %#x; build for WebAssembly 2.0", byte(t)))
		return t
	}
}

func (rw *rewriter) readImports() *sections.Error {
	r, n := rw.vector(sections.Import, "imports", rw.opts.Entries)
	for range n {
		at := r.Pos
		imp := Import{Module: r.Name(), Name: r.Name(), Kind: Kind(r.Byte())}
		if imp.Module == rw.opts.YieldModule && imp.Name == rw.opts.YieldName {
			r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("import %s.%s is not for guests", imp.Module, imp.Name))
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
				r.Fail(sections.ErrUnsupported, at, "more than one memory")
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
			if r.Err == nil {
				r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("import %s is of kind %d", what(), imp.Kind))
			}
		}
		rw.result.Imports = append(rw.result.Imports, imp)
	}
	return r.Finish()
}

func (rw *rewriter) readTypeIndex(r *sections.Reader) uint32 {
	at := r.Pos
	i := r.U32()
	if int(i) >= len(rw.types) {
		r.Fail(sections.ErrMalformed, at, "unknown type")
		return 0
	}
	return i
}

func (rw *rewriter) readGlobalType(r *sections.Reader) globalType {
	g := globalType{value: rw.readValueType(r)}
	at := r.Pos
	switch r.Byte() {
	case 0:
	case 1:
		g.mutable = true
	default:
		r.Fail(sections.ErrUnsupported, at, "global is neither constant nor variable")
	}
	return g
}

// tableType is a table's element type and limits.
type tableType struct {
	element  ValueType
	min, max uint32
	bounded  bool
}

func (rw *rewriter) readTable(r *sections.Reader) tableType {
	at := r.Pos
	t := tableType{element: ValueType(r.Byte())}
	switch t.element {
	case FuncRef:
	case ExternRef:
		rw.result.Features |= ReferenceTypes
	default:
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("table of form %#x (typed function references)", byte(t.element)))
	}
	t.min, t.max, t.bounded = limits(r)
	if rw.entries += int64(t.min); rw.entries > int64(rw.opts.TableEntries) {
		r.Fail(sections.ErrLimit, at, fmt.Sprintf("tables of %d entries, allowed are %d", rw.entries, rw.opts.TableEntries))
	}
	return t
}

func (rw *rewriter) readMemory(r *sections.Reader) {
	m := &rw.result.Memory
	m.Min, m.Max, m.Bounded = limits(r)
}

func limits(r *sections.Reader) (low, high uint32, bounded bool) {
	at := r.Pos
	switch flags := r.Byte(); flags {
	case 0:
		return r.U32(), 0, false
	case 1:
		return r.U32(), r.U32(), true
	case 2, 3:
		r.Fail(sections.ErrUnsupported, at, "shared memory; build without threads")
	default:
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("limits with flags %#x; build for 32-bit memory", flags))
	}
	return 0, 0, false
}

func (rw *rewriter) readFunctions() *sections.Error {
	r, n := rw.vector(sections.Function, "functions", rw.opts.Functions-rw.importedFunctions)
	rw.functions = slices.Grow(rw.functions, int(n))
	for range n {
		rw.functions = append(rw.functions, rw.readTypeIndex(&r))
	}
	rw.result.Functions = len(rw.functions) - rw.importedFunctions
	return r.Finish()
}

// readGlobals notes the types; assemble comes back for the values.
func (rw *rewriter) readGlobals() *sections.Error {
	r, n := rw.vector(sections.Global, "globals", rw.opts.Entries)
	// A global may only refer to imported globals, which no value here changes: read the types with a scratch output.
	var scratch buffer
	for range n {
		g := rw.readGlobalType(&r)
		rw.globals = append(rw.globals, g)
		scratch = scratch[:0]
		rw.constant(&r, &scratch)
	}
	return r.Finish()
}

func (rw *rewriter) readStart() *sections.Error {
	rw.start = -1
	r := rw.section(sections.Start)
	if r.Left() == 0 {
		return nil
	}
	at := r.Pos
	rw.start = int(rw.readFunction(&r))
	if r.Err == nil && rw.types[rw.functions[rw.start]].values() > 0 {
		r.Fail(sections.ErrMalformed, at, "start function has parameters or results")
	}
	return r.Finish()
}

// readFunction reads an index of the original. An index beyond would reach functions that are added, so all are checked.
func (rw *rewriter) readFunction(r *sections.Reader) uint32 {
	at := r.Pos
	i := r.U32()
	if int64(i) >= int64(len(rw.functions)) {
		r.Fail(sections.ErrMalformed, at, "unknown function")
		return 0
	}
	return i
}

// readGlobal reads an index of the original; one beyond would reach the counter.
func (rw *rewriter) readGlobal(r *sections.Reader) uint32 {
	at := r.Pos
	i := r.U32()
	if int64(i) >= int64(len(rw.globals)) {
		r.Fail(sections.ErrMalformed, at, "unknown global")
		return 0
	}
	return i
}

// constant copies a constant expression, with functions shifted.
func (rw *rewriter) constant(r *sections.Reader, out *buffer) {
	for r.Err == nil {
		at := r.Pos
		op := r.Byte()
		out.byte(op)
		operand := r.Pos
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
			r.SkipLEB(5)
		case 0x42: // i64.const
			r.SkipLEB(10)
		case 0x43: // f32.const
			r.Take(4)
		case 0x44: // f64.const
			r.Take(8)
		case 0xd0: // ref.null
			rw.readRefType(r)
		case 0xfd:
			if r.Byte() != 0x0c { // v128.const
				r.Fail(sections.ErrMalformed, at, "vector instruction in a constant expression")
			}
			rw.result.Features |= SIMD
			r.Take(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub and mul of i32 and i64
			rw.result.Features |= ExtendedConst
		default:
			if r.Err == nil {
				r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("opcode %#x in a constant expression; build for WebAssembly 2.0", op))
			}
		}
		if r.Err == nil {
			out.raw(rw.wasm[operand:r.Pos])
		}
	}
}

// readRefType reads the operand of ref.null.
func (rw *rewriter) readRefType(r *sections.Reader) {
	at := r.Pos
	rw.result.Features |= ReferenceTypes
	if t := ValueType(r.Byte()); t != FuncRef && t != ExternRef {
		r.Fail(sections.ErrUnsupported, at, fmt.Sprintf("reference type %#x (typed function references)", byte(t)))
	}
}
