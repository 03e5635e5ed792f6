package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"rtd/host/disk"
	"rtd/host/names"
	"rtd/sandbox/sections"
)

// MaxFileSize is how many bytes a plugin file may have.
const MaxFileSize = sections.MaxModule

// Options say which folder to watch and how.
type Options struct {
	// Dir is the folder. It must exist.
	Dir string

	// Build tells to build the Go source in Dir/NAME into Dir/NAME.wasm whenever it changes.
	Build bool

	// Log gets the progress of builds. Default: slog.Default().
	Log *slog.Logger

	// Quiet is how long a file must not change before it is passed on; a file is gone when it has been absent
	// for three times as long. Default: 100 ms.
	Quiet time.Duration

	// Poll is how often to look at places without notifications: network file systems,
	// and files behind symlinks. Default: 2 s.
	Poll time.Duration
}

// Change is a change of one plugin file.
//
// One of WASM, Removed and Err is set. WASM is the whole new content, which differs from
// the last one of this name. It belongs to the receiver, and may be no WebAssembly at
// all. Err says why a file or a source cannot be used and what to do about it; the last
// content of this name still holds.
type Change struct {
	Name    string // of the plugin; with Err it may be a file name that is no plugin's
	File    string // the path of the .wasm file; with Err it may be that of a source folder
	WASM    []byte
	Removed bool
	Err     error
	Initial bool // was there (or built from what was there) when the folder was opened
}

// Folder is a watched plugin folder. Its methods may be called by any goroutine at any
// time. The caller must receive from [Folder.Changes]: while a change waits, nothing else
// is looked at, and nothing is lost.
type Folder struct {
	dir     string
	build   bool
	log     *slog.Logger
	quiet   time.Duration
	poll    time.Duration
	changes chan Change
	ready   chan struct{}

	mu      sync.Mutex
	written map[string]*writes // what no look has seen yet, by plugin name

	ctx    context.Context // the life of run and of its builds
	cancel context.CancelFunc
	ended  sync.WaitGroup

	// All below belongs to the goroutine in run.
	watcher  *fsnotify.Watcher // nil: polling only
	events   <-chan fsnotify.Event
	errors   <-chan error
	warned   bool        // that some directory cannot be watched
	wake     *time.Timer // the next look
	wakeAt   time.Time
	opened   time.Time
	initial  bool               // until ready is closed
	lost     bool               // the folder could not be read at the last look
	files    map[string]*file   // by plugin name
	sources  map[string]*source // by plugin name
	advised  map[string]bool    // entries whose names were objected to
	building bool               // at most one at a time
	built    chan outcome
}

