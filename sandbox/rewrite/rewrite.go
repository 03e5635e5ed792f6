package rewrite

import (
	"cmp"
	"slices"
	"strings"

	"rtd/sandbox/sections"
)

// Names that Rewrite gives to its additions. A module that exports a name with this prefix is refused.
const (
	prefix         = "rtd:"
	reductionsName = prefix + "reductions"
	startName      = prefix + "start"
	memoryName     = prefix + "memory"
	globalPrefix   = prefix + "global:" // and the index of the global
)

// Options say what the rewritten module imports, and how large a module may be. In a limit, zero means the default.
type Options struct {
	// YieldModule and YieldName name the import that is added: func(). The guest calls it when the counter is negative.
	// Default "rtd" and "yield".
	YieldModule, YieldName string

	// TakeData moves the content of data segments into Module.Data, if all begin at constants
	// and the module imports neither memory nor table.
	TakeData bool

	Limits
}

func (o Options) withDefaults() Options {
	o.YieldModule = cmp.Or(o.YieldModule, "rtd")
	o.YieldName = cmp.Or(o.YieldName, "yield")
	o.Limits = o.Limits.withDefaults()
	return o
}

// Module is a rewritten module, and facts about it for its host.
type Module struct {
	// WASM is the module to compile. It shares no memory with the original.
	WASM []byte

	// Reductions names the export of the counter: a mutable i64 global, zero at first. The host sets it to the number of
	// reductions that the guest may spend; the guest counts down and calls yield each time it finds it negative, until
	// the host sets it again. The host reads the reductions spent as the difference.
	Reductions string

	// Start names the export of the function that was the module's start function, "" if there was none. The rewritten
	// module has no start section, so the host calls it, first of all and with its limits in place.
	Start string

	// Memory is the module's memory; its Export is "" if there is none, or if it is imported.
	Memory Memory

	// Data are the bytes that the host has to write to the memory of a new instance, in order, before it calls Start. As
	// in WebAssembly's instantiation, all must lie inside. An instance that begins with a snapshot has them already:
	// that is the use of Options.TakeData, without which Data is empty.
	Data []Data

	// Globals are the module's own mutable numeric globals, the counter not among them. Together with the memory they
	// are the state of an instance, unless Pinned says otherwise.
	Globals []Global

	// Pinned says why memory and Globals are not the whole state of an instance, one sentence per reason. If it is
	// empty, an instance can be snapshotted from outside.
	Pinned []string

	Imports  []Import // as the original declares them, without yield
	Exports  []Export // as the original declares them, without additions
	Features Features // that the engine must support beyond WebAssembly 1.0
	Dropped  []string // custom sections that were left out, since they are about offsets that have moved

	Functions int // defined by the original
	Charged   int // of these, how many are charged at entry
	Loops     int // loops that are charged
	Bulk      int // instructions charged by their length
}

// Memory is a memory's limits, in pages of 64 KiB.
type Memory struct {
	Export  string // the original's name for it, or one that was added
	Min     uint32
	Max     uint32 // only if Bounded
	Bounded bool
}

// Data is the content of an active data segment. It is a part of the original.
type Data struct {
	Offset uint32
	Bytes  []byte
}

// Global is a mutable global.
type Global struct {
	Export string // the original's name for it, or one that was added
	Type   ValueType
}

// Import is an import of the original.
type Import struct {
	Module, Name string
	Kind         Kind
}

// Export is an export of the original.
type Export struct {
	Name string
	Kind Kind
}

// Kind is the kind of an import or export: the byte of the binary format.
type Kind byte

const (
	FunctionKind Kind = 0
	TableKind    Kind = 1
	MemoryKind   Kind = 2
	GlobalKind   Kind = 3
)

// ValueType is the type of a value: the byte of the binary format.
type ValueType byte

const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

func (t ValueType) numeric() bool { return t >= F64 && t <= I32 }

// Features are the extensions of WebAssembly 1.0 that a module uses. The last two are not part of version 2.0: an
// engine may need an option for them.
type Features uint16

const (
	SignExtension Features = 1 << iota
	SaturatingConversion
	MultiValue
	BulkMemory
	ReferenceTypes
	SIMD
	TailCall
	ExtendedConst
)

// String lists the features in the words of the WebAssembly proposals.
func (f Features) String() string {
	names := [...]string{"sign-extension", "nontrapping-fptoint", "multivalue", "bulk-memory", "reference-types", "simd128",
		"tail-call", "extended-const"}
	var set []string
	for i, name := range names {
		if f&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}

// Rewrite returns the core module wasm with its reductions counted. The module computes the same; a stack
// overflow may come a few frames earlier, and a table stops growing at Limits.TableGrowth. The time that it takes and the
// size of the result are linear in the size of wasm, which is not changed. An error is a [*sections.Error].
//
// Rewrite checks the facts that it relies on, not all: an invalid module may pass and is then refused by the engine.
func Rewrite(wasm []byte, o Options) (*Module, error) {
	rw := rewriter{opts: o.withDefaults(), wasm: wasm, helperIndex: map[helper]uint32{}}
	if err := rw.rewrite(); err != nil {
		return nil, err
	}
	return &rw.result, nil
}

// rewriter is one call of Rewrite: the original, read before anything is written, and the result.
type rewriter struct {
	opts Options
	wasm []byte
	parts

	types     []funcType
	functions []uint32 // the type of every function, imported ones first
	globals   []globalType
	start     int // function index, or -1

	importedFunctions, importedGlobals int

	helpers     []helper // added so far
	helperIndex map[helper]uint32
	segments    []uint32 // sizes of the passive data segments, 0 of others; nil until they are asked for
	takesData   bool     // the segments read so far have constant offsets
	values      int      // of all types so far
	entries     int64    // of all tables so far
	elements    int      // of all element segments so far
	locals      int      // of all functions so far
	result      Module
}

type funcType struct {
	params, results int
	at              int // of the parameters' types in the module
}

func (t funcType) values() int { return t.params + t.results }

type globalType struct {
	value   ValueType
	mutable bool
}

func (rw *rewriter) rewrite() error {
	if err := rw.split(); err != nil {
		return err
	}
	for _, step := range []func() *sections.Error{rw.readTypes, rw.readImports, rw.readFunctions, rw.readGlobals,
		rw.readStart, rw.assemble} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// pin notes why an instance cannot be snapshotted, and the first occasion for it.
func (rw *rewriter) pin(reason string, occasion func() string) {
	if !slices.ContainsFunc(rw.result.Pinned, func(have string) bool { return strings.HasPrefix(have, reason+":") }) {
		rw.result.Pinned = append(rw.result.Pinned, reason+": "+occasion())
	}
}
