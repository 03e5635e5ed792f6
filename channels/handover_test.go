package channels_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// mover is a guest that moves, or is moved to.
type mover struct {
	channels.Guest
	name  string
	holds string
	seen  []string
	ended error
}

func (g *mover) Adopt(other channels.Guest) {
	from := other.(*mover)
	g.holds, from.holds = from.holds, ""
}

func (g *mover) Close(reason error) { g.ended = reason }

// answer is what a guest does with export or import.
type answer struct {
	effects []abi.Effect
	err     error
}

// TestHandover has every outcome of a move, as it is for processes that may begin anew or
// not, with the wish to keep and without.
func TestHandover(t *testing.T) {
	state := []abi.Effect{{Kind: abi.EffectState, Name: "2", Payload: []byte("the state")}}
	crash, tooLarge := errors.New("trap"), fmt.Errorf("inbox: %w", channels.ErrTooLarge)
	ended := fmt.Errorf("waits: %w", supervisor.Shutdown)
	const migrated, replayed, stayed, unmoved = channels.Migrated, channels.Replayed, channels.Stayed, channels.Unmoved
	// what becomes of it: as it is; with Keep; without Again; with Keep and without Again
	type outcomes [4]channels.Renewal
	anew := outcomes{replayed, stayed, stayed, stayed}
	for name, test := range map[string]struct {
		from, to         string // versions
		export, imported answer
		start            error
		want             outcomes
		lost             string
		imports          bool // the new guest got the state
	}{
		"taken over":            {export: answer{effects: state}, want: outcomes{migrated, migrated, migrated, migrated}, imports: true},
		"accepted by reply":     {export: answer{effects: state}, imported: answer{effects: reply("ok", "")}, want: outcomes{migrated, migrated, migrated, migrated}, imports: true},
		"old does not export":   {from: "none", want: outcomes{replayed, replayed, stayed, stayed}},
		"new does not import":   {to: "none", want: outcomes{replayed, replayed, stayed, stayed}, lost: "the new version does not declare that it takes over states"},
		"another scope":         {to: "shared", want: outcomes{replayed, replayed, stayed, stayed}, lost: "the plugin now declares another scope for the topic; clients have to join again"},
		"no state":              {want: anew},
		"stateless":             {export: answer{effects: []abi.Effect{{Kind: abi.EffectState, Flags: abi.Replay}}}, want: outcomes{replayed, replayed, replayed, replayed}},
		"export crashes":        {export: answer{err: crash}, want: outcomes{replayed, replayed, unmoved, unmoved}, lost: "export: trap"},
		"export does not fit":   {export: answer{err: tooLarge}, want: anew, lost: "export: inbox: event too large for the guest"},
		"export is interrupted": {export: answer{err: ended}, want: outcomes{}},
		"no new guest":          {export: answer{effects: state}, start: errors.New("no memory"), want: anew, lost: "start guest: no memory"},
		"import is refused":     {export: answer{effects: state}, imported: answer{effects: reply("error", "what?")}, want: anew, lost: `import: answered "error" with "what?"`, imports: true},
		"import crashes":        {export: answer{effects: state}, imported: answer{err: crash}, want: anew, lost: "import: trap", imports: true},
		"import does not fit":   {export: answer{effects: state}, imported: answer{err: tooLarge}, want: anew, lost: "import: inbox: event too large for the guest", imports: true},
		"import is interrupted": {export: answer{effects: state}, imported: answer{err: ended}, want: outcomes{}, imports: true},
	} {
		versions := map[string]*channels.Version{
			"":       {Exports: true},
			"none":   {},
			"shared": {Exports: true, Scope: func(string) channels.Scope { return channels.PerTopic }},
		}
		for i, want := range test.want {
			t.Run(fmt.Sprint(name, " keep ", i&1 == 1, " again ", i < 2), func(t *testing.T) {
				move := func() *channels.Handover {
					return &channels.Handover{
						From: versions[test.from], To: versions[test.to], Topic: "room:a", Name: "room:a",
						Members: func() string { return "members" }, Again: i < 2, Keep: i&1 == 1,
					}
				}
				old, next := &mover{name: "old", holds: "timers"}, &mover{name: "new"}
				ask := func(g channels.Guest, e *abi.Event) ([]abi.Effect, error) {
					m := g.(*mover)
					m.seen = append(m.seen, fmt.Sprintf("%v %s %s %s %s, holding %s", e.Kind, e.Name, e.Detail, e.Payload, e.Extra, m.holds))
					if m == old {
						return test.export.effects, test.export.err
					}
					return test.imported.effects, test.imported.err
				}
				start := func() (channels.Guest, error) {
					if test.start != nil {
						return nil, test.start
					}
					return next, nil
				}
				h := move()
				got, effects, err := h.Run(old, start, ask)
				became, lost := h.Became(err)
				if became != want || lost == nil != (test.lost == "") || lost != nil && lost.Error() != test.lost {
					t.Errorf("it became %v, lost %v; want %v, lost %q", became, lost, want, test.lost)
				}
				if want := []string{"import room:a 2 the state members, holding timers"}; test.imports != slices.Equal(next.seen, want) {
					t.Errorf("the new guest saw %q", next.seen)
				}
				if became == migrated {
					if got != channels.Guest(next) || next.holds != "timers" || next.ended != nil || len(effects) != len(test.imported.effects) {
						t.Errorf("the new guest is %+v, with %d effects", got, len(effects))
					}
				} else if got != nil || old.holds != "timers" || old.ended != nil || (next.ended != nil) != test.imports {
					t.Errorf("after %v the new guest is %v, the old one %+v", err, got, old)
				}

				// A rehearsal says the same, of guests that nobody knows.
				h = move()
				old, next = &mover{holds: "nothing"}, &mover{}
				err = h.Try(
					func() (channels.Ask, error) {
						return func(e *abi.Event) ([]abi.Effect, error) { return ask(old, e) }, nil
					},
					func() (channels.Ask, error) {
						return func(e *abi.Event) ([]abi.Effect, error) { return ask(next, e) }, test.start
					})
				if rehearsed, why := h.Became(err); rehearsed != became || fmt.Sprint(why) != fmt.Sprint(lost) {
					t.Errorf("rehearsed: %v, lost %v; it became %v, lost %v", rehearsed, why, became, lost)
				}
			})
		}
	}
}