// Open begins to watch a folder and returns at once. The plugins that are in the folder
// come as changes marked Initial, after builds where needed; then [Folder.Ready] is
// closed. The folder is watched until ctx or [Folder.Close] ends it.
func Open(ctx context.Context, o Options) (*Folder, error) {
	info, err := os.Stat(o.Dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err != nil {
		return nil, fmt.Errorf("open plugin folder %q: %w; create it, or name another one (dir in [plugins] of config.toml, or --plugins)",
			o.Dir, err)
	}
	f := &Folder{
		dir:     filepath.Clean(o.Dir),
		build:   o.Build,
		log:     cmp.Or(o.Log, slog.Default()),
		quiet:   o.Quiet,
		poll:    o.Poll,
		changes: make(chan Change),
		ready:   make(chan struct{}),
		written: map[string]*writes{},
		wake:    time.NewTimer(0),
		opened:  time.Now(),
		initial: true,
		files:   map[string]*file{},
		sources: map[string]*source{},
		advised: map[string]bool{},
		built:   make(chan outcome, 1), // so that a build can end while run waits for a receiver
	}
	if f.quiet <= 0 {
		f.quiet = 100 * time.Millisecond
	}
	if f.poll <= 0 {
		f.poll = 2 * time.Second
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	if f.watcher, err = fsnotify.NewWatcher(); err != nil {
		f.log.Warn("no notifications from the system; polling the plugin folder", "every", f.poll, "cause", err)
	} else {
		f.events, f.errors = f.watcher.Events, f.watcher.Errors
	}
	disk.Sweep(f.dir, time.Hour)
	f.watch() // before the first look, so that no change falls in between
	f.ended.Go(f.run)
	return f, nil
}

// Changes returns the stream of changes, in the order in which they were found. It is closed when the folder
// is no longer watched.
func (f *Folder) Changes() <-chan Change { return f.changes }

// Ready returns a chan that is closed when everything that was in the folder at [Open] has been received from
// [Folder.Changes]. A file that is being written all the time is waited for no longer than 20 times Quiet.
func (f *Folder) Ready() <-chan struct{} { return f.ready }

// Close ends the watch, kills a build that runs, and waits for both. Changes not yet received are dropped.
func (f *Folder) Close() error {
	f.cancel()
	f.ended.Wait()
	return nil
}

// run owns the folder's state. Notifications only tell it when to look.
func (f *Folder) run() {
	defer close(f.changes)
	defer f.cancel()
	if f.watcher != nil {
		defer f.watcher.Close()
	}
	for f.ctx.Err() == nil {
		select {
		case <-f.wake.C:
			f.wakeAt = time.Now().Add(f.poll) // a notification during the look can move it
			f.wake.Reset(f.poll)
			f.lookWithin(f.look())
		case event := <-f.events:
			f.note(event)
		case err := <-f.errors:
			f.noteLoss(err)
		case done := <-f.built:
			f.building = false
			f.finish(done)
			f.lookWithin(0)
		case <-f.ctx.Done():
		}
	}
	if f.building {
		<-f.built
	}
}

// look reads the folder, passes on files that have settled, starts a build if one is due,
// and returns when to look again.
func (f *Folder) look() time.Duration {
	next := f.poll
	if f.readEntries() {
		f.addWritten()
		for _, name := range slices.Sorted(maps.Keys(f.files)) {
			next = min(next, f.lookAtFile(name, f.files[name]))
		}
		for _, name := range slices.Sorted(maps.Keys(f.sources)) {
			next = min(next, f.lookAtSource(name, f.sources[name]))
		}
		f.watch()
	}
	if f.initial && f.ctx.Err() == nil && f.settled() {
		f.initial = false
		close(f.ready)
	}
	return max(next, time.Millisecond)
}

// readEntries brings files, sources and objections up to date with the folder's list.
func (f *Folder) readEntries() bool {
	list, err := os.ReadDir(f.dir)
	if err != nil {
		// Perhaps a disk that is away for a moment: unloading every plugin would not help anybody.
		if !f.lost {
			f.log.Error("cannot read the plugin folder; plugins stay as they are until it is back", "cause", err)
		}
		f.lost = true
		return false
	}
	f.lost = false
	objected, sources := map[string]bool{}, map[string]*source{}
	for _, entry := range list {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		name, isFile := strings.CutSuffix(entry.Name(), ".wasm")
		bad := names.Check(name)
		isSource := !isFile && f.build && holdsMain(filepath.Join(f.dir, name))
		switch {
		case !isFile && !isSource:
		case bad != nil:
			objected[entry.Name()] = true
			if !f.advised[entry.Name()] {
				f.deliver(Change{Name: name, File: filepath.Join(f.dir, entry.Name()), Err: fmt.Errorf("the name %w; rename it", bad)})
			}
		case isSource:
			if sources[name] = f.sources[name]; sources[name] == nil {
				sources[name] = &source{initial: f.initial, paths: []string{filepath.Join(f.dir, name)}}
			}
		case f.files[name] == nil:
			f.files[name] = &file{initial: f.initial}
		}
	}
	f.advised, f.sources = objected, sources
	return true
}

// settled tells whether all files and sources of the beginning have been dealt with.
func (f *Folder) settled() bool {
	for _, s := range f.sources {
		if s.initial && !s.compared {
			return false
		}
	}
	if time.Since(f.opened) > 20*f.quiet {
		return true
	}
	for _, file := range f.files {
		if file.initial && !file.taken && file.seen != nil && file.seen.Size() > 0 {
			return false
		}
	}
	return true
}

// deliver waits until the receiver takes the change. Notifications are taken meanwhile:
// the system's queue is bounded.
func (f *Folder) deliver(c Change) {
	c.Initial = f.initial
	for f.ctx.Err() == nil {
		select {
		case f.changes <- c:
			return
		case event := <-f.events:
			f.note(event)
		case err := <-f.errors:
			f.noteLoss(err)
		case <-f.ctx.Done():
		}
	}
}

// note makes the next look soon, and a .wasm that it concerns wait for quiet again. That matters where the clock
// of a file system is too coarse to show two writes of the same length.
func (f *Folder) note(event fsnotify.Event) {
	if filepath.Dir(event.Name) == f.dir {
		name, _ := strings.CutSuffix(filepath.Base(event.Name), ".wasm")
		if file := f.files[name]; file != nil && !file.ours {
			file.since, file.taken, file.half = time.Now(), false, false
		}
	}
	f.lookWithin(f.quiet / 4)
}

// noteLoss handles an error of the watcher, such as more notifications than fit into its queue.
func (f *Folder) noteLoss(err error) {
	f.log.Warn("notifications about the plugin folder were lost; looking at all of it", "cause", err)
	f.lookWithin(f.quiet / 4)
}

func (f *Folder) lookWithin(d time.Duration) {
	if at := time.Now().Add(d); at.Before(f.wakeAt) {
		f.wakeAt = at
		f.wake.Reset(d)
	}
}

// watch asks for notifications about all directories of interest. To ask again is cheap, and needed for one that
// was moved away and replaced.
func (f *Folder) watch() {
	if f.watcher == nil {
		return
	}
	dirs := []string{f.dir}
	for _, s := range f.sources {
		dirs = append(dirs, s.paths...)
	}
	for _, dir := range dirs {
		if err := f.watcher.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !f.warned {
			f.log.Warn("no notifications about a directory of the plugin folder; polling it", "dir", dir, "every", f.poll, "cause", err)
			f.warned = true
		}
	}
}
