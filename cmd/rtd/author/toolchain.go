package author

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rtd/host/folder"
)

// MissingError says that there is no toolchain to build a project with.
type MissingError struct {
	Tool    string // what is missing
	Install string // how to get it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is missing; install %s", e.Tool, e.Install)
}

// buildGo makes a reactor: a module that exports functions and does not end with main.
func buildGo(ctx context.Context, p *Project, out string, messages io.Writer) error {
	path, err := exec.LookPath("go")
	if err != nil {
		return &MissingError{"go", p.language.tools}
	}
	cmd := command(ctx, p.Dir, messages, path, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o", out, ".")
	cmd.Env = append(cmd.Environ(), folder.GoEnv()...)
	return run(ctx, cmd)
}

// buildRust takes the first Rust that has the target for guests: the one on the PATH, or Debian's. If that is
// another one than the author's shell would take, the messages say so.
func buildRust(ctx context.Context, p *Project, out string, messages io.Writer) error {
	rust, passed := findRust(ctx)
	if rust == nil && len(passed) > 0 {
		return &MissingError{"a Rust toolchain for " + rustTarget, p.language.tools + "; " + strings.Join(passed, "; ")}
	}
	if rust == nil {
		return &MissingError{"a Rust toolchain for " + rustTarget, p.language.tools}
	}
	chosen := ""
	if len(passed) > 0 {
		chosen = fmt.Sprintf("building with %s: %s", rust, strings.Join(passed, "; "))
		fmt.Fprintln(messages, chosen)
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return err
	}
	// Cargo tells in JSON what it has made; what the compiler says goes to its standard error.
	cmd := command(ctx, dir, messages, rust.cargo, "build", "--quiet", "--release", "--target", rustTarget, "--message-format=json-render-diagnostics")
	cmd.Env = append(cmd.Environ(), "RUSTC="+rust.rustc, "CARGO_TARGET_DIR="+filepath.Join(dir, "target"))
	var artifacts bytes.Buffer
	cmd.Stdout = &artifacts
	if err := run(ctx, cmd); errors.Is(err, ErrCompile) && chosen != "" {
		return fmt.Errorf("%w (%s)", err, chosen) // if it was too old, this is the cause
	} else if err != nil {
		return err
	}
	made := ""
	for decoder := json.NewDecoder(&artifacts); ; {
		var artifact struct{ Filenames []string }
		if err := decoder.Decode(&artifact); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read the output of cargo: %w", err)
		}
		for _, name := range artifact.Filenames {
			if strings.HasSuffix(name, ".wasm") {
				made = name // the package itself comes last
			}
		}
	}
	if made == "" {
		return errors.New(`cargo has made no .wasm: Cargo.toml needs crate-type = ["cdylib"] in [lib]`)
	}
	wasm, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	return os.WriteFile(out, wasm, 0o644)
}

const rustTarget = "wasm32-unknown-unknown"

// debian is where Debian has its tools.
var debian = "/usr/bin"

// rust is a toolchain.
type rust struct{ cargo, rustc, version string }

// String is the cargo that is called, and which one that is.
func (r *rust) String() string {
	if r.version == "" {
		return r.cargo
	}
	return r.cargo + " (" + r.version + ")"
}

// findRust returns the toolchain to build with, or nil, and why those before it were passed over, with what mends that.
func findRust(ctx context.Context) (found *rust, passed []string) {
	for _, dir := range []string{"", debian} {
		r := &rust{}
		var err, err2 error
		r.cargo, err = exec.LookPath(filepath.Join(dir, "cargo"))
		r.rustc, err2 = exec.LookPath(filepath.Join(dir, "rustc"))
		if errors.Join(err, err2) != nil {
			continue
		}
		if version, err := exec.CommandContext(ctx, r.cargo, "--version").Output(); err == nil {
			r.version = strings.TrimSpace(string(version))
		}
		libraries, err := exec.CommandContext(ctx, r.rustc, "--print", "target-libdir", "--target", rustTarget).Output()
		if _, err2 := os.Stat(strings.TrimSpace(string(libraries))); err == nil && err2 == nil {
			return r, passed
		}
		mend := "install the standard library of " + rustTarget + " for it (Debian's: `apt-get install libstd-rust-dev-wasm32`)"
		if rustup, err := exec.LookPath(filepath.Join(filepath.Dir(r.cargo), "rustup")); err == nil {
			mend = "`" + rustup + " target add " + rustTarget + "` mends that"
		}
		why := fmt.Sprintf("%s has no target %s; %s", r, rustTarget, mend)
		if len(passed) == 0 || passed[0] != why {
			passed = append(passed, why)
		}
	}
	return nil, passed
}

