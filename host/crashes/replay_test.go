package crashes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/crashes"
	"rtd/sandbox/abi"
)

// reported lets a guest die and returns the report.
func reported(t *testing.T, deadline time.Duration, messages ...*abi.Event) *crashes.Report {
	t.Helper()
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir})
	newPatientVictim(t, c, crashes.VersionOf(fixture(t, "crash")), deadline).die(t, messages...)
	c.Close()
	r, err := crashes.Read(dir, wantReports(t, dir, 1, nil)[0].ID)
	must(t, err)
	return r
}

func TestReplayReproduces(t *testing.T) {
	for name, way := range map[string]string{"trap": divide, "deadline": loop, "stack": "6", "memory": "7", "protocol": "9", "exit": ":", "abort": ";"} {
		t.Run(name, func(t *testing.T) {
			deadline := patience
			if name == "deadline" {
				deadline = 100 * time.Millisecond
			}
			r := reported(t, deadline, message("hello", live), message("die", way))
			o, err := r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "crash"), Deadline: deadline})
			must(t, err)
			if o.Trap == nil || !o.Same || o.Version != r.Version || len(o.Doubts) != 0 {
				t.Errorf("outcome %+v: %v; stacks %q and %q", o, o.Trap, o.Trap.Stack, r.Stack)
			}
			if len(o.Steps) != 2 || len(o.Steps[0].Effects) != 1 || o.Steps[0].Effects[0].Name != "ok" || o.Steps[1].Trap != o.Trap {
				t.Errorf("steps %+v", o.Steps)
			}
		})
	}
}

// Another version: one that is fixed, and one that dies in another way, or before.
func TestReplayOfAnotherVersion(t *testing.T) {
	r := reported(t, patience, message("hello", live), message("die", divide))
	o, err := r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "echo")})
	must(t, err)
	if o.Trap != nil || o.Same || o.Version == r.Version || len(o.Steps) != 2 {
		t.Errorf("the fixed one: %+v", o)
	}

	r.Stack[0] = "elsewhere"
	o, err = r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "crash"), Deadline: patience})
	must(t, err)
	if o.Trap == nil || o.Same {
		t.Errorf("died elsewhere: %+v", o)
	}

	r = reported(t, patience, message("hello", live), message("die", divide))
	r.Events[0].Payload = crashes.Bytes(divide)
	o, err = r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "crash"), Deadline: patience})
	must(t, err)
	if o.Trap == nil || o.Same || len(o.Steps) != 1 {
		t.Errorf("died before: %+v", o)
	}

	if _, err := r.Replay(t.Context(), crashes.Setting{WASM: []byte("no module")}); err == nil {
		t.Error("what is no module was run")
	}
}

// The opening comes first if there were more events than are known.
func TestReplayBeginsWithTheOpening(t *testing.T) {
	r := &crashes.Report{
		ID: "0", Plugin: "echo", Topic: "echo:1",
		Opening: &crashes.Event{Kind: "join", Name: "echo:1", Payload: crashes.Bytes("{}")},
		Events:  []crashes.Event{{Kind: "message", Name: "a", Payload: crashes.Bytes("\xff\x00"), Cut: true}},
	}
	o, err := r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "echo")})
	must(t, err)
	if len(o.Steps) != 2 || o.Steps[0].Event.Kind != abi.EventJoin || string(o.Steps[1].Effects[0].Payload) != "\xff\x00" || len(o.Doubts) != 2 {
		t.Errorf("outcome %+v", o)
	}
	r.Events[0].Kind = "handstand"
	if _, err := r.Replay(t.Context(), crashes.Setting{WASM: fixture(t, "echo")}); err == nil || !strings.Contains(err.Error(), "handstand") {
		t.Errorf("unknown kind: %v", err)
	}
}

// What is printed cannot steer a terminal, also if somebody made the file.
func TestReportsAreSafeToPrint(t *testing.T) {
	r := reported(t, patience, message("die", unreachable+"\x1b[2J"))
	r.Topic, r.Cause, r.Log = "room:\x1b]0;x\a", "a\nb", []string{"\x1b[31m"}
	var b bytes.Buffer
	must(t, r.Write(&b))
	must(t, crashes.WriteList(&b, []*crashes.Report{r}))
	if text := b.String(); strings.ContainsAny(text, "\x1b\a") || !strings.Contains(text, "a·b") || !strings.Contains(text, "unreachable") {
		t.Errorf("it prints %q", text)
	}
}

func TestFilesThatAreNoReports(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"abc.json": "{", "abd.json": "{}", "abe.json": `{"plugin":"p","events":[{"payload":7}]}`, "readme.txt": ""} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	all, err := crashes.List(dir)
	if len(all) != 0 || err == nil || strings.Count(err.Error(), "read crash report") != 3 {
		t.Errorf("%d reports, %v", len(all), err)
	}
	for _, id := range []string{"", "../abc", "ffff", "ab"} {
		if r, err := crashes.Read(dir, id); err == nil {
			t.Errorf("id %q: %+v", id, r)
		}
	}
}

// Crashes come from many goroutines.
func TestCrashesAtOnce(t *testing.T) {
	dir := t.TempDir()
	c := open(t, crashes.Options{Dir: dir})
	v := newVictim(t, c, "v1")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if err := v.crash(message("die", divide)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c.Close()
	wantReports(t, dir, 1, func(r *crashes.Report) bool { return r.Count == 200 })
}