// A bug in the midst of it leaves no guest behind, and with the old one what it held.
func TestHandoverThatPanics(t *testing.T) {
	old, next := &mover{holds: "timers"}, &mover{}
	v := &channels.Version{Exports: true}
	h := channels.Handover{From: v, To: v, Members: func() string { return "" }}
	defer func() {
		if recover() == nil || old.holds != "timers" || next.ended == nil {
			t.Errorf("after the panic the old guest is %+v, the new one %+v", old, next)
		}
	}()
	_, _, _ = h.Run(old, func() (channels.Guest, error) { return next, nil }, func(g channels.Guest, e *abi.Event) ([]abi.Effect, error) {
		if e.Kind == abi.EventImport {
			panic("a bug")
		}
		return effects(abi.EffectState, "", ""), nil
	})
}

// teller is a guest at its end.
type teller struct {
	mover
	wants bool
	order []string
}

func (g *teller) Wants(k abi.Kind) bool { return g.wants && k == abi.EventTerminate }
func (g *teller) Close(reason error)    { g.order = append(g.order, "closed") }

// A guest that wants terminate is told why, in two words, and closed after that.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		reason error
		want   string
	}{
		{supervisor.Normal, "terminate normal "},
		{supervisor.Shutdown, "terminate shutdown "},
		{supervisor.ShutdownBecause("left"), "terminate shutdown left"},
		{errTrap, "terminate crash trap"},
	} {
		for _, wants := range []bool{true, false} {
			for _, told := range []bool{true, false} {
				g := &teller{wants: wants}
				tell := func(e *abi.Event) { g.order = append(g.order, fmt.Sprintf("%v %s %s", e.Kind, e.Name, e.Payload)) }
				if !told {
					tell = nil
				}
				channels.End(g, test.reason, tell)
				want := "closed"
				if wants && told {
					want = test.want + ", closed"
				}
				if got := strings.Join(g.order, ", "); got != want {
					t.Errorf("%v, wants %v, told %v: %s, want %s", test.reason, wants, told, got, want)
				}
			}
		}
	}
}
