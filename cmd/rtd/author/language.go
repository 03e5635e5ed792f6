package author

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"rtd/sdk"
)

// language is what differs from one to the next.
type language struct {
	name  string
	marks []string // patterns of files by which a project is recognised
	main  string   // the file with the plugin's code; NAME is the project's
	tools string   // what a build needs, and how to get it on Debian
	setup string   // a command to run once in a new project, or ""
	// build makes the module, as the file out. What compilers say goes to messages.
	build func(ctx context.Context, p *Project, out string, messages io.Writer) error
}

// languages are in the order in which a project is looked for.
var languages = []*language{
	{
		name: "rust", marks: []string{"Cargo.toml"}, main: "src/lib.rs", build: buildRust,
		tools: "Rust with the target wasm32-unknown-unknown (Debian: `apt-get install rustc cargo libstd-rust-dev-wasm32 lld`; or `rustup target add wasm32-unknown-unknown`)",
	},
	{
		name: "as", marks: []string{"asconfig.json"}, main: "assembly/index.ts", build: buildAS, setup: "npm install --prefix NAME",
		tools: "Node 20 or later with npm (https://nodejs.org)",
	},
	{
		name: "go", marks: []string{"go.mod", "*.go"}, main: "main.go", build: buildGo,
		tools: "Go 1.26 or later (https://go.dev/dl)",
	},
	{
		name: "c", marks: []string{"*.c", "src/*.c"}, main: "NAME.c", build: buildC,
		tools: "clang and lld 14 or later (Debian: `apt-get install clang lld`)",
	},
}

// Languages are the names of those that projects can be written in.
func Languages() []string { return slices.Clone(sdk.Languages) }

func byName(name string) *language {
	for _, l := range languages {
		if l.name == name {
			return l
		}
	}
	return nil
}

// detect returns the language of a project, or nil.
func detect(dir string) *language {
	for _, l := range languages {
		for _, mark := range l.marks {
			if found, _ := filepath.Glob(filepath.Join(escape(dir), mark)); found != nil {
				return l
			}
		}
	}
	return nil
}

// escape makes a path match itself.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func marks() string {
	var all []string
	for _, l := range languages {
		all = append(all, l.marks...)
	}
	return strings.Join(all, ", ")
}
