package crashes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// Setting is where a report is replayed.
type Setting struct {
	WASM   []byte // the plugin, in the version that crashed or in another one
	Config []byte // its config as JSON, without which many plugins let nobody in
	Cache  string // folder for compiled code, or ""
	// What it may use, as on the server. The default is the sandbox's.
	Memory   int64
	Deadline time.Duration
}

// Outcome is what came of a replay.
type Outcome struct {
	Version string // of the plugin that it ran with
	Steps   []Step
	Trap    *sandbox.Trap // what the guest died of; nil if it lives
	// Same says that it died of the same event in the same way: by the same kind of
	// trap in the same functions.
	Same bool
	// Doubts are reasons for which the replay may differ from what has happened.
	Doubts []string
}

// Step is one event of a replay.
type Step struct {
	Event   abi.Event
	Effects []abi.Effect  // what the guest asked for
	Refused bool          // it was too large for the guest
	Trap    *sandbox.Trap // in the last step, if it died
}

// VersionOf returns what rtd calls the version of a plugin that this module is.
func VersionOf(wasm []byte) string {
	hash := sha256.Sum256(wasm)
	return hex.EncodeToString(hash[:6])
}

// Replay gives a new guest the events of a report, in a sandbox as the server's. The guest
// is alone: see package. The error says that the report cannot be replayed, or that
// the plugin does not load.
func (r *Report) Replay(ctx context.Context, s Setting) (o *Outcome, err error) {
	events, err := r.script()
	if err != nil {
		return nil, err
	}
	o = &Outcome{Version: VersionOf(s.WASM), Doubts: r.doubts()}
	engine, err := sandbox.NewEngine(sandbox.Options{CacheDir: s.Cache})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close(context.WithoutCancel(ctx))) }()
	plugin, err := engine.Load(ctx, s.WASM, sandbox.LoadOptions{
		Name: r.Plugin, Version: o.Version, Config: s.Config,
		Limits: sandbox.Limits{Memory: s.Memory, Deadline: s.Deadline},
	})
	if err != nil {
		return nil, err
	}
	defer plugin.Close()
	guest, err := plugin.Start(r.Topic, &stage{})
	if err != nil {
		return nil, err
	}
	defer guest.Close()
	for i := range events {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		step := Step{Event: events[i]}
		effects, err := guest.Handle(&events[i])
		switch {
		case errors.Is(err, sandbox.ErrTooLarge):
			step.Refused = true
		case errors.As(err, &step.Trap):
			o.Trap, o.Same = step.Trap, i == len(events)-1 && r.diedLike(step.Trap)
		case err != nil:
			return nil, err
		}
		for _, e := range effects {
			e.Payload = slices.Clone(e.Payload)
			step.Effects = append(step.Effects, e)
		}
		guest.Release()
		o.Steps = append(o.Steps, step)
		if o.Trap != nil {
			break
		}
	}
	return o, nil
}

// script is the events to replay.
func (r *Report) script() (events []abi.Event, err error) {
	switch {
	case r.Withheld:
		return nil, fmt.Errorf("crash report %s has no payloads, so that it cannot be replayed; set payloads = true in [crashes] of config.toml for later ones", r.ID)
	case len(r.Events) == 0:
		return nil, fmt.Errorf("crash report %s has no events, so that it cannot be replayed", r.ID)
	}
	kept := r.Events
	if r.Opening != nil && !r.Whole {
		kept = append([]Event{*r.Opening}, kept...)
	}
	for i := range kept {
		e, err := kept[i].forGuest()
		if err != nil {
			return nil, fmt.Errorf("replay crash report %s: %w", r.ID, err)
		}
		events = append(events, e)
	}
	return events, nil
}

func (r *Report) doubts() (doubts []string) {
	if !r.Whole {
		what := "how the guest began, and what it handled before the first event here, is not known"
		if r.Opening != nil {
			what = "what the guest handled between its first event and the others here is not known"
		}
		doubts = append(doubts, what)
	}
	if slices.ContainsFunc(r.Events, func(e Event) bool { return e.Cut }) || r.Opening != nil && r.Opening.Cut {
		doubts = append(doubts, "some events were too large to be kept as a whole")
	}
	return doubts
}

// diedLike says whether a trap is the one of the report.
func (r *Report) diedLike(t *sandbox.Trap) bool {
	return string(t.Kind) == r.Trap && (!hasStack(t.Kind) || slices.Equal(t.Stack, r.Stack))
}

// stage is the process of a guest that is alone. Whoever it sends to does not
// exist; what it asks for about itself it gets.
type stage struct{ numbers int }

// Name implements [sandbox.Process].
func (*stage) Name() string { return "" }

// Permit implements [sandbox.Process].
func (*stage) Permit(*abi.Effect) abi.Code { return 0 }

// Block implements [sandbox.Process].
func (*stage) Block(f func()) { f() }

// Operate implements [sandbox.Process].
func (s *stage) Operate(o *abi.Effect) (answer []byte, err error) {
	switch o.Kind {
	case abi.OpSelf:
		return []byte("#1"), nil
	case abi.OpSendAfter, abi.OpMonitor, abi.OpTrack, abi.OpUpdate:
		return s.number(), nil
	case abi.OpCancel:
		return []byte("0"), nil
	case abi.OpPresences:
		return []byte("{}"), nil
	case abi.OpPresenceCount:
		return abi.AppendField(abi.AppendField(nil, "0"), "0"), nil
	case abi.OpSleep, abi.OpDemonitor, abi.OpTrapExit, abi.OpRegister, abi.OpUnregister, abi.OpUntrack, abi.OpCast, abi.OpSend,
		abi.OpLink, abi.OpUnlink, abi.OpExit, abi.OpChildren:
		return nil, nil
	case abi.OpSpawn:
		answer = abi.AppendField(nil, "#"+string(s.number()))
		if o.Flags&abi.Request != 0 {
			answer = abi.AppendField(answer, s.number())
		}
		return answer, nil
	}
	return nil, abi.CodeNoProcess
}

// number makes up a pid, timer or the like. The guest itself is 1.
func (s *stage) number() []byte {
	s.numbers++
	return strconv.AppendInt(nil, int64(s.numbers)+1, 10)
}
