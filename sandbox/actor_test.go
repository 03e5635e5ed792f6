package sandbox_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// The actor of testdata/actor, in every language that it is written in.
var languages = []string{"c", "rust", "as", "go"}

func actorGuest(t testing.TB, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "./testdata/actor/go")
	}
	wasm, err := os.ReadFile("testdata/actor/" + language + "/actor.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// say lists effects in words.
func say(effects []abi.Effect) []string {
	all := []string{}
	for _, e := range effects {
		all = append(all, fmt.Sprintf("%v %s %s", e.Kind, e.Name, e.Payload))
	}
	return all
}

// actor starts an instance and has it join.
func actor(t testing.TB, p *sandbox.Module) *sandbox.Instance {
	t.Helper()
	i := start(t, p)
	if _, err := i.Handle(&abi.Event{Kind: abi.EventJoin, Name: "actor:1", Payload: []byte(`{"name":"Ada"}`)}); err != nil {
		t.Fatal(err)
	}
	i.Release()
	return i
}

// step is one of testdata/actor/script.json.
type step struct {
	Kind          abi.Kind
	Name, Payload string
	Hex           string            // of the payload, where it is no text
	Want          []string          // as of say
	Match         string            // instead of Want: a pattern
	Trap          sandbox.TrapKind  // instead of Want
	TrapIn        map[string]string `json:"trap_in"` // by language, where it differs
	Cause         string
}

func TestActorInEveryLanguage(t *testing.T) {
	var script []step
	data, err := os.ReadFile("testdata/actor/script.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &script); err != nil {
		t.Fatal(err)
	}
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel() // it waits for deadlines
			// One slot: whoever follows a dead actor has its place. A loop takes all of the deadline, of the processor.
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 1, Deadline: time.Second}})
			i := start(t, p)
			for n, step := range script {
				if died := step.run(t, n, language, i); died {
					i = start(t, p)
				}
			}
		})
	}
}

// run reports whether the actor died, as it should.
func (s step) run(t *testing.T, n int, language string, i *sandbox.Instance) (died bool) {
	t.Helper()
	payload := []byte(s.Payload)
	if s.Hex != "" {
		payload, _ = hex.DecodeString(s.Hex)
	}
	effects, err := i.Handle(&abi.Event{Kind: s.Kind, Flags: abi.WantsReply, Name: s.Name, Payload: payload})
	if s.Trap != "" {
		kind := s.Trap
		if other := s.TrapIn[language]; other != "" {
			kind = sandbox.TrapKind(other)
		}
		wantTrap(t, err, kind, s.Cause)
		return true
	}
	if err != nil {
		t.Fatalf("step %d, %s %s: %v", n, s.Name, payload, err)
	}
	got := say(effects)
	if s.Match != "" {
		if !regexp.MustCompile(s.Match).MatchString(strings.Join(got, "\n")) {
			t.Fatalf("step %d, %s: got %q, want a match of %s", n, s.Name, got, s.Match)
		}
	} else if !slices.Equal(got, s.Want) {
		t.Fatalf("step %d, %s %s:\n got %q\nwant %q", n, s.Name, payload, got, s.Want)
	}
	return false
}

// Many actors that take turns in few slots are, reply by reply and bit by bit,
// what they would be in a slot of their own.
func TestTurnsDoNotShow(t *testing.T) {
	const actors, events = 24, 1500
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			wasm := actorGuest(t, language)
			many := load(t, wasm, sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 3}})
			own := load(t, wasm, sandbox.LoadOptions{Limits: sandbox.Limits{Slots: actors}})
			if language != "go" { // whose memory has the time in it
				many.NeverCompact()
				own.NeverCompact()
			}
			var turns, alone []*sandbox.Instance
			for range actors {
				turns, alone = append(turns, actor(t, many)), append(alone, actor(t, own))
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range events {
				n := r.IntN(actors)
				e := randomEvent(r, n)
				got, err1 := turns[n].Handle(e)
				want, err2 := alone[n].Handle(e)
				if (err1 == nil) != (err2 == nil) || !slices.Equal(say(got), say(want)) {
					t.Fatalf("%s %s: %q, %v; alone %q, %v", e.Name, e.Payload, say(got), err1, say(want), err2)
				}
				if err1 != nil { // dead, both; another life
					turns[n].Close()
					alone[n].Close()
					turns[n], alone[n] = actor(t, many), actor(t, own)
				}
			}
			for n := range actors {
				got, gotGlobals, err := turns[n].Memory()
				if err != nil {
					t.Fatal(err)
				}
				want, wantGlobals, err := alone[n].Memory()
				if err != nil {
					t.Fatal(err)
				}
				if language != "go" && (!bytes.Equal(got, want) || !slices.Equal(gotGlobals, wantGlobals)) {
					t.Fatalf("actor %d differs in memory or globals", n)
				}
			}
			if s := many.Stats(); s.Slots > 3 {
				t.Errorf("%d slots, want 3", s.Slots)
			}
		})
	}
}

