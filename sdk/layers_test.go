package sdk_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layers are the files of an SDK from the bottom up, as the package's doc has them.
var layers = [][]string{
	{"abi", "record", "json", "payload", "error", "memory", "crash", "seed"},
	{"host"},
	{"process", "call", "timer", "clock", "module", "socket", "presence", "pubsub", "history", "migrate"},
	{"callbacks"},
	{"server", "channel", "connect", "agent", "task", "event_handler", "event_manager", "supervisor"},
	{"plugin"},
	{"entry", "index"},
}

// layerOf returns -1 for a file that is in none.
func layerOf(file string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, file) })
}

// One thing has one file name in all SDKs: whoever knows one of them finds it in the others.
// These are the names that some of them have for themselves, and why the others do not.
var ownNames = map[string]struct{ languages, reason string }{
	"doc":      {"go", "the guide; Rust has it in lib, C in rtd.h, AssemblyScript in its README"},
	"lib":      {"rust", "cargo wants the root of a crate to have this name"},
	"index":    {"as", "npm wants the root of a package to have this name"},
	"internal": {"c", "declares what the files share; the others import from each other"},
	"payload":  {"rust as c", "a payload in Go is a []byte, and IsBinary"},
	"error":    {"go rust as", "the codes in C are an enum of rtd.h, and have no texts"},
	"seed":     {"go as", "their random generators begin with the snapshot; Rust and C have none of their own"},
	"heap":     {"go", "when the garbage of an instance is collected; AssemblyScript collects as it allocates, Rust and C have none"},
	"rehearse": {"go", "what Go's allocator sets up for a first event; theirs set up nothing"},
	"types":    {"go", "what encoding/json learns by reflection; the others know their types when they are compiled"},
	"crash":    {"as", "lies below error, whose Result crashes; asconfig.json names its function abort"},
}

func TestFileNames(t *testing.T) {
	have := map[string][]string{}
	for _, language := range []string{"go", "rust", "as", "c"} {
		for name := range sourcesOf(t, language) {
			have[name] = append(have[name], language)
		}
	}
	for name, languages := range have {
		got := strings.Join(languages, " ")
		own, ok := ownNames[name]
		switch {
		case len(languages) == 4 && ok:
			t.Errorf("%s: all SDKs have it; take it out of the table", name)
		case len(languages) < 4 && !ok:
			t.Errorf("%s: of go, rust, as and c only %s have it; give it the name that the thing has in the others, or a reason in the table", name, got)
		case ok && got != own.languages:
			t.Errorf("%s: %s have it, and not %s as the table says", name, got, own.languages)
		}
	}
	for name := range ownNames {
		if have[name] == nil {
			t.Errorf("%s: no SDK has it; take it out of the table", name)
		}
	}
}

func TestLayers(t *testing.T) {
	for language, imports := range map[string]func(t *testing.T, sources map[string]string) map[string][]string{
		"rust": rustImports, "as": asImports,
	} {
		graph := imports(t, sourcesOf(t, language))
		if arrows := len(slices.Concat(slices.Collect(maps.Values(graph))...)); arrows < 60 {
			t.Errorf("%s: found %d imports only", language, arrows)
		}
		for file, list := range graph {
			for _, other := range list {
				if layerOf(file) < layerOf(other) || layerOf(other) < 0 {
					t.Errorf("%s: %s imports %s, which is of a later layer, or of none", language, file, other)
				}
			}
		}
		if cycle := findCycle(graph); cycle != nil {
			t.Errorf("%s: %s import each other in a circle", language, strings.Join(cycle, " → "))
		}
	}
}

