package rewrite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/rewrite"
)

// corpora are the WebAssembly specification's tests as wazero carries them, each with the features that it needs.
var corpora = []struct {
	name     string
	features api.CoreFeatures
}{
	{"v1", api.CoreFeaturesV1},
	{"v2", api.CoreFeaturesV2},
	{"tail-call", api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall},
	{"extended-const", api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst},
}

// refused are the modules of the corpora that wazero accepts and Rewrite does not.
var refused = map[string]string{
	"binary-leb128.81.wasm": "pads second opcodes",
}

// validated are the modules that wazero refuses and whose rewritten form it accepts.
var validated = map[string]string{
	"ref_func.5.wasm": "takes a reference to its start function, which counts as declared once it is exported",
}

// corpusDir finds the tests in the module cache.
var corpusDir = sync.OnceValue(func() string {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		panic(fmt.Sprintf("find wazero's sources: %v", err))
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest")
})

// TestSpecification runs every script of the specification's tests on the original modules, on rewritten ones that
// rarely yield, and on rewritten ones that yield at every check. All must agree on every bit and every trap.
func TestSpecification(t *testing.T) {
	for _, c := range corpora {
		for _, engine := range []string{"compiler", "interpreter"} {
			if engine == "interpreter" && testing.Short() {
				continue
			}
			t.Run(c.name+"/"+engine, func(t *testing.T) {
				t.Parallel()
				scripts, err := filepath.Glob(filepath.Join(corpusDir(), c.name, "testdata", "*.json"))
				if err != nil || len(scripts) == 0 {
					t.Fatalf("no scripts: %v", err)
				}
				var total tally
				for _, path := range scripts {
					if engine == "interpreter" && strings.HasPrefix(filepath.Base(path), "simd_") {
						continue // straight-line code; the compiler's run covers the rewriting
					}
					if engine == "compiler" && c.name == "v1" && isFile(filepath.Join(corpusDir(), "v2", "testdata", filepath.Base(path))) {
						continue // all that is asserted there is in v2's, too
					}
					runScript(t, path, engine, c.features, &total)
				}
				t.Logf("%d modules, %d calls, %d traps, %d refused as invalid; %d yields", total.modules, total.calls, total.traps,
					total.invalid, total.yields)
				if total.calls == 0 || total.yields == 0 {
					t.Error("nothing was compared")
				}
			})
		}
	}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// maxExhaustions is how many calls of one script may use up the stack. There is one script with more, which uses it up in ten functions that
// differ in how many locals they have; each costs seconds.
const maxExhaustions = 3

// maxYields is how many yields at every check a world makes, until it runs on.
const maxYields = 20_000

type tally struct{ modules, calls, traps, invalid, yields int }

// script is the form into which wast2json brings a test.
type script struct {
	Commands []struct {
		Type, Name, Filename, As string
		Line                     int
		ModuleType               string `json:"module_type"`
		Action                   struct {
			Type, Field, Module string
			Args                []value
		}
	}
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// world is one way to run a script.
type world struct {
	name    string
	runtime wazero.Runtime
	rewrite bool
	named   map[string]api.Module
	last    api.Module
	yields  int
}

func newWorld(t *testing.T, name, engine string, features api.CoreFeatures, budget int64) *world {
	t.Helper()
	config := wazero.NewRuntimeConfigCompiler()
	if engine == "interpreter" {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	ctx := t.Context()
	w := &world{name: name, named: make(map[string]api.Module), rewrite: name != "original"}
	w.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features).WithMemoryLimitPages(65536))
	// Close cannot use the test's context: it is done by then.
	t.Cleanup(func() { w.runtime.Close(context.Background()) })
	spectest, err := os.ReadFile(filepath.Join(corpusDir(), "testdata/spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.runtime.InstantiateWithConfig(ctx, spectest, wazero.NewModuleConfig()); err != nil {
		t.Fatal(err)
	}
	hostYield(t, w.runtime, func(m api.Module) {
		if w.yields++; w.yields%maxYields == 0 { // an endless recursion; enough has been seen
			reductions(m).Set(math.MaxInt64)
			return
		}
		reductions(m).Set(uint64(budget))
	})
	return w
}

// hostYield provides the import of rewritten modules.
func hostYield(t testing.TB, r wazero.Runtime, yield func(m api.Module)) {
	t.Helper()
	_, err := r.NewHostModuleBuilder("rtd").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) { yield(m) }), nil, nil).
		Export("yield").Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

func reductions(m api.Module) api.MutableGlobal {
	return m.ExportedGlobal("rtd:reductions").(api.MutableGlobal)
}

