package rewrite

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"rtd/sandbox/sections"
)

// Subsections of the name section.
const (
	moduleName    = 0
	functionNames = 1
	localNames    = 2
	labelNames    = 3
)

// writeCustoms copies the custom sections whose content still holds, and the names, shifted.
func (rw *rewriter) writeCustoms(out *buffer) *sections.Error {
	for _, c := range rw.customs {
		if movedBy(c.Name) {
			rw.result.Dropped = append(rw.result.Dropped, c.Name)
			continue
		}
		out.raw(c.Whole)
	}
	names := buffer(sections.AppendName(nil, "name"))
	kept := len(names)
	unusable, err := rw.writeNames(&names)
	if err != nil {
		return err
	}
	if unusable != "" {
		rw.result.Dropped = append(rw.result.Dropped, "name: "+unusable)
		names = names[:kept]
		rw.writeFunctionNames(nil, 0, &names)
	}
	out.section(sections.Custom, names)
	return nil
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
// are left out, as the added blocks shift their numbers. unusable says why the names are of no use, although they can be
// read: such a module is as good as one without. A count or length that does not hold is an error, as it is
// everywhere else.
func (rw *rewriter) writeNames(out *buffer) (unusable string, err *sections.Error) {
	n := nameReader{Reader: rw.names.Content, most: rw.opts.Names}
	functions := false
	for !n.Done() {
		id := n.Byte()
		content := n.Sub(n.U32())
		if id > functionNames && !functions {
			functions = true
			rw.writeFunctionNames(nil, 0, out)
		}
		switch id {
		case moduleName:
			start := content.Pos
			n.skip(&content)
			out.byte(id)
			out.sized(rw.wasm[start:content.End])
		case functionNames:
			if functions {
				n.unusable = "function names twice or out of order"
			}
			functions = true
			entries, count := rw.shiftNames(&n, &content, false)
			rw.writeFunctionNames(entries, count, out)
		case localNames:
			entries, count := rw.shiftNames(&n, &content, true)
			var b buffer
			b.u32(count)
			b.raw(entries)
			out.byte(localNames)
			out.sized(b)
		case labelNames:
			rw.result.Dropped = append(rw.result.Dropped, "name: labels")
			continue
		default:
			out.byte(id)
			out.sized(content.Rest())
			continue
		}
		if err := content.Finish(); err != nil {
			return "", err
		}
	}
	if !functions {
		rw.writeFunctionNames(nil, 0, out)
	}
	return n.unusable, n.Err
}

// nameReader reads a name section.
type nameReader struct {
	sections.Reader
	functions, locals int // named so far
	most              int // of each
	unusable          string
}

// skip passes over a name.
func (n *nameReader) skip(r *sections.Reader) {
	if !utf8.Valid(r.Take(r.U32())) {
		n.unusable = "a name is not UTF-8"
	}
}

// writeFunctionNames appends the subsection: the module's own n entries between those of the added functions.
func (rw *rewriter) writeFunctionNames(entries []byte, n uint32, out *buffer) {
	add := rw.added()
	var b buffer
	b.u32(n + 1 + uint32(len(rw.helpers)))
	b.u32(add.yield)
	b.name(prefix + "yield")
	b.raw(entries)
	for i, h := range rw.helpers {
		b.u32(add.first + uint32(i))
		b.name(h.name())
	}
	out.byte(functionNames)
	out.sized(b)
}

// shiftNames copies a map from functions to names, or to maps from locals to names.
func (rw *rewriter) shiftNames(names *nameReader, r *sections.Reader, locals bool) (entries buffer, n uint32) {
	for range count(r, "names of functions", names.most, &names.functions) {
		function := r.U32()
		start := r.Pos
		if locals {
			for range count(r, "names of locals", names.most, &names.locals) {
				r.U32()
				names.skip(r)
			}
		} else {
			names.skip(r)
		}
		if r.Err != nil {
			break
		}
		if int64(function) >= int64(len(rw.functions)) {
			continue // it would name an added function
		}
		entries.u32(function + 1)
		entries.raw(rw.wasm[start:r.Pos])
		n++
	}
	return entries, n
}

// functionName returns the name of a function of the original, for a reader of messages.
func (rw *rewriter) functionName(index uint32) string {
	r := rw.names.Content
	for !r.Done() {
		id := r.Byte()
		content := r.Sub(r.U32())
		if id != functionNames {
			continue
		}
		for range content.Count() {
			if i, name := content.U32(), content.Name(); i == index && content.Err == nil {
				return name
			}
			if content.Err != nil {
				break
			}
		}
	}
	return fmt.Sprintf("function[%d]", index)
}
