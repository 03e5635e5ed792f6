package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/helper"
)

// maxUnbounded is how large a module may be, rewritten, that is compiled in the process because there is no folder
// for a child to leave the machine code in. The worst of that size takes some seconds.
const maxUnbounded = 32 << 10

// machine is a module as it is run: compiled, in a runtime of its own, which shares nothing with others. So
// a plugin leaves nothing behind, and plugins can be loaded at the same time: wazero 1.12 hands out what it has
// read of a file before it is complete, if two share a cache and ask for the same module.
type machine struct {
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// openMachine decodes and validates a module and compiles it, or takes its machine code from a folder that has
// it. Empty: it is compiled, and kept nowhere.
func openMachine(ctx context.Context, folder string, wasm []byte) (m *machine, err error) {
	m = &machine{}
	if folder == "" {
		m.cache = wazero.NewCompilationCache()
	} else if m.cache, err = wazero.NewCompilationCacheWithDir(folder); err != nil {
		return nil, &folderError{err}
	}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(m.cache).
		WithDebugInfoEnabled(false)) // never parse a stranger's DWARF in the host
	if err = addHostModules(ctx, m.runtime); err == nil {
		m.compiled, err = compileModule(ctx, m.runtime, wasm)
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// close frees all. Nothing of it is to run any more.
func (m *machine) close() {
	ctx := context.Background() // freeing is not to be interrupted
	if m.compiled != nil {
		_ = m.compiled.Close(ctx) // never fails: it drops a reference
	}
	_ = m.runtime.Close(ctx) // closes host modules, which hold nothing
	_ = m.cache.Close(ctx)   // never fails either
}

// folderError says that machine code could not be written or read; the module may be good.
type folderError struct{ err error }

func (e *folderError) Error() string { return e.err.Error() }
func (e *folderError) Unwrap() error { return e.err }

// aboutFiles says whether an error is of the file system.
func aboutFiles(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, call := errors.AsType[*os.SyscallError](err)
	_, number := errors.AsType[syscall.Errno](err)
	return path || link || call || number
}

// machineOf returns the machine of a module, from the cache if it is there. A fault of the cache is a warning; an
// error is about the module.
func (e *Engine) machineOf(ctx context.Context, wasm []byte, log *slog.Logger) (*machine, error) {
	if !compiles {
		return openMachine(ctx, "", wasm)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.closing, func() { cancel(ErrClosed) })()
	key := codeKey(wasm)
	if m := e.cached(ctx, key, wasm, log); m != nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var causes []error
	for _, in := range e.places() {
		m, err := e.compileIn(ctx, in, key, wasm)
		if _, ok := errors.AsType[*folderError](err); !ok {
			return m, err
		}
		if e.cache != nil && in == e.cache.dir {
			e.warnCache(log, err)
		}
		causes = append(causes, err)
	}
	if e.compiler != nil && len(wasm) > maxUnbounded {
		return nil, fmt.Errorf("compile module: it has %s, and without a folder for machine code at most %s are compiled: make room in the cache folder (cache in [plugins] of config.toml) or in the one for temporary files: %w",
			byteSize(int64(len(wasm))), byteSize(maxUnbounded), errors.Join(causes...))
	}
	return openMachine(ctx, "", wasm)
}

// cached returns the machine of a module whose machine code is in the cache; else nil.
func (e *Engine) cached(ctx context.Context, key string, wasm []byte, log *slog.Logger) *machine {
	if e.cache == nil {
		return nil
	}
	there, err := e.cache.holds(key)
	if there {
		var m *machine
		if m, err = openMachine(ctx, e.cache.dir, wasm); err == nil {
			return m
		}
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("compiled code in the cache is of no use, compiling again", "file", e.cache.file(key), "cause", err)
		e.cache.discard(key)
	}
	return nil
}

// places are folders in which machine code may be made, the best first.
func (e *Engine) places() []string {
	if e.cache == nil {
		return e.temporary
	}
	return append([]string{e.cache.dir}, e.temporary...)
}

// compileIn compiles a module in a workplace in a folder, and keeps the machine code if that folder is the cache.
// A [*folderError] says that another folder may do.
func (e *Engine) compileIn(ctx context.Context, in, key string, wasm []byte) (m *machine, err error) {
	work, err := workplace(in)
	if err != nil {
		return nil, &folderError{err}
	}
	defer os.RemoveAll(work)
	if e.compiler != nil {
		if err := e.compileApart(ctx, work, wasm); err != nil {
			return nil, err
		}
		switch info, err := os.Lstat(codeFile(work, key)); {
		case err != nil: // it would be compiled here
			return nil, &folderError{err}
		case info.Size() > maxCode:
			return nil, fmt.Errorf("compile module: its machine code has %s, at most %s are allowed; make the module smaller", byteSize(info.Size()), byteSize(maxCode))
		}
	}
	if m, err = openMachine(ctx, work, wasm); err != nil {
		return nil, err
	}
	if e.cache == nil || in != e.cache.dir {
		return m, nil
	}
	if err := e.cache.place(work, key); err != nil {
		e.warnCache(e.log, err)
	} else {
		e.uncached.Store(false)
	}
	return m, nil
}

// warnCache says that the cache cannot be written, once until it can be again.
func (e *Engine) warnCache(log *slog.Logger, err error) {
	if !e.uncached.Swap(true) {
		log.Warn("compiled code cannot be kept, plugins are compiled at every start", "folder", e.cache.dir, "cause", err)
	}
}

// compileApart has a child compile a module into a folder.
func (e *Engine) compileApart(ctx context.Context, folder string, wasm []byte) error {
	select {
	case e.children <- struct{}{}:
		defer func() { <-e.children }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	text, err := helper.Run(ctx, e.compiler, helper.Limits{CPU: e.compileTime, Memory: e.compileMemory}, compileRequest(folder, wasm))
	var a compileAnswer
	if err == nil {
		if err = json.Unmarshal(text, &a); err != nil {
			err = fmt.Errorf("read the answer: %w", err)
		}
	}
	if slow, ok := errors.AsType[*helper.CPUError](err); ok {
		return fmt.Errorf("compile module: %w; functions with many nested blocks take long: make them smaller, or raise compile_time in [plugins] of config.toml", slow)
	}
	if large, ok := errors.AsType[*helper.MemoryError](err); ok {
		return fmt.Errorf("compile module: %w; make the module or its largest functions smaller, or raise compile_memory in [plugins] of config.toml", large)
	}
	switch most := e.compileTime / repeatShare; {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("compile module: %w; compile_time = \"0s\" in [plugins] of config.toml compiles in the process itself, without limits", err)
	case a.Folder != "":
		return &folderError{errors.New(a.Folder)}
	case a.Module != "":
		return errors.New(a.Module)
	case a.Repeat > most:
		return fmt.Errorf("compile module: reading it takes %v of processor time again and again, at most %v are allowed; make the module smaller, or raise compile_time in [plugins] of config.toml",
			a.Repeat.Round(time.Millisecond), most)
	}
	return nil
}

// repeatShare is the part of the time to compile that it may take to decode and validate a module and to
// read its machine code. That the process does itself, at each load.
const repeatShare = 10

// compileAnswer is what a child says.
type compileAnswer struct {
	Module string        // what is wrong with the module
	Folder string        // what is wrong with the folder
	Repeat time.Duration // processor time that it takes to do what is left to the parent
}

// compileRequest is the folder's name, a zero byte, and the module.
func compileRequest(folder string, wasm []byte) []byte {
	return append(append([]byte(folder), 0), wasm...)
}

// CompilerMain is to be called first in the main function of a program whose engines have children compile, see
// [Options].Compiler. In such a child it does not return.
func CompilerMain() { helper.Main(compileForParent) }

// Compiler is how this program starts itself as a compiler, for [Options]. It is nil, which is no
// compiler, unless the program has called [CompilerMain].
func Compiler() []string { return helper.Command() }

// compileForParent compiles a module into a folder. Then it does what the parent will do, with an eye on the clock: what
// is too much for the parent is found here, where it can be ended.
func compileForParent(request []byte) []byte {
	ctx := context.Background()
	var a compileAnswer
	zero := 0
	for zero < len(request) && request[zero] != 0 {
		zero++
	}
	folder, wasm := string(request[:zero]), request[min(zero+1, len(request)):]
	err := func() error {
		m, err := openMachine(ctx, folder, wasm)
		if err != nil {
			return err
		}
		m.close()
		before := helper.CPUTime()
		if m, err = openMachine(ctx, folder, wasm); err != nil {
			return err
		}
		a.Repeat = helper.CPUTime() - before
		m.close()
		return nil
	}()
	if _, ok := errors.AsType[*folderError](err); ok {
		a.Folder = err.Error()
	} else if err != nil {
		a.Module = err.Error()
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // texts and a number
	}
	return text
}