// load instantiates a module, rewritten or not.
func (w *world) load(ctx context.Context, wasm []byte, name string) (api.Module, error) {
	config := wazero.NewModuleConfig().WithName(name)
	if !w.rewrite {
		return w.runtime.InstantiateWithConfig(ctx, wasm, config)
	}
	rewritten, err := rewrite.Rewrite(wasm, rewrite.Options{TakeData: true})
	if err != nil {
		return nil, err
	}
	m, err := w.runtime.InstantiateWithConfig(ctx, rewritten.WASM, config.WithStartFunctions())
	if err != nil {
		return m, err
	}
	for _, d := range rewritten.Data {
		if !m.Memory().Write(d.Offset, d.Bytes) {
			return nil, errors.New("out of bounds memory access")
		}
	}
	if rewritten.Start == "" {
		return m, err
	}
	if _, err := m.ExportedFunction(rewritten.Start).Call(ctx); err != nil {
		m.Close(ctx)
		return nil, err
	}
	return m, nil
}

// outcome is what a command led to, in a form to compare.
func outcome(results []uint64, types []api.ValueType, err error) string {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "error: " + first
	}
	results = slices.Clone(results)
	i := 0
	for _, t := range types {
		switch byte(t) {
		case byte(rewrite.FuncRef): // an address
			results[i] = min(results[i], 1)
		case byte(rewrite.V128):
			i++
		}
		i++
	}
	return fmt.Sprintf("%x", results)
}

func runScript(t *testing.T, path, engine string, features api.CoreFeatures, total *tally) {
	ctx := t.Context()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	worlds := []*world{
		newWorld(t, "original", engine, features, 0),
		newWorld(t, "yielding", engine, features, 0),
	}
	if engine == "compiler" {
		worlds = append(worlds, newWorld(t, "rewritten", engine, features, math.MaxInt64))
	}
	exhaustions := 0
	for i := range s.Commands {
		c := &s.Commands[i]
		if c.Type == "assert_exhaustion" {
			if exhaustions++; exhaustions > maxExhaustions {
				continue
			}
		}
		where := fmt.Sprintf("%s:%d %s", filepath.Base(path), c.Line, c.Type)
		var outcomes []string
		switch c.Type {
		case "module":
			name := ""
			if next := i + 1; next < len(s.Commands) && s.Commands[next].Type == "register" {
				name = s.Commands[next].As
			}
			wasm := readCorpus(t, path, c.Filename)
			total.modules++
			for _, w := range worlds {
				m, err := w.load(ctx, wasm, name)
				if err != nil {
					outcomes = append(outcomes, err.Error())
					continue
				}
				outcomes = append(outcomes, "")
				w.last = m
				if c.Name != "" {
					w.named[c.Name] = m
				}
			}
		case "register":
		case "assert_return", "action", "assert_trap", "assert_exhaustion":
			args := arguments(c.Action.Args)
			for _, w := range worlds {
				m := w.last
				if c.Action.Module != "" {
					m = w.named[c.Action.Module]
				}
				if c.Action.Type == "get" {
					outcomes = append(outcomes, fmt.Sprintf("%x", m.ExportedGlobal(c.Action.Field).Get()))
					continue
				}
				f := m.ExportedFunction(c.Action.Field)
				results, err := f.Call(ctx, args...)
				outcomes = append(outcomes, outcome(results, f.Definition().ResultTypes(), err))
			}
			total.calls++
			if strings.HasPrefix(outcomes[0], "error") {
				total.traps++
			}
		case "assert_malformed", "assert_invalid", "assert_unlinkable", "assert_uninstantiable":
			if c.ModuleType == "text" {
				continue
			}
			total.invalid++
			wasm := readCorpus(t, path, c.Filename)
			for _, w := range worlds {
				_, err := w.load(ctx, wasm, "")
				outcomes = append(outcomes, fmt.Sprintf("refused: %t", err != nil))
			}
			if outcomes[1] != outcomes[0] && validated[c.Filename] != "" {
				continue
			}
		default:
			t.Fatalf("%s: unknown command", where)
		}
		for j, o := range outcomes {
			if o == outcomes[0] {
				continue
			}
			if j > 0 && c.Type == "module" && refused[c.Filename] != "" {
				return
			}
			t.Errorf("%s %s%v:\n%s: %s\n%s: %s", where, c.Action.Field, c.Action.Args, worlds[0].name, outcomes[0], worlds[j].name, o)
		}
	}
	total.yields += worlds[1].yields
}

func readCorpus(t *testing.T, script, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(filepath.Dir(script), name))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// arguments are a call's arguments as wazero takes them.
func arguments(values []value) (args []uint64) {
	for _, v := range values {
		if v.Type != "v128" {
			text, _ := v.Value.(string)
			args = append(args, number(text, v.Type))
			continue
		}
		lanes := v.Value.([]any)
		width := 128 / len(lanes)
		var vector [2]uint64
		for i, lane := range lanes {
			bit := i * width
			vector[bit/64] |= number(lane.(string), v.LaneType) << (bit % 64)
		}
		args = append(args, vector[0], vector[1])
	}
	return args
}

func number(text, typ string) uint64 {
	if text == "null" || text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		var signed int64
		if signed, err = strconv.ParseInt(text, 10, 64); err != nil {
			panic(fmt.Sprintf("number %q of type %s: %v", text, typ, err))
		}
		n = uint64(signed)
		if typ == "i32" {
			n = uint64(uint32(n))
		}
	}
	if typ == "externref" {
		n++ // wazero takes 0 for null
	}
	return n
}
