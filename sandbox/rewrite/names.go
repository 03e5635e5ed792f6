package rewrite

import (
	"fmt"
	"strings"
)

// Subsections of the name section.
const (
	functionNames = 1
	localNames    = 2
	labelNames    = 3
)

// writeCustoms copies the custom sections whose content still holds, and the names, shifted.
func (rw *rewriter) writeCustoms(out *buffer) {
	for _, c := range rw.customs {
		if movedBy(c.name) {
			rw.result.Dropped = append(rw.result.Dropped, c.name)
			continue
		}
		out.section(customSection, rw.wasm[c.start:c.end])
	}
	var names buffer
	names.name("name")
	kept := len(names)
	if err := rw.writeNames(&names); err != nil {
		// A custom section that is broken does not make the module invalid.
		rw.result.Dropped = append(rw.result.Dropped, "name: "+err.Reason)
		names = names[:kept]
		rw.writeFunctionNames(nil, 0, &names)
	}
	out.section(customSection, names)
}

// movedBy reports whether a custom section holds offsets of code, which have moved.
func movedBy(name string) bool {
	switch name {
	case "linking", "sourceMappingURL", "external_debug_info":
		return true
	}
	for _, p := range []string{".debug_", "reloc.", "metadata.code."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// writeNames appends the name section's content. Subsections that are not about functions are copied; names of labels
// are left out, as the added blocks shift their numbers.
func (rw *rewriter) writeNames(out *buffer) *Error {
	r := reader{wasm: rw.wasm, pos: rw.names.start, end: rw.names.end}
	functions := false
	for !r.done() {
		id := r.byte()
		content := r.sub(r.u32())
		if r.err != nil {
			return r.err
		}
		if id > functionNames && !functions {
			functions = true
			rw.writeFunctionNames(nil, 0, out)
		}
		switch id {
		case functionNames:
			if functions {
				r.fail(ErrMalformed, content.pos, "function names twice or out of order")
				return r.err
			}
			functions = true
			entries, n, err := rw.shiftNames(&content, false)
			if err != nil {
				return err
			}
			rw.writeFunctionNames(entries, n, out)
		case localNames:
			entries, n, err := rw.shiftNames(&content, true)
			if err != nil {
				return err
			}
			var b buffer
			b.u32(n)
			b.raw(entries)
			out.byte(localNames)
			out.sized(b)
		case labelNames:
			rw.result.Dropped = append(rw.result.Dropped, "name: labels")
		default:
			out.byte(id)
			out.sized(rw.wasm[content.pos:content.end])
		}
	}
	if !functions {
		rw.writeFunctionNames(nil, 0, out)
	}
	return r.err
}

// writeFunctionNames appends the subsection: the module's own n entries between those of the added functions.
func (rw *rewriter) writeFunctionNames(entries []byte, n uint32, out *buffer) {
	add := rw.added()
	var b buffer
	b.u32(n + 1 + uint32(len(injected)))
	b.u32(add.yield)
	b.name(prefix + "yield")
	b.raw(entries)
	for i, name := range injected {
		b.u32(add.charge + uint32(i))
		b.name(name)
	}
	out.byte(functionNames)
	out.sized(b)
}

// shiftNames copies a map from functions to names, or to maps from locals to names.
func (rw *rewriter) shiftNames(r *reader, locals bool) (entries buffer, n uint32, err *Error) {
	for range r.count() {
		function := r.u32()
		start := r.pos
		if locals {
			for range r.count() {
				r.u32()
				r.name()
			}
		} else {
			r.name()
		}
		if r.err != nil {
			break
		}
		if int64(function) >= int64(len(rw.functions)) {
			continue // it would name an added function
		}
		entries.u32(function + 1)
		entries.raw(r.wasm[start:r.pos])
		n++
	}
	return entries, n, r.finish()
}

// functionName returns the name of a function of the original, for a reader of messages.
func (rw *rewriter) functionName(index uint32) string {
	r := reader{wasm: rw.wasm, pos: rw.names.start, end: rw.names.end}
	for !r.done() {
		id := r.byte()
		content := r.sub(r.u32())
		if id != functionNames {
			continue
		}
		for range content.count() {
			if i, name := content.u32(), content.name(); i == index && content.err == nil {
				return name
			}
			if content.err != nil {
				break
			}
		}
	}
	return fmt.Sprintf("function[%d]", index)
}
