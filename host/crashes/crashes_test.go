package crashes_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/host/crashes"
	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// The fixture dies in the way that the first byte of a payload says.
const (
	live        = "0"
	unreachable = "1"
	divide      = "3"
	loop        = "5"
)

const patience = time.Minute

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../sandbox/testdata/" + name + ".wasm")
	must(t, err)
	return wasm
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o crashes.Options) *crashes.Collector {
	t.Helper()
	c := crashes.Open(o)
	t.Cleanup(c.Close)
	return c
}

// victim is a plugin whose guests are killed, and whose crashes go to a collector.
type victim struct {
	plugin    *sandbox.Module
	collector *crashes.Collector
}

func newVictim(t testing.TB, c *crashes.Collector, version string) victim {
	t.Helper()
	return newPatientVictim(t, c, version, 100*time.Millisecond)
}

func newPatientVictim(t testing.TB, c *crashes.Collector, version string, deadline time.Duration) victim {
	t.Helper()
	e, err := sandbox.NewEngine(sandbox.Options{Examine: c.Wants})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close(context.Background())) })
	p, err := e.Load(t.Context(), fixture(t, "crash"), sandbox.LoadOptions{
		Name: "crash", Version: version, Limits: sandbox.Limits{Deadline: deadline},
	})
	must(t, err)
	return victim{p, c}
}

// die gives a new guest these messages, the last of which kills it, and reports that.
func (v victim) die(t testing.TB, messages ...*abi.Event) {
	t.Helper()
	if err := v.crash(messages...); err != nil {
		t.Fatal(err)
	}
}

func (v victim) crash(messages ...*abi.Event) error {
	i, err := v.plugin.Start("room:1", nil)
	if err != nil {
		return err
	}
	defer i.Close()
	for n, m := range messages {
		_, err = i.Handle(m)
		if last := n == len(messages)-1; last != (err != nil) {
			return fmt.Errorf("message %d of %d: %w", n, len(messages), err)
		}
	}
	v.collector.Add(crashes.Crash{
		Plugin: "crash", Version: v.plugin.Version(), Topic: "room:1", Event: messages[len(messages)-1].Name,
		Reason: fmt.Errorf("wrapped: %w", err), Then: "restarts", Restarts: 2,
	})
	return nil
}

func message(name, payload string) *abi.Event {
	return &abi.Event{Kind: abi.EventMessage, Flags: abi.WantsReply, Name: name, Payload: []byte(payload)}
}

// wantReports waits until the folder has n reports that satisfy holds.
func wantReports(t testing.TB, dir string, n int, holds func(*crashes.Report) bool) []*crashes.Report {
	t.Helper()
	var all []*crashes.Report
	eventually(t, fmt.Sprint(n, " good reports"), func() bool {
		var err error
		all, err = crashes.List(dir)
		must(t, err)
		return len(all) == n && (holds == nil || !slices.ContainsFunc(all, func(r *crashes.Report) bool { return !holds(r) }))
	})
	return all
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func TestOneReportForManyCrashes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "crashes")
	c := open(t, crashes.Options{Dir: dir})
	v := newVictim(t, c, "v7")
	v.die(t, message("hello", live), message("die", unreachable+" secret"))
	for range 99 {
		v.die(t, message("die", unreachable+"…"))
	}
	found := wantReports(t, dir, 1, func(r *crashes.Report) bool { return r.Count == 100 })[0]
	if stats := c.Stats(); stats != (crashes.Stats{Crashes: 100, Reports: 1}) {
		t.Errorf("stats %+v", stats)
	}

	r, err := crashes.Read(dir, found.ID[:4])
	must(t, err)
	if r.Plugin != "crash" || r.Version != "v7" || r.Topic != "room:1" || r.Event != "die" || r.Trap != "trap" ||
		!strings.Contains(r.Cause, "unreachable") || r.Then != "restarts" || r.Restarts != 2 || len(r.Stack) != 3 || r.Stack[0] != "unreachable" {
		t.Errorf("report %+v", r)
	}
	if r.First.After(r.Last) || time.Since(r.First) > time.Minute {
		t.Errorf("first %v, last %v", r.First, r.Last)
	}
	if !r.Whole || len(r.Events) != 2 || r.Events[0].Name != "hello" || string(r.Events[1].Payload) != "1 secret" {
		t.Errorf("events %+v, whole %v", r.Events, r.Whole)
	}
	wantMemory(t, dir, r)
	wantModes(t, dir)
}

