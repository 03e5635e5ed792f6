// Package sections reads the binary format of WebAssembly: a module's sections, and the numbers, names and vectors
// in them.
//
//	module ──► Of ──► Section, Section, …           package manifest: the section of a manifest
//	                     │ Content                  package folder: is the file complete?
//	                     ▼                          rtd check: imports and exports
//	                   Reader ──► Byte, U32, Name   package rewrite: all of them, and the code
//
// A module is data from outside. [Of] and [Reader] allocate nothing for a length or a count before the bytes are
// there, and never recurse. Every error is an [*Error], which says where in the file it is.
//
// # Questions
//
// Who checks that a module is valid? Package rewrite what it relies on, and the engine the rest. This package knows
// where a section ends, and nothing of the order and the content of sections: a manifest is read from, and written to,
// modules that nobody has looked at yet.
//
// Why a package of its own? It is the one thing that packages rewrite and manifest share, and neither is a part of
// the other. It imports nothing of rtd.
//
// Why are the fields of Reader exported? The rewriter notes where an instruction begins, goes back, and copies the bytes
// between two places. With methods each of these would be a call, and no invariant would be safer: a Reader belongs to
// the function that made it.
//
// Why does the first error stick? A decoder of vectors in vectors would ask after each number. Here it reads
// zeros to the end of its loops, which are no longer than the bytes that are left, and asks once.
package sections
