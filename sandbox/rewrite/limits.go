package rewrite

import (
	"cmp"
	"fmt"

	"rtd/sandbox/sections"
)

// Limits say how much of everything a module may have, besides [sections.MaxModule] bytes. In each, zero means the
// default. They are the only ones: the engine's decoder, which allocates up to a hundred bytes for one of the
// module, gets modules that keep them.
//
// The defaults are those of browsers (WebAssembly JavaScript Interface, "Implementation-defined Limits"), or tighter where
// time or memory of the host are spent faster. A chat in Go, of 3.6 MB, has 2,245 functions, the largest of 29 KB, and 38,760
// data segments. One with a web server, a type checker and templates, of 20 MB, has 11,607, 62 KB and 100,000. Guests in
// Rust, AssemblyScript and C have a tenth of the chat's.
type Limits struct {
	Types     int // default 100,000
	Values    int // parameters of a type, and results; default 1,000
	AllValues int // of all types; default 1,048,576
	Entries   int // imports, exports, globals, and custom sections, of each; default 100,000
	Functions int // defined and imported; default 100,000, a tenth of the browsers': the engine keeps some hundred bytes for each
	Body      int // bytes of a function; default 1 MiB: the engine's time grows with the square of a body's blocks
	Locals    int // of a function, and groups in which they are declared; default 50,000
	AllLocals int // of all functions; default 2,000,000. Two bytes may declare thousands
	Code      int // bytes of all functions when they are rewritten; default 128 MiB. Compilers' code grows by some percent, the tightest loops eightfold
	Depth     int // of nested blocks; default 5,000 (the Go compiler nests one per call, its own packages up to 550)
	Loops     int // nested in one another; default 200, as for Body
	Segments  int // of elements, and of data; default 100,000: Go's linker makes up to so many of large guests, and no more
	Elements  int // in all element segments; default 1,048,576
	Names     int // of functions, and of locals; default 1,048,576

	// Tables are the host's memory, 8 bytes an entry, outside of the limit on the guest's: with the defaults 8 MB at first
	// and as much again by table.grow, for which the engine has no limit.
	Tables       int // default 16
	TableEntries int // that all tables have at first; default 1,000,000
	TableGrowth  int // entries up to which a table grows that has fewer at first; default 65,536. Go's linker sets no maximum
}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		value    *int
		standard int
	}{
		{&l.Types, 100_000},
		{&l.Values, 1_000},
		{&l.AllValues, 1 << 20},
		{&l.Entries, 100_000},
		{&l.Functions, 100_000},
		{&l.Body, 1 << 20},
		{&l.Locals, 50_000},
		{&l.AllLocals, 2_000_000},
		{&l.Code, 128 << 20},
		{&l.Depth, 5_000},
		{&l.Loops, 200},
		{&l.Segments, 100_000},
		{&l.Elements, 1 << 20},
		{&l.Names, 1 << 20},
		{&l.Tables, 16},
		{&l.TableEntries, 1_000_000},
		{&l.TableGrowth, 1 << 16},
	} {
		*limit.value = cmp.Or(*limit.value, limit.standard)
	}
	return l
}

// count reads the length of a vector, and adds it to the number of its kind so far.
func count(r *sections.Reader, what string, most int, so *int) uint32 {
	at := r.Pos
	n := r.Count()
	if *so += int(n); *so > most {
		r.Fail(sections.ErrLimit, at, fmt.Sprintf("%d %s, allowed are %d", *so, what, most))
		return 0
	}
	return n
}

// vector returns a reader of a section and the length of the vector in it: 0 if the section is not there.
func (rw *rewriter) vector(id byte, what string, most int) (r sections.Reader, n uint32) {
	if r = rw.section(id); r.Left() > 0 {
		n = count(&r, what, most, new(int))
	}
	return r, n
}
