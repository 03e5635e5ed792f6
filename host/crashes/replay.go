package crashes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// Setting configures a replay.
type Setting struct {
	WASM   []byte          // the plugin, in the version that crashed or in another one
	Config []byte          // its config as JSON, without which many plugins let nobody in
	Engine sandbox.Options // how it is compiled
	// Limits of the guest, as on the server. The default is the sandbox's.
	Memory   int64
	Deadline time.Duration
	// Fault says whether the effects of an event are a fault of the guest, as the
	// server would; nil: none is.
	Fault func(topic string, effects []abi.Effect) (sandbox.TrapKind, error)
}

// Outcome is the result of a replay.
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

// VersionOf returns rtd's name for the version of a plugin that has this module.
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
	engine, err := sandbox.NewEngine(s.Engine)
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
	guest, err := plugin.Start(r.Topic, &sandbox.Alone{})
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
		if fault := s.fault(r, &step, o.Version); fault != nil {
			step.Trap, o.Trap, o.Same = fault, fault, i == len(events)-1 && r.diedLike(fault)
		}
		guest.Release()
		o.Steps = append(o.Steps, step)
		if o.Trap != nil {
			break
		}
	}
	return o, nil
}

// fault returns the trap of a guest that lives after a step, but would not on a server.
func (s *Setting) fault(r *Report, step *Step, version string) *sandbox.Trap {
	if s.Fault == nil || step.Trap != nil {
		return nil
	}
	kind, reason := s.Fault(r.Topic, step.Effects)
	if reason == nil {
		return nil
	}
	e := &step.Event
	return &sandbox.Trap{Kind: kind, Plugin: r.Plugin, Version: version, Event: e.Kind, Name: e.Name, Cause: reason.Error()}
}

// script returns the events to replay.
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
