package folder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"rtd/host/disk"
)

// build brings one NAME.wasm up to date with its Go source, if need be. It runs on a
// goroutine of its own and shares nothing with the one that owns the folder.
type build struct {
	name string
	dir  string // the source
	wasm string // the result
	keep string // the folder for stamps and unfinished results
	log  *slog.Logger
}

// outcome tells the owner about a build that ended.
type outcome struct {
	name      string
	paths     []string // what to watch from now on; nil: as before
	print     string   // of paths, taken before the content was read
	published bool     // the .wasm was written
	err       error    // for the author of the source
}

// stamp remembers which source the .wasm goes with.
type stamp struct {
	Source string `json:"source"` // hash of the source, see program.hash
	WASM   string `json:"wasm"`   // hash of the .wasm that was built or adopted
}

// run decides and builds. The .wasm of an unchanged source is left alone, whoever made it.
func (b build) run(ctx context.Context) outcome {
	out := outcome{name: b.name}
	there, _ := os.Stat(b.wasm) // nil without error means the same as with: it is not there
	if there != nil && there.Size() == 0 {
		there = nil
	}
	tool, err := findGo(ctx, b.dir)
	if ctx.Err() != nil {
		return out
	}
	if err != nil {
		if there != nil {
			b.log.Warn("no Go toolchain: the source is not compared with the .wasm, which is used as it is", "cause", err)
			return out
		}
		out.err = fmt.Errorf("no Go toolchain to build it: %w; install Go (https://go.dev/dl) or put a built %s into the plugin folder",
			err, filepath.Base(b.wasm))
		return out
	}
	source, err := tool.list(ctx)
	if err != nil {
		out.err = err
		return out
	}
	out.paths, out.print = source.paths, printOf(source.paths)
	hash, newest, err := source.hash()
	if err != nil {
		out.err = fmt.Errorf("read source: %w", err)
		return out
	}

	old, stamped := b.readStamp()
	switch {
	case there != nil && stamped && old.Source == hash:
		if sum, err := hashFile(b.wasm); err == nil && sum != old.WASM {
			b.log.Info("using the .wasm that was dropped in, until the source changes")
		}
	case there != nil && !stamped && there.ModTime().After(newest):
		b.log.Info("using the .wasm that is newer than its source, until the source changes")
		b.stamp(hash)
	default:
		out.published, out.err = b.make(ctx, tool, there)
		if out.err == nil {
			b.stamp(hash)
		}
	}
	return out
}

// make builds into a folder of its own and moves the result to its place in one step.
func (b build) make(ctx context.Context, tool *goTool, there os.FileInfo) (published bool, err error) {
	b.log.Info("building plugin")
	began := time.Now()
	work, err := filepath.Abs(filepath.Join(b.keep, b.name+".build"))
	if err != nil {
		return false, fmt.Errorf("build plugin: %w", err)
	}
	// Left there by a process that was killed.
	if err := cmp.Or(os.RemoveAll(work), os.MkdirAll(work, 0o755)); err != nil {
		return false, fmt.Errorf("build plugin: %w; the plugin folder must be writable, or set build = false in [plugins]", err)
	}
	defer os.RemoveAll(work)

	result := filepath.Join(work, "plugin.wasm")
	if err := tool.build(ctx, work, result); err != nil {
		return false, err
	}
	info, err := os.Stat(result)
	if err != nil {
		return false, fmt.Errorf("build plugin: %w", err)
	}
	if now, _ := os.Stat(b.wasm); now != nil && now.Size() > 0 && !same(there, now) {
		b.log.Info("using the .wasm that was dropped in during the build, until the source changes")
		return false, nil
	}
	err = disk.Sync(result)
	if err == nil {
		err = disk.Place(result, b.wasm)
	}
	if err != nil {
		return false, fmt.Errorf("build plugin: %w", err)
	}
	b.log.Info("built plugin", "took", time.Since(began).Round(time.Millisecond), "bytes", info.Size())
	return true, nil
}

func (b build) stampFile() string { return filepath.Join(b.keep, b.name+".json") }

// maxStamp bounds a stamp, in bytes: it is two hashes.
const maxStamp = 4 << 10

// readStamp returns the stamp; a broken one counts as none.
func (b build) readStamp() (s stamp, ok bool) {
	data, err := disk.Read(b.stampFile(), maxStamp)
	if err != nil || json.Unmarshal(data, &s) != nil || s.Source == "" {
		return stamp{}, false
	}
	return s, true
}

// stamp writes that the .wasm goes with the source of this hash. Without the stamp the plugin works all the same, but
// is built again next time.
func (b build) stamp(source string) {
	wasm, err := hashFile(b.wasm)
	if err == nil {
		err = os.MkdirAll(b.keep, 0o755)
	}
	if err == nil {
		data, _ := json.MarshalIndent(stamp{Source: source, WASM: wasm}, "", "\t") // two strings: cannot go wrong
		_, err = disk.Replace(b.stampFile(), 0o644, disk.Bytes(append(data, '\n')))
	}
	if err != nil {
		b.log.Warn("cannot note which source the .wasm was built from; it will be built again at the next start", "cause", err)
	}
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}