func randomEvent(r *rand.Rand, actor int) *abi.Event {
	e := &abi.Event{Kind: abi.EventMessage, Flags: abi.WantsReply, Name: "say"}
	switch r.IntN(20) {
	case 0:
		e.Kind, e.Name, e.Payload = abi.EventJoin, "actor:1", fmt.Appendf(nil, `{"name":"number %d"}`, actor)
	case 1, 2, 3:
		e.Name = "last"
	case 4:
		e.Name, e.Payload = "work", []byte(`{"n":3}`)
	case 5:
		e.Payload = []byte(`{"body":`) // malformed: an abort
	case 6:
		e.Name = "crash"
	default:
		e.Payload = fmt.Appendf(nil, `{"body":"%s %d","extra":[%d,{"a":null}]}`, strings.Repeat("m", r.IntN(50)), r.Int32(), r.Int32())
	}
	return e
}

// What one actor has written is nowhere in the slots once others are in there.
func TestSecretsStayPrivate(t *testing.T) {
	const secret = "correct horse battery staple"
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 2}})
			keeper, dead := actor(t, p), actor(t, p)
			for _, i := range []*sandbox.Instance{keeper, dead} {
				if _, err := i.Handle(message("say", `{"body":"`+secret+`"}`)); err != nil {
					t.Fatal(err)
				}
				i.Release()
			}
			if _, err := dead.Handle(message("crash", "{}")); err == nil {
				t.Fatal("survived")
			}
			others := []*sandbox.Instance{actor(t, p), actor(t, p)}
			for n := range 8 { // in turns, so that they stay
				if _, err := others[n%2].Handle(message("say", `{"body":"x"}`)); err != nil {
					t.Fatal(err)
				}
			}
			if resting, size := keeper.AtRest(); !resting || size == 0 {
				t.Fatal("the keeper is still in a slot")
			}
			for _, memory := range p.Everything() {
				if bytes.Contains(memory, []byte("horse battery")) {
					t.Error("a slot remembers")
				}
			}
			effects, err := keeper.Handle(message("last", ""))
			if err != nil || !strings.Contains(say(effects)[0], secret) {
				t.Errorf("the keeper forgot: %q, %v", say(effects), err)
			}
		})
	}
}

// Actors begin with one snapshot, but not with one future.
func TestRandomNumbersDiffer(t *testing.T) {
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{})
			seen := map[string]bool{}
			for range 20 {
				i := actor(t, p)
				effects, err := i.Handle(message("random", ""))
				if err != nil {
					t.Fatal(err)
				}
				seen[say(effects)[0]] = true
			}
			if len(seen) != 20 {
				t.Errorf("%d sequences of 20 actors", len(seen))
			}
		})
	}
}

// The garbage of a guest that has a collector does not pile up in its idle state.
func TestIdleStateStaysSmall(t *testing.T) {
	for language, limit := range map[string]int{"c": 1 << 10, "rust": 2 << 10, "as": 8 << 10, "go": 16 << 10} {
		t.Run(language, func(t *testing.T) {
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 1}})
			i, other := actor(t, p), actor(t, p)
			largest := 0
			for n := range 2000 {
				if _, err := i.Handle(message("say", fmt.Sprintf(`{"body":"hello %d"}`, n))); err != nil {
					t.Fatal(err)
				}
				if _, err := other.Handle(message("last", "")); err != nil {
					t.Fatal(err)
				}
				_, size := i.AtRest()
				largest = max(largest, size)
			}
			if largest > limit {
				t.Errorf("up to %d bytes, want at most %d", largest, limit)
			}
			t.Logf("up to %d bytes at rest", largest)
		})
	}
}

func TestActorsInParallel(t *testing.T) {
	p := load(t, actorGuest(t, "c"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 4}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var mine []*sandbox.Instance
			for range 20 {
				i, err := p.Start("actor:1", nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer i.Close()
				if _, err := i.Handle(&abi.Event{Kind: abi.EventJoin, Name: "actor:1", Payload: []byte(`{}`)}); err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, i)
			}
			for n := range 2000 {
				i := mine[n*7%len(mine)]
				effects, err := i.Handle(message("say", `{"body":"x"}`))
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf(`"count":%d,`, n/len(mine)+1)
				if !strings.Contains(string(effects[0].Payload), want) {
					t.Errorf("reply %s, want %s", effects[0].Payload, want)
					return
				}
				i.Release()
			}
		})
	}
	all.Wait()
}