func wantMemory(t *testing.T, dir string, r *crashes.Report) {
	t.Helper()
	if r.Memory == nil || r.Memory.Size != 128<<10 || r.Memory.Bytes != r.Memory.Size {
		t.Fatalf("memory %+v", r.Memory)
	}
	f, err := os.Open(filepath.Join(dir, r.Memory.File))
	must(t, err)
	defer f.Close()
	packed, err := gzip.NewReader(f)
	must(t, err)
	memory, err := io.ReadAll(packed)
	must(t, err)
	if len(memory) != r.Memory.Bytes || !bytes.Contains(memory, []byte("on purpose")) || !bytes.Contains(memory, []byte("1 secret")) {
		t.Errorf("%d bytes of memory that are not the guest's", len(memory))
	}
}

// Only their owner may read them.
func wantModes(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
}

// What differs is told apart; what differs by chance is not.
func TestKindsOfCrashes(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir})
	v := newVictim(t, c, "v1")
	for range 2 {
		v.die(t, message("die", unreachable))
		v.die(t, message("die", divide))
		v.die(t, message("fall", divide))
		v.die(t, message("die", loop))
		c.Add(crashes.Crash{Plugin: "crash", Version: "v1", Topic: "a", Event: "x", Reason: errors.New("not JSON"), Then: "ends"})
	}
	newVictim(t, c, "v2").die(t, message("die", divide))
	wantReports(t, dir, 6, func(r *crashes.Report) bool { return r.Count == 2 || r.Version == "v2" })
}

// A client that crashes handlers under many names does not fill the folder.
func TestNamesOfClientsAreBounded(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir, Rate: 1000})
	v := newVictim(t, c, "v1")
	for n := range 50 {
		v.die(t, message(fmt.Sprint("event ", n), divide))
	}
	sum := int64(0)
	wantReports(t, dir, 9, nil)
	c.Close()
	all, err := crashes.List(dir)
	must(t, err)
	for _, r := range all {
		sum += r.Count
	}
	if sum != 50 {
		t.Errorf("%d crashes in all reports, want 50", sum)
	}
}

func TestOldReportsMakeRoom(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir, Max: 3})
	for n := range 6 {
		version := fmt.Sprint("v", n)
		newVictim(t, c, version).die(t, message("die", divide))
		eventually(t, "report of "+version, func() bool {
			all, err := crashes.List(dir)
			must(t, err)
			return len(all) == min(n+1, 3) && all[0].Version == version
		})
	}
	c.Close()
	if files, _ := os.ReadDir(dir); len(files) != 6 {
		t.Errorf("%d files for 3 reports with memories: %v", len(files), files)
	}
}

func TestBytesAreBounded(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir, MaxBytes: 1500})
	newVictim(t, c, "v1").die(t, message("die", unreachable+strings.Repeat("x", 1000)))
	newVictim(t, c, "v2").die(t, message("die", divide))
	all := wantReports(t, dir, 1, func(r *crashes.Report) bool { return r.Version == "v2" })
	if size := folderSize(t, dir); size > 1500 {
		t.Errorf("%d bytes; memory %+v", size, all[0].Memory)
	}
}

func folderSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		size += info.Size()
	}
	return size
}

func TestRateIsBounded(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir, Rate: 2})
	for n := range 5 {
		newVictim(t, c, fmt.Sprint("v", n)).die(t, message("die", divide))
	}
	wantReports(t, dir, 2, nil)
	if stats := c.Stats(); stats.Reports != 2 || stats.Unreported != 3 {
		t.Errorf("stats %+v", stats)
	}
}

// A server that starts again goes on counting in the same files.
func TestReportsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		c := open(t, crashes.Options{Dir: dir})
		newVictim(t, c, "v1").die(t, message("die", divide))
		c.Close()
	}
	wantReports(t, dir, 1, func(r *crashes.Report) bool { return r.Count == 3 })
}

// A report that somebody deletes is written anew by the next crash of its kind but one.
func TestDeletedReportComesBack(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir})
	v := newVictim(t, c, "v1")
	v.die(t, message("die", divide))
	r := wantReports(t, dir, 1, nil)[0]
	must(t, os.Remove(filepath.Join(dir, r.ID+".json")))
	eventually(t, "new report", func() bool {
		v.die(t, message("die", divide))
		all, err := crashes.List(dir)
		must(t, err)
		return len(all) == 1
	})
}

