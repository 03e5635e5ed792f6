package suite_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// bare is a guest without a server around it: what it asks for is noted, and nothing
// comes of it. It is for events of which the server decides when they come.
type bare struct {
	t      *testing.T
	module api.Module
	asked  []string
}

// newBare instantiates the plugin suite, which has started.
func newBare(t *testing.T, language string) *bare {
	t.Helper()
	ctx := context.Background()
	compiled, err := wazero.NewCompilationCacheWithDir(sandboxtest.CacheDir())
	must(t, err)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled))
	t.Cleanup(func() { r.Close(ctx); compiled.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	b := &bare{t: t}
	_, err = r.NewHostModuleBuilder(abi.Module).NewFunctionBuilder().WithFunc(b.op).Export(abi.ImportOp).Instantiate(ctx)
	must(t, err)
	b.module, err = r.InstantiateWithConfig(ctx, suiteGuest(t, language), wazero.NewModuleConfig().WithStartFunctions(abi.ExportInitialize))
	must(t, err)
	b.event(abi.Event{Kind: abi.EventStart, Name: "suite", Payload: []byte("{}")})
	if !slices.Contains(b.asked, "wants export") {
		t.Errorf("it does not want export: %q", b.asked)
	}
	b.asked = nil
	return b
}

func (b *bare) op(_ context.Context, m api.Module, at, size, out, room uint32) int32 {
	record, ok := m.Memory().Read(at, size)
	e, err := abi.ParseEffect(slices.Clone(record))
	if !ok || err != nil {
		return int32(abi.CodeMalformed)
	}
	if e.Kind == abi.OpAbort {
		b.t.Fatalf("it crashed: %s", e.Payload)
	}
	kind := fmt.Sprint(e.Kind)
	if e.Kind == abi.EffectState && e.Flags&abi.Replay != 0 {
		kind = "no state"
	}
	b.asked = append(b.asked, strings.Join(strings.Fields(fmt.Sprint(kind, " ", e.Name, " ", string(e.Payload), " ", e.Detail)), " "))
	return 0
}

func (b *bare) event(e abi.Event) {
	b.t.Helper()
	record := abi.AppendEvent(nil, &e)
	at, err := b.module.ExportedFunction(abi.ExportInbox).Call(b.t.Context(), uint64(len(record)))
	must(b.t, err)
	if !b.module.Memory().Write(uint32(at[0]), record) {
		b.t.Fatalf("the inbox at %d is outside of memory", at[0])
	}
	code, err := b.module.ExportedFunction(abi.ExportHandle).Call(b.t.Context(), uint64(len(record)))
	must(b.t, err)
	if uint32(code[0]) != 0 {
		b.t.Fatalf("handle returns %d for %v", code[0], e.Kind)
	}
}

// asksFor checks what was asked for since the last time; a * stands for anything.
func (b *bare) asksFor(want ...string) {
	b.t.Helper()
	if !slices.EqualFunc(b.asked, want, matches) {
		b.t.Errorf("asked for\n%s\nwant\n%s", strings.Join(b.asked, "\n"), strings.Join(want, "\n"))
	}
	b.asked = nil
}

func fields(texts ...string) (list []byte) {
	for _, text := range texts {
		list = abi.AppendField(list, text)
	}
	return list
}

func message(event, member string) abi.Event {
	return abi.Event{Kind: abi.EventMessage, Flags: abi.WantsReply, Name: event, Payload: []byte("{}"), Detail: member}
}

// TestMigration hands the state of one instance to another, of every kind of process.
func TestMigration(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			export := func(b *bare, of, want string) {
				t.Helper()
				b.event(abi.Event{Kind: abi.EventExport, Name: of})
				b.asksFor(want)
			}
			imported := func(of, schema, state string, list ...string) *bare {
				t.Helper()
				b := newBare(t, language)
				b.event(abi.Event{Kind: abi.EventImport, Name: of, Payload: []byte(state), Detail: schema, Extra: string(fields(list...))})
				if slices.Equal(b.asked, []string{"reply ok"}) { // which is the same as none
					b.asked = nil
				}
				return b
			}

			// A channel of one client: join is not called, but what it would be told is known.
			old := newBare(t, language)
			old.event(abi.Event{Kind: abi.EventJoin, Name: "suite:1", Payload: []byte("{}")})
			old.event(message("quiet", ""))
			old.event(message("quiet", ""))
			old.asked = nil
			export(old, "suite:1", "state 1 2*")
			b := imported("suite:1", "1", "2", "", `{"record":"Ada"}`, `{"user":"ada"}`)
			b.asksFor()
			b.event(message("count", ""))
			b.event(message("assigns", ""))
			b.asksFor(`reply ok {"count":3}`, `reply ok {"user":"ada"}`)
			b.event(message("socket", ""))
			if got := strings.Join(b.asked, " "); !strings.Contains(got, `"topic":"suite:1"`) || !strings.Contains(got, `"replay":true`) {
				t.Errorf("socket: %s", got)
			}

			// A topic with its members, in their order.
			b = imported("shared:1", "1", "3,Ada,Grace", "7", "{}", "", "4", "{}", `{"user":"grace"}`)
			b.asksFor()
			b.event(message("total", "7"))
			b.event(message("names", "4"))
			b.event(message("assigns", "4"))
			b.asksFor(`reply ok {"total":4}`, `reply ok {"names":["Ada","Grace"]}`, `reply ok {"user":"grace"}`)
			export(b, "shared:1", "state 1 4,Ada,Grace*")
			b.event(abi.Event{Kind: abi.EventLeave, Name: "shared:1", Detail: "7"})
			b.asked = nil
			export(b, "shared:1", "state 1 4,Grace*")

			// A process of the plugin's own.
			b = imported("server", "1", "5 one two", "#12", "one two")
			b.asksFor()
			b.event(abi.Event{Kind: abi.EventCall, Name: "1.1", Payload: []byte("args")})
			b.event(abi.Event{Kind: abi.EventCall, Name: "1.2", Payload: []byte("count")})
			b.asksFor("answer 1.1 one two", "answer 1.2 7")
			export(b, "server", "state 1 7 one two*")

			// A handler of an event manager: with a state, and without one.
			b = imported("archive", "1", "books a,b", "#13", "books")
			b.asksFor()
			b.event(abi.Event{Kind: abi.EventCast, Payload: []byte("c")})
			export(b, "archive", "state 1 books a,b,c*")
			b = newBare(t, language)
			b.event(abi.Event{Kind: abi.EventInit, Flags: abi.Replay, Name: "listener", Payload: []byte("keeper"), Detail: "#14"})
			b.asksFor("cast recorder listening keeper")
			export(b, "listener", "no state")
		})
	}
}

// A process whose module this version does without ends if it has no state, and else stays where it was.
func TestMigrationWithoutModule(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := newBare(t, language)
			b.event(abi.Event{Kind: abi.EventInit, Flags: abi.Replay, Name: "gone", Detail: "#12"})
			b.asksFor("stop shutdown no module gone")
			b = newBare(t, language)
			b.event(abi.Event{Kind: abi.EventImport, Name: "gone", Payload: []byte("2"), Detail: "1", Extra: string(fields("#12", ""))})
			b.asksFor(`reply error {"reason":"no module gone"}`)
		})
	}
}

// A state that the new version cannot read is refused: by a reply or by a crash.
func TestMigrationIsRefused(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := newBare(t, language)
			b.event(abi.Event{Kind: abi.EventImport, Name: "suite:1", Payload: []byte("2"), Detail: "99", Extra: string(fields("", "{}", ""))})
			if len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], "reply ") || !strings.Contains(b.asked[0], "cannot read schema 99") {
				t.Errorf("asked for %q", b.asked)
			}
		})
	}
}
