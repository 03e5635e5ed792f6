package sandbox

import (
	"errors"
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// A guest's calls are on a stack of wazero's, in ordinary memory, which doubles when
// it is full: from 10 KiB on, up to 84 MB. While it is copied there are two.
const (
	// smallStack is what a guest may have without being counted.
	smallStack = 1 << 20
	// maxStack is the largest stack with which a guest may go on: some ten thousand
	// calls in one another. Between two looks at it, a slice, it may double.
	maxStack = 16 << 20
	// maxStacks is what the stacks of a plugin's guests may have together, and
	// maxAllStacks those of all guests of an engine.
	maxStacks    = 64 << 20
	maxAllStacks = 256 << 20
)

var (
	errDeep   = errors.New("stack too large")
	errStacks = errors.New("too many guests are in deep recursions at once")
)

// function is an export of a guest, with the stack of its calls. wazero does not tell
// how large that is: it is the length of a field, which a test watches over.
type function struct {
	api.Function
	stack reflect.Value
}

// function returns the guest's export of that name, or one that is nil.
func (s *slot) function(export string) (f function) {
	if f.Function = s.mod.ExportedFunction(export); f.Function == nil {
		return f
	}
	v := reflect.ValueOf(f.Function)
	if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if field := v.Elem().FieldByName("stack"); field.IsValid() && field.Kind() == reflect.Slice {
			f.stack = field
		}
	}
	return f
}

func (f *function) stackSize() int64 {
	if !f.stack.IsValid() {
		return 0
	}
	return int64(f.stack.Len())
}

// countStack ends the guest if its stack has become too large, or if others have large
// ones too.
func (s *slot) countStack() {
	n := s.calls.stackSize()
	if n <= smallStack || n == s.stacked {
		return
	}
	if n > maxStack {
		panic(errDeep)
	}
	more := n - s.stacked
	if !s.module.stacks.spend(more) {
		panic(errStacks)
	}
	if !s.module.engine.stacks.spend(more) {
		s.module.stacks.spend(-more)
		panic(errStacks)
	}
	s.stacked = n
}

// dropStack gives a large stack to the collector, after an event.
func (s *slot) dropStack(f *function, export string) {
	if s.stacked > 0 {
		s.module.stacks.spend(-s.stacked)
		s.module.engine.stacks.spend(-s.stacked)
		s.stacked = 0
	}
	if f.stackSize() > smallStack {
		*f = s.function(export)
	}
}
