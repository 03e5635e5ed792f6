package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"rtd/sandbox/abi"
	"rtd/sandbox/rewrite"
)

// checkModule refuses a module before it is compiled: for imports that are no functions, a memory that begins with more
// than the limit, and features that the engine does not know.
func checkModule(m *rewrite.Module, memory int64) error {
	for _, i := range m.Imports {
		if i.Kind != rewrite.FunctionKind {
			return fmt.Errorf("imports %s, which is no function; rtd offers functions only, so let the module have its own memory, tables and globals",
				printable([]byte(i.Module+"."+i.Name), maxShown))
		}
	}
	if size := int64(m.Memory.Min) * pageSize; size > memory {
		return fmt.Errorf("its memory begins with %s, the limit is %s; raise the plugin's memory limit", byteSize(size), byteSize(memory))
	}
	if beyond := m.Features & (rewrite.TailCall | rewrite.ExtendedConst); beyond != 0 {
		return fmt.Errorf("it uses %v; rtd runs WebAssembly 2.0: build without", beyond)
	}
	return nil
}

// compileModule lets wazero validate and compile. A [*folderError] is not about the module. A module that was built to
// find a bug in the compiler gets an error, not the process: so it must be
// compiled on this goroutine, where a panic can be caught, and not by workers.
func compileModule(ctx context.Context, r wazero.Runtime, wasm []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("compile module: the compiler panicked: %v", p)
		}
	}()
	m, err = r.CompileModule(ctx, wasm)
	if aboutFiles(err) {
		return nil, &folderError{err}
	}
	if err != nil {
		return nil, fmt.Errorf("compile module: %s (rtd runs WebAssembly 2.0: build without threads, tail calls and exceptions)",
			printable([]byte(err.Error()), maxCause))
	}
	return m, nil
}

// checkContract compares imports and exports with package abi, and names all
// that is wrong at once.
func checkContract(m wazero.CompiledModule) error {
	wrong := append(checkImports(m), checkExports(m)...)
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

func checkImports(m wazero.CompiledModule) (wrong []string) {
	var unknown []string
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == yieldModule && name == yieldName {
			continue // added by the rewriter, which refuses it as a guest's own
		}
		want, ok := offered(module, name)
		if !ok {
			unknown = append(unknown, printable([]byte(module+"."+name), maxShown))
		} else if !slices.Equal(f.ParamTypes(), want.paramTypes()) || !slices.Equal(f.ResultTypes(), want.resultTypes()) {
			wrong = append(wrong, fmt.Sprintf("imports %s.%s as %s, it is %s", module, name,
				signature(f.ParamTypes(), f.ResultTypes()), signature(want.paramTypes(), want.resultTypes())))
		}
	}
	if len(unknown) > 0 {
		const most = 20
		more := ""
		if len(unknown) > most {
			more = fmt.Sprintf(" and %d more", len(unknown)-most)
			unknown = unknown[:most]
		}
		wrong = append(wrong, fmt.Sprintf("imports %s%s, which rtd does not have; it offers %s.%s and %s",
			strings.Join(unknown, ", "), more, abi.Module, abi.ImportOp, wasiModule))
	}
	return wrong
}

func offered(module, name string) (hostFunction, bool) {
	for _, m := range hostModules {
		if m.name != module {
			continue
		}
		if i := slices.IndexFunc(m.functions, func(f hostFunction) bool { return f.name == name }); i >= 0 {
			return m.functions[i], true
		}
	}
	return hostFunction{}, false
}

func checkExports(m wazero.CompiledModule) (wrong []string) {
	if _, ok := m.ExportedMemories()[abi.ExportMemory]; !ok {
		wrong = append(wrong, "exports no memory named "+abi.ExportMemory)
	}
	i32 := []api.ValueType{api.ValueTypeI32}
	exports := m.ExportedFunctions()
	for _, want := range []struct {
		name            string
		params, results []api.ValueType
		optional        bool
	}{
		{name: abi.ExportInbox, params: i32, results: i32},
		{name: abi.ExportHandle, params: i32, results: i32},
		{name: abi.ExportInitialize, optional: true},
	} {
		f, ok := exports[want.name]
		switch sig := signature(want.params, want.results); {
		case !ok && want.optional:
		case !ok:
			wrong = append(wrong, "exports no function "+want.name+sig)
		case !slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results):
			wrong = append(wrong, fmt.Sprintf("exports %s%s, want %s%s",
				want.name, signature(f.ParamTypes(), f.ResultTypes()), want.name, sig))
		}
	}
	if _, ok := exports["_start"]; ok && len(wrong) > 0 {
		wrong = append(wrong, "it is built as a program; build it as a reactor (Go: -buildmode=c-shared; C: -mexec-model=reactor; Rust: crate-type cdylib)")
	}
	return wrong
}

// signature prints parameters and results, as in "(i32,i32) i32".
func signature(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		all := make([]string, len(types))
		for i, t := range types {
			all[i] = api.ValueTypeName(t)
		}
		return strings.Join(all, ",")
	}
	s := "(" + names(params) + ")"
	if len(results) > 0 {
		s += " " + names(results)
	}
	return s
}