func TestWithheldPayloads(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir, Withhold: true})
	v := newVictim(t, c, "v1")
	v.die(t, message("hello", live+"SECRET"), message("die", unreachable+"SECRET"))
	r := wantReports(t, dir, 1, nil)[0]
	r, err := crashes.Read(dir, r.ID)
	must(t, err)
	if len(r.Events) != 2 || r.Events[1].Name != "die" || r.Memory != nil || !r.Withheld {
		t.Errorf("report %+v", r)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		must(t, err)
		if bytes.Contains(text, []byte("SECRET")) || filepath.Ext(f.Name()) == ".gz" {
			t.Errorf("%s says too much", f.Name())
		}
	}
	if _, err := r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "crash")}); err == nil || !strings.Contains(err.Error(), "payloads = true") {
		t.Errorf("replay: %v", err)
	}
}

// A folder that cannot be written to costs a line in the log, and no crash waits for it.
func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	c := open(t, crashes.Options{Dir: file})
	newVictim(t, c, "v0").die(t, message("die", divide))
	c.Close()
	if stats := c.Stats(); stats.Unreported != 1 {
		t.Errorf("a file is taken for a folder: %+v", stats)
	}
	dir := filepath.Join(t.TempDir(), "crashes")
	c = open(t, crashes.Options{Dir: dir})
	must(t, os.WriteFile(dir, nil, 0o600))
	newVictim(t, c, "v1").die(t, message("die", divide))
	c.Close()
	if stats := c.Stats(); stats.Unreported != 1 {
		t.Errorf("stats %+v", stats)
	}
}

// Files that are no reports are set aside, whatever they are, with a warning each; the
// good ones are gone on with.
func TestBadReportsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir})
	newVictim(t, c, "v1").die(t, message("die", divide))
	c.Close()
	good := wantReports(t, dir, 1, func(*crashes.Report) bool { return true })[0]
	text, err := os.ReadFile(filepath.Join(dir, good.ID+".json"))
	must(t, err)
	for id, content := range map[string]string{
		"0000000001": "", "0000000002": string(text[:len(text)/2]), "0000000003": "[]", "0000000004": `{"plugin":""}`,
		"0000000005": `{"plugin":7}`, "0000000006": strings.Repeat(" ", 5<<20), "0000000007": "null",
	} {
		must(t, os.WriteFile(filepath.Join(dir, id+".json"), []byte(content), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "0000000008.json"), 0o700))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "0000000009.json")))
	must(t, os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half"), 0o600))
	old := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(filepath.Join(dir, ".new-123"), old, old))

	var log bytes.Buffer
	c = open(t, crashes.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if n := strings.Count(log.String(), "was set aside"); n != 8 {
		t.Errorf("%d warnings, want 8:\n%s", n, &log)
	}
	newVictim(t, c, "v1").die(t, message("die", divide))
	c.Close()
	wantReports(t, dir, 1, func(r *crashes.Report) bool { return r.ID == good.ID && r.Count == 2 })
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".bad", ".gz":
		case ".json":
			if e.Name() != good.ID+".json" && e.Name() != "0000000009.json" {
				t.Errorf("%s is left", e.Name())
			}
		default:
			t.Errorf("%s is left", e.Name())
		}
	}
}

// BenchmarkKnownCrash is what a crash costs that is of a kind with a report: all of it,
// for the tiniest guest.
func BenchmarkKnownCrash(b *testing.B) {
	v := newVictim(b, open(b, crashes.Options{Dir: b.TempDir()}), "v1")
	m := message("die", divide)
	v.die(b, m)
	b.ReportAllocs()
	for b.Loop() {
		v.die(b, m)
	}
}

func BenchmarkWants(b *testing.B) {
	c := open(b, crashes.Options{Dir: b.TempDir()})
	trap := &sandbox.Trap{
		Kind: sandbox.KindTrap, Plugin: "chat", Version: "0123456789ab", Event: abi.EventMessage, Name: "new_message",
		Stack: slices.Repeat([]string{"main.(*Room).HandleIn"}, 10),
	}
	c.Wants(trap)
	b.ReportAllocs()
	for b.Loop() {
		if c.Wants(trap) {
			b.Fatal("wanted twice")
		}
	}
}
