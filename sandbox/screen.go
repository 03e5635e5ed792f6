package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a module. wazero's decoder allocates for a count before it has
// seen as many elements, at up to a hundred times a byte's size: 20 bytes can
// ask for 400 GB, which ends a Go process. Most bounds are those that browsers
// have, or tighter (WebAssembly JavaScript Interface, "Implementation-defined Limits").
const (
	maxModule    = 64 << 20 // bytes
	maxTypes     = 100_000
	maxParams    = 1_000 // of a type; results too
	maxAllParams = 1 << 20
	maxFunctions = 500_000
	maxBody      = 8 << 20 // bytes
	maxLocals    = 50_000  // of a function
	maxAllLocals = 8 << 20
	maxSegments  = 100_000 // of elements or data
	maxElements  = 1 << 20 // in all segments
	maxNames     = 1 << 20 // of functions, and of locals
	maxEntries   = 100_000 // imports, exports, globals

	maxTables    = 16
	maxTableSize = 1 << 20 // elements of 8 bytes that all tables may have at the start
	growTable    = 1 << 16 // elements that a table may grow to if it starts smaller
)

const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionStart    = 8
	sectionElement  = 9
	sectionCode     = 10
	sectionData     = 11
	sectionCount    = 12
)

var (
	wasmMagic   = []byte("\x00asm")
	wasmVersion = []byte{1, 0, 0, 0}
	// A component has another version and the layer 1 in the same four bytes.
	componentVersion = []byte{0x0d, 0, 1, 0}
)