// buildAS runs the compiler that npm has installed in the project.
func buildAS(ctx context.Context, p *Project, out string, messages io.Writer) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return &MissingError{"node", p.language.tools}
	}
	if version, err := exec.CommandContext(ctx, node, "-p", `process.versions.node.split(".")[0]`).Output(); err == nil {
		if major, _ := strconv.Atoi(strings.TrimSpace(string(version))); major < 20 {
			return &MissingError{fmt.Sprintf("node is version %d; a newer one", major), p.language.tools}
		}
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return err
	}
	asc := filepath.Join(dir, "node_modules", "assemblyscript", "bin", "asc.js")
	if _, err := os.Stat(asc); err != nil {
		return fmt.Errorf("the AssemblyScript compiler is not installed in the project; run: npm install --prefix %s", p.Dir)
	}
	return run(ctx, command(ctx, dir, messages, node, asc, p.language.file(p.Name), "--config", "asconfig.json", "-o", out))
}

// clangFlags make a module without a C library, whose stack lies below its data: an overflow traps
// and overwrites nothing. What a plugin does not use of the SDK is not in it.
var clangFlags = []string{
	"--target=wasm32", "-std=c11", "-Oz", "-flto", "-ffreestanding", "-nostdlib", "-mbulk-memory", "-fdata-sections", "-Wall", "-Wextra",
	"-Wl,--no-entry,--stack-first,-z,stack-size=8192,--strip-debug,--compress-relocations",
}

func buildC(ctx context.Context, p *Project, out string, messages io.Writer) error {
	clang := findClang(ctx)
	if clang == "" {
		return &MissingError{"clang with wasm32 and wasm-ld", p.language.tools}
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return err
	}
	args := append(append([]string{}, clangFlags...), "-I", "rtd", "-o", out)
	for _, pattern := range []string{"*.c", "src/*.c", "rtd/src/*.c"} {
		files, _ := filepath.Glob(filepath.Join(escape(dir), pattern))
		for _, file := range files {
			name, err := filepath.Rel(dir, file)
			if err != nil {
				return err
			}
			args = append(args, name) // paths in messages are the project's
		}
	}
	return run(ctx, command(ctx, dir, messages, clang, args...))
}

// findClang returns a clang that makes modules, and has its linker: the one on the PATH, or Debian's. Apple's makes
// none.
func findClang(ctx context.Context) string {
	for _, name := range []string{"clang", "/usr/bin/clang"} {
		clang, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		targets, err := exec.CommandContext(ctx, clang, "--print-targets").Output()
		if err != nil || !bytes.Contains(targets, []byte("wasm32")) {
			continue
		}
		linker, err := exec.CommandContext(ctx, clang, "--print-prog-name=wasm-ld").Output()
		if _, err2 := exec.LookPath(strings.TrimSpace(string(linker))); err == nil && err2 == nil {
			return clang
		}
	}
	return ""
}

// command is a compiler about to run in a folder, which the end of ctx kills.
func command(ctx context.Context, dir string, messages io.Writer, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, messages, messages
	cmd.WaitDelay = time.Second // for its children, which may keep the messages open
	return cmd
}

// ErrCompile is wrapped by the error of a build whose compiler has said what is wrong.
var ErrCompile = errors.New("the build failed")

func run(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Run()
	switch _, said := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case said:
		return fmt.Errorf("%w: %s: %w", ErrCompile, filepath.Base(cmd.Path), err)
	default:
		return err
	}
}
