package folder

import (
	"crypto/sha256"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// source is the state of one NAME/ that holds a Go program.
type source struct {
	initial bool
	paths   []string // directories and files that the program is made of, as far as they are local

	seen     string    // the print of paths at the last look
	since    time.Time // when it became so
	checked  string    // the print for which a build was last considered; "" none yet
	compared bool      // a first time with its .wasm, which is not passed on before
	told     string    // the error last reported, so that it is reported once
}

// lookAtSource starts a build, which may find out that none is needed, when a source has
// changed and is quiet. It returns when to look again.
func (f *Folder) lookAtSource(name string, s *source) time.Duration {
	now := time.Now()
	if current := printOf(s.paths); current != s.seen {
		s.seen, s.since = current, now
	}
	if s.seen == s.checked || f.building {
		return f.poll // finish looks again
	}
	if rest := f.quiet - now.Sub(s.since); rest > 0 && !(f.initial && s.checked == "") {
		return rest
	}
	f.building, s.checked = true, s.seen
	b := build{
		name: name,
		dir:  filepath.Join(f.dir, name),
		wasm: filepath.Join(f.dir, name+".wasm"),
		keep: filepath.Join(f.dir, ".rtd"),
		log:  f.log.With("plugin", name),
	}
	go func() { f.built <- b.run(f.ctx) }() // run receives it, also when it ends
	return f.poll
}

// finish takes over the outcome of a build.
func (f *Folder) finish(done outcome) {
	s := f.sources[done.name]
	if s == nil || f.ctx.Err() != nil {
		return // the source is gone, or the error is that the build was killed
	}
	s.compared = true
	if done.paths != nil {
		s.paths, s.seen, s.checked = done.paths, done.print, done.print
	}
	if done.published {
		if f.files[done.name] == nil {
			f.files[done.name] = &file{initial: f.initial}
		}
		f.files[done.name].ours = true
	}
	if done.err != nil {
		f.tell(done.name, filepath.Join(f.dir, done.name), &s.told, done.err)
		return
	}
	s.told = ""
}

// holdsMain tells whether a directory holds a Go program, whatever its build constraints. It must work without a Go
// toolchain.
func holdsMain(dir string) bool {
	entries, _ := os.ReadDir(dir) // of no directory: none
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		clause, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.PackageClauseOnly)
		if err == nil && clause.Name.Name == "main" {
			return true
		}
	}
	return false
}

// printOf returns a print of names, sizes and times of the files at paths: cheap enough for every look, and
// different whenever the content could be.
func printOf(paths []string) string {
	hash := sha256.New()
	add := func(path string, info os.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(hash, "%q -\n", path)
			return
		}
		fmt.Fprintf(hash, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
	}
	for _, path := range paths {
		entries, err := os.ReadDir(path)
		if err != nil { // a file
			info, err := os.Stat(path)
			add(path, info, err)
			continue
		}
		for _, entry := range entries {
			if !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
				entryPath := filepath.Join(path, entry.Name())
				info, err := os.Stat(entryPath)
				add(entryPath, info, err)
			}
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}
