package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// laterProcess is the variable of the environment that makes the test binary another process,
// which does what it finds on its standard input.
const laterProcess = "RTD_SANDBOX_TEST_LATER"

// visit is what another process is to do: load a module, go on with states, and have each handle events.
type visit struct {
	WASM   []byte
	Shelf  sandboxtest.Shelf
	Config []byte
	States [][]byte
	Events []abi.Event // none: what cannot be resumed is told all the same
}

// visited is what it has seen.
type visited struct {
	Error    string
	Snapshot string
	Kept     bool
	Log      string
	Replies  [][][]byte // as of say, by state, then by event; no text, for JSON
	Errors   []string   // of resuming or handling, by state
	States   [][]byte   // after the events
}

// visit has another process of the operating system do v.
func (v visit) visit(t *testing.T) (seen visited) {
	t.Helper()
	order, err := json.Marshal(v)
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), laterProcess+"=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(order), os.Stderr
	text, err := cmd.Output()
	must(t, err)
	must(t, json.Unmarshal(text, &seen))
	if seen.Error != "" {
		t.Fatal(seen.Error)
	}
	return seen
}

func later(in io.Reader, out io.Writer) int {
	var v visit
	seen := &visited{}
	if err := json.NewDecoder(in).Decode(&v); err != nil {
		seen.Error = err.Error()
	} else if err := v.do(seen); err != nil {
		seen.Error = err.Error()
	}
	if json.NewEncoder(out).Encode(seen) != nil {
		return 1
	}
	return 0
}

func (v visit) do(seen *visited) (err error) {
	e, err := sandbox.NewEngine(sandbox.Options{CacheDir: sandboxtest.CacheDir()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.Background())) }()
	log, text := logged()
	p, err := e.Load(context.Background(), v.WASM, sandbox.LoadOptions{
		Name: "actor", Version: "v1", Config: v.Config, Snapshots: v.Shelf, Log: log, Limits: patient,
	})
	if err != nil {
		return err
	}
	defer p.Close()
	seen.Snapshot, seen.Kept = p.Snapshot()
	for _, state := range v.States {
		var replies [][]byte
		said, state, err := v.goOn(p, state)
		for _, s := range said {
			replies = append(replies, []byte(s))
		}
		seen.Replies, seen.States = append(seen.Replies, replies), append(seen.States, state)
		seen.Errors = append(seen.Errors, fmt.Sprint(err))
	}
	seen.Log = text()
	return nil
}

func (v visit) goOn(p *sandbox.Module, state []byte) (replies []string, after []byte, err error) {
	i, err := p.Resume("actor:1", nil, state)
	if err != nil {
		return nil, nil, err
	}
	defer i.Close()
	for _, e := range v.Events {
		effects, err := i.Handle(&e)
		if err != nil {
			return replies, nil, err
		}
		replies = append(replies, say(effects)...)
	}
	after, err = i.State(nil)
	return replies, after, err
}