// TestFindsCycles holds the readers of imports to sources that are known.
func TestFindsCycles(t *testing.T) {
	rust := map[string]string{
		"lib":   "pub use upper::{Thing, other};\nmod upper;\nmod lower;",
		"low":   "use crate::mid::{self, a};\n// use crate::top;\n/// [`x`](crate::top())",
		"mid":   "use crate::{json, Thing};\nfn f() { let url = \"http://x\"; }",
		"json":  "",
		"upper": "macro_rules! m { () => { crate::low::f() } }\nuse std::fmt;",
	}
	if got := findCycle(rustImports(t, rust)); len(got) != 4 {
		t.Errorf("of low → mid → upper → low is found %v", got)
	}
	rust["upper"] = "#[cfg(test)]\nmod tests;"
	if got := findCycle(rustImports(t, rust)); got != nil {
		t.Errorf("found %v where there is none", got)
	}
	as := map[string]string{
		"a": "import {\n  B, C,\n} from \"./b\";\n// import { X } from \"./c\";",
		"b": "export { C } from \"./c\";",
		"c": "import * as a from './a';",
	}
	if got := findCycle(asImports(t, as)); len(got) != 4 {
		t.Errorf("of a → b → c → a is found %v", got)
	}
}

// sourcesOf returns the text of an SDK's files by their names, without what is for tests.
func sourcesOf(t *testing.T, language string) map[string]string {
	t.Helper()
	pattern := map[string]string{"go": "go/*.go", "rust": "rust/src/*.rs", "as": "as/assembly/*.ts", "c": "c/src/*.[ch]"}[language]
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	sources := map[string]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if strings.HasSuffix(name, "_test") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// of entry.go and entry_wasip1.go the name is entry
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_wasip1"), "_other")
		sources[name] += string(text)
	}
	return sources
}

var (
	lineComment = regexp.MustCompile(`(?m)(^|\s)//.*$`)
	rustExports = regexp.MustCompile(`pub use (\w+)::(\{[^}]*\}|\w+)`)
	rustPath    = regexp.MustCompile(`\bcrate::(\w+|\{)`)
	asImport    = regexp.MustCompile(`(?s)\b(?:import|export)\b[^;]*?\bfrom\s+["']\./(\w+)["']`)
	word        = regexp.MustCompile(`\w+`)
)

// rustImports finds every path that begins at the crate. A name that lib.rs exports counts as
// its module: a use of it must not hide where it comes from.
func rustImports(t *testing.T, sources map[string]string) map[string][]string {
	t.Helper()
	exports := map[string]string{}
	for _, m := range rustExports.FindAllStringSubmatch(sources["lib"], -1) {
		for _, name := range word.FindAllString(m[2], -1) {
			exports[name] = m[1]
		}
	}
	graph := map[string][]string{}
	for file, text := range sources {
		if file == "lib" {
			continue
		}
		text = lineComment.ReplaceAllString(text, "")
		for _, at := range rustPath.FindAllStringSubmatchIndex(text, -1) {
			names := []string{text[at[2]:at[3]]}
			if names[0] == "{" {
				names = firstWords(text[at[3]:])
			}
			for _, name := range names {
				module := name
				if _, ok := sources[name]; !ok {
					if module, ok = exports[name]; !ok {
						t.Errorf("%s: crate::%s is neither a module nor a name of lib", file, name)
						continue
					}
				}
				if module != file {
					graph[file] = append(graph[file], module)
				}
			}
		}
	}
	return graph
}

// firstWords are the first words of each path in a list, up to the bracket that closes it.
func firstWords(list string) (words []string) {
	depth, fresh := 0, true
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth < 0 {
				return words
			}
		case c == ',' && depth == 0:
			fresh = true
		case fresh && depth == 0 && word.MatchString(string(c)):
			words = append(words, word.FindString(list[i:]))
			fresh = false
		}
	}
	return words
}

func asImports(t *testing.T, sources map[string]string) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	for file, text := range sources {
		for _, m := range asImport.FindAllStringSubmatch(lineComment.ReplaceAllString(text, ""), -1) {
			graph[file] = append(graph[file], m[1])
		}
	}
	return graph
}

// findCycle returns files each of which imports the next, and the last of which is the first.
func findCycle(graph map[string][]string) []string {
	done := map[string]bool{}
	var path []string
	var visit func(file string) []string
	visit = func(file string) []string {
		if at := slices.Index(path, file); at >= 0 {
			return append(slices.Clone(path[at:]), file)
		}
		if done[file] {
			return nil
		}
		done[file] = true
		path = append(path, file)
		for _, next := range graph[file] {
			if cycle := visit(next); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		return nil
	}
	for _, file := range slices.Sorted(maps.Keys(graph)) {
		if cycle := visit(file); cycle != nil {
			return cycle
		}
	}
	return nil
}