// screen looks at a module before wazero may: it must be whole, stay within
// bounds, and fit into memory bytes. It returns a module that does the same,
// except that its tables cannot grow beyond bounds, because wazero has no limit
// for them: table.grow could take 32 GB of the host's memory.
func screen(wasm []byte, memory int64) ([]byte, error) {
	switch {
	case len(wasm) > maxModule:
		return nil, fmt.Errorf("module has %s, at most %s are allowed", byteSize(int64(len(wasm))), byteSize(maxModule))
	case !bytes.HasPrefix(wasm, wasmMagic):
		return nil, errors.New("not a WebAssembly module: it does not begin with \\0asm")
	case len(wasm) < 8:
		return nil, errTruncated
	case bytes.Equal(wasm[4:8], componentVersion):
		return nil, errors.New("a component, not a core module: build for wasm32-wasip1 or wasm32-unknown-unknown instead of wasip2, without wasm-tools component new")
	case !bytes.Equal(wasm[4:8], wasmVersion):
		return nil, fmt.Errorf("WebAssembly version % x is not known, want 01 00 00 00", wasm[4:8])
	}
	s := screening{reader: reader{rest: wasm[8:]}, memory: memory}
	for len(s.rest) > 0 && s.err == nil {
		before := len(wasm) - len(s.rest)
		id := s.byte()
		section := reader{rest: s.bytes(s.u32())}
		if s.err != nil {
			break
		}
		s.section(id, &section)
		if section.err == nil && len(section.rest) > 0 {
			section.fail("%d bytes too many", len(section.rest))
		}
		if section.err != nil {
			return nil, fmt.Errorf("section %d at byte %d: %w", id, before, section.err)
		}
		if id == sectionTable {
			s.tablesAt, s.tablesEnd = before, len(wasm)-len(s.rest)
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.tables == nil {
		return wasm, nil
	}
	bounded := append([]byte(nil), wasm[:s.tablesAt]...)
	bounded = append(bounded, sectionTable)
	bounded = binary.AppendUvarint(bounded, uint64(len(s.tables)))
	bounded = append(bounded, s.tables...)
	return append(bounded, wasm[s.tablesEnd:]...), nil
}

// screening is what screen knows of the module so far.
type screening struct {
	reader
	memory    int64
	params    uint64 // of all types, with results
	locals    uint64 // of all functions
	elements  uint64 // of all segments
	tables    []byte // content of the table section, with bounds
	tablesAt  int    // where that section begins
	tablesEnd int
}

func (s *screening) section(id byte, r *reader) {
	switch id {
	case sectionCustom:
		if name := r.bytes(r.u32()); string(name) == "name" {
			screenNames(r)
		}
		r.rest = nil
	case sectionType:
		for range r.count("types", maxTypes) {
			if form := r.byte(); form != 0x60 {
				r.fail("type of form %#x: build without garbage-collected types", form)
			}
			for range 2 { // parameters and results
				n := r.count("parameters", maxParams)
				if s.params += uint64(n); s.params > maxAllParams {
					r.fail("types with more than %d parameters together", maxAllParams)
				}
				for range n {
					r.valueType()
				}
			}
		}
	case sectionImport:
		for range r.count("imports", maxEntries) {
			module, name := r.bytes(r.u32()), r.bytes(r.u32())
			if kind := r.byte(); kind != 0 {
				r.fail("imports %s.%s, which is no function; rtd offers functions only, so let the module have its own memory, tables and globals", module, name)
			}
			r.u32()
		}
	case sectionFunction:
		for range r.count("functions", maxFunctions) {
			r.u32()
		}
	case sectionTable:
		s.screenTables(r)
	case sectionMemory:
		for range r.count("memories", 1) {
			if pages, _, _ := r.limits(); int64(pages)*pageSize > s.memory {
				r.fail("its memory begins with %s, the limit is %s; raise the plugin's memory limit",
					byteSize(int64(pages)*pageSize), byteSize(s.memory))
			}
		}
	case sectionGlobal:
		for range r.count("globals", maxEntries) {
			r.valueType()
			r.byte() // mutable or not
			r.expression()
		}
	case sectionExport:
		for range r.count("exports", maxEntries) {
			r.bytes(r.u32())
			r.byte()
			r.u32()
		}
	case sectionStart, sectionCount:
		r.u32()
	case sectionElement:
		for range r.count("element segments", maxSegments) {
			s.screenElements(r)
		}
	case sectionCode:
		for range r.count("function bodies", maxFunctions) {
			s.screenBody(r)
		}
	case sectionData:
		for range r.count("data segments", maxSegments) {
			switch r.u32() {
			case 0:
				r.expression()
			case 1: // passive
			case 2:
				r.u32()
				r.expression()
			default:
				r.fail("unknown kind of data segment")
			}
			r.bytes(r.u32())
		}
	default:
		r.fail("unknown section: build for WebAssembly 2.0, without exceptions")
	}
}

// screenTables bounds the tables: a maximum that is missing or too large
// becomes a smaller one.
func (s *screening) screenTables(r *reader) {
	n := r.count("tables", maxTables)
	bounded := binary.AppendUvarint(nil, uint64(n))
	var total uint64
	for range n {
		kind := r.valueType()
		least, most, ok := r.limits()
		if total += uint64(least); total > maxTableSize {
			r.fail("tables have more than %d elements", maxTableSize)
			return
		}
		if bound := max(least, growTable); !ok || most > bound {
			most = max(bound, least)
		}
		bounded = append(bounded, kind, 1)
		bounded = binary.AppendUvarint(bounded, uint64(least))
		bounded = binary.AppendUvarint(bounded, uint64(most))
	}
	s.tables = bounded
}

// screenElements reads a segment, whose kind has three bits: not active,
// explicit table (or declared only), expressions instead of function indices.
func (s *screening) screenElements(r *reader) {
	kind := r.u32()
	if kind > 7 {
		r.fail("unknown kind of element segment")
		return
	}
	passive, explicit, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
	if !passive {
		if explicit {
			r.u32()
		}
		r.expression()
	}
	switch {
	case !passive && !explicit:
	case expressions:
		r.valueType()
	case r.byte() != 0: // function references
		r.fail("unknown kind of elements")
	}
	n := r.count("elements", maxElements)
	if s.elements += uint64(n); s.elements > maxElements {
		r.fail("element segments have more than %d elements", maxElements)
	}
	for range n {
		if expressions {
			r.expression()
		} else {
			r.u32()
		}
		if r.err != nil {
			return
		}
	}
}

func (s *screening) screenBody(r *reader) {
	body := reader{rest: r.bytes(r.u32())}
	if len(body.rest) > maxBody {
		r.fail("function body of %s, at most %s are allowed", byteSize(int64(len(body.rest))), byteSize(maxBody))
	}
	var locals uint64
	for range body.count("groups of locals", maxLocals) {
		locals += uint64(body.u32())
		body.valueType()
	}
	if locals > maxLocals {
		body.fail("function with %d locals, at most %d are allowed", locals, maxLocals)
	}
	if s.locals += locals; s.locals > maxAllLocals {
		body.fail("functions with more than %d locals together", maxAllLocals)
	}
	if r.err == nil {
		r.err = body.err
	}
}

// screenNames reads the subsections that wazero reads: names of the module,
// its functions and their locals.
func screenNames(r *reader) {
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		sub := reader{rest: r.bytes(r.u32())}
		switch id {
		case 0:
			sub.bytes(sub.u32())
		case 1:
			sub.names()
		case 2:
			var total uint64
			for range sub.count("functions with names of locals", maxNames) {
				sub.u32()
				if total += uint64(sub.names()); total > maxNames {
					sub.fail("more than %d names of locals", maxNames)
				}
			}
		default:
			sub.rest = nil
		}
		if sub.err == nil && len(sub.rest) > 0 {
			sub.fail("%d bytes too many in names", len(sub.rest))
		}
		if r.err == nil {
			r.err = sub.err
		}
	}
}
