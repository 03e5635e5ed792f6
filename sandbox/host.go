package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"rtd/sandbox/abi"
)

// hostModule is a module that guests may import from.
type hostModule struct {
	name      string
	functions []hostFunction
}

// hostFunction is one function of a host module. Its signature has a letter
// for each parameter, i for i32 and I for i64; the result is an i32.
//
// Its arguments are as hostile as the rest of the guest: call reaches guest
// memory through mem only, whose methods check bounds, and keeps no part of it.
type hostFunction struct {
	name   string
	params string
	call   func(s *slot, mem api.Memory, args []uint64) uint32
}

var hostModules = []hostModule{
	{abi.Module, []hostFunction{{abi.ImportOp, "iiii", op}}},
	{wasiModule, wasiFunctions},
}

// What the rewritten code calls when its slice is over. Guests cannot import it:
// the name is refused as theirs.
const (
	yieldModule = "rtd"
	yieldName   = "yield"
)

// op takes a record: op(ptr, len, out, cap).
func op(s *slot, mem api.Memory, args []uint64) uint32 {
	s.check() // a guest that lets the host do all the work seldom comes to yield
	record, ok := mem.Read(uint32(args[0]), uint32(args[1]))
	if !ok || len(record) < 2 {
		return code(abi.CodeMalformed)
	}
	kind := kindOf(record)
	switch {
	case kind.IsEffect():
		return code(s.effects.add(record))
	case kind.IsEvent():
		return code(abi.CodeMalformed)
	case !kind.Known():
		return code(abi.CodeUnknown)
	}
	if !textsFit(record) {
		return code(abi.CodeMalformed)
	}
	request, err := abi.ParseEffect(record)
	if err != nil {
		return code(abi.CodeMalformed)
	}
	switch kind {
	case abi.OpAbort:
		panic(&abortError{cause: printable(request.Payload, maxCause)})
	case abi.OpLog:
		s.output.message(request.Name, request.Payload)
		return 0
	case abi.OpTake:
	default:
		if c := s.operate(&request); c != 0 {
			return code(c)
		}
	}
	room, ok := mem.Read(uint32(args[2]), uint32(args[3]))
	if !ok {
		return code(abi.CodeMalformed)
	}
	copy(room, s.answer)
	return uint32(len(s.answer))
}

// operate asks the guest's process.
func (s *slot) operate(request *abi.Effect) abi.Code {
	process := s.of.process
	if process == nil {
		return abi.CodeNotNow
	}
	answer, err := process.Operate(request)
	s.answer = answer
	var c abi.Code
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c):
		return c
	}
	panic(&endedError{err})
}

func code(c abi.Code) uint32 { return uint32(int32(c)) }

// addHostModules puts what guests may import into a runtime.
func addHostModules(ctx context.Context, r wazero.Runtime) error {
	for _, m := range hostModules {
		b := r.NewHostModuleBuilder(m.name)
		for _, f := range m.functions {
			b.NewFunctionBuilder().WithGoModuleFunction(f.bind(), f.paramTypes(), f.resultTypes()).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("instantiate host module %s: %w", m.name, err)
		}
	}
	yield := api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
		ctx.Value(slotKey{}).(*slot).yield()
	})
	_, err := r.NewHostModuleBuilder(yieldModule).
		NewFunctionBuilder().WithGoModuleFunction(yield, nil, nil).Export(yieldName).
		Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("instantiate host module %s: %w", yieldModule, err)
	}
	return nil
}

// bind makes a function for wazero, which passes the arguments and takes the
// result in the same slice.
func (f hostFunction) bind() api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		s := ctx.Value(slotKey{}).(*slot)
		result := f.call(s, mod.Memory(), stack)
		if len(stack) > 0 {
			stack[0] = uint64(result)
		}
	}
}

func (f hostFunction) paramTypes() []api.ValueType {
	types := make([]api.ValueType, len(f.params))
	for i, letter := range f.params {
		types[i] = api.ValueTypeI32
		if letter == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// resultTypes is an i32 for all but the one function that does not return.
func (f hostFunction) resultTypes() []api.ValueType {
	if f.name == wasiExit {
		return nil
	}
	return []api.ValueType{api.ValueTypeI32}
}
