package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"rtd/host/admin"
	"rtd/host/backup"
	"rtd/host/deploy"
	"rtd/host/durable"
	"rtd/host/durable/store"
	"rtd/host/rollout"
)

// stateBackend is what is stored of durable actors, as those see it who administer the server.
type stateBackend struct {
	durables *durables
	plugins  *rollout.Set
	deployer *deploy.Deployer
	versions string // the folder
	log      *slog.Logger
}

var errNoStates = errors.New("nothing is stored of actors: no plugin that runs has durable ones")

func (b stateBackend) keeper() (*store.Keeper, error) {
	k := b.durables.begun()
	if k == nil {
		return nil, errNoStates
	}
	return k, k.Err()
}

// States implements [admin.States].
func (b stateBackend) States(ctx context.Context, q admin.StateQuery) ([]admin.State, error) {
	k, err := b.keeper()
	if err != nil {
		return nil, fmt.Errorf("list states: %w", err)
	}
	if _, stored := k.Status().Plugins[q.Plugin]; !stored && b.plugins.Version(q.Plugin) == "" {
		return nil, noPlugin(q.Plugin)
	}
	kind := durable.Topic
	if q.Kind == durable.Process.String() {
		kind = durable.Process
	}
	found, err := k.List(ctx, q.Plugin, kind, q.Prefix, q.After, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list states of %s: %w", q.Plugin, err)
	}
	var list []admin.State
	cause := b.causes(q.Plugin)
	for _, i := range found {
		s := admin.State{
			Actor: i.Actor.String(), Revision: i.Revision, Bytes: i.Bytes, At: i.At, Due: i.Due,
			Version: i.Version, Snapshot: i.Snapshot, Posts: i.Posts, State: admin.StateDamaged, Cause: i.Cause,
		}
		if i.Cause == "" {
			s.State, s.Cause = cause(i.Actor, durable.Use{Version: i.Version, Snapshot: i.Snapshot})
		}
		list = append(list, s)
	}
	return list, nil
}

// causes returns what says whether an actor of a plugin goes on with a state, and if it does not, why.
func (b stateBackend) causes(plugin string) func(a durable.Actor, use durable.Use) (state, cause string) {
	missing := map[durable.Use]string{}
	idle := b.idle(plugin)
	return func(a durable.Actor, use durable.Use) (state, cause string) {
		if _, known := missing[use]; !known {
			missing[use] = b.missing(plugin, use)
		}
		if cause = cmp.Or(missing[use], idle, b.plugins.Refused(a, use)); cause == "" {
			return admin.StateStored, ""
		}
		return admin.StateRefused, cause
	}
}

// idle says why no actor of a plugin goes on, as it does not run though it should; or "".
func (b stateBackend) idle(plugin string) string {
	if b.plugins.Runs(plugin) {
		return ""
	}
	for _, r := range b.deployer.Refusals() {
		if r.Name == plugin {
			return "its plugin does not run: " + r.Cause.Error()
		}
	}
	if b.plugins.Version(plugin) != "" {
		return "its plugin has failed"
	}
	return ""
}

// missing says what of a use is not kept, or "".
func (b stateBackend) missing(plugin string, use durable.Use) string {
	if err := b.deployer.Kept(plugin, use); err != nil {
		return err.Error()
	}
	return ""
}

// State implements [admin.States].
func (b stateBackend) State(ctx context.Context, name string) (w admin.WholeState, err error) {
	k, a, err := b.actor(name)
	if err != nil {
		return w, err
	}
	s, err := k.Load(ctx, a)
	if err != nil {
		return w, fmt.Errorf("read the state of %s: %w", a, err)
	}
	w = admin.WholeState{
		State: admin.State{
			Actor: a.String(), Revision: s.Revision, Bytes: len(s.Guest) + len(s.Held), At: s.At, Due: s.Due, Version: s.Version, Snapshot: s.Snapshot,
			Posts: len(k.Posts(a)),
		},
		Guest: s.Guest, Held: s.Held,
	}
	w.State.State, w.Cause = b.causes(a.Plugin)(a, durable.Use{Version: s.Version, Snapshot: s.Snapshot})
	return w, nil
}

// ImportState implements [admin.States].
func (b stateBackend) ImportState(ctx context.Context, name string, w admin.WholeState, by string) error {
	k, a, err := b.actor(name)
	if err != nil {
		return err
	}
	if of, err := durable.ParseActor(w.Actor); err == nil && of.Kind != a.Kind {
		return fmt.Errorf("import a state of %s: it is of %s, and a %v cannot go on as a %v", a, of, of.Kind, a.Kind)
	}
	if err := b.deployer.Kept(a.Plugin, durable.Use{Version: w.Version, Snapshot: w.Snapshot}); err != nil {
		return fmt.Errorf("import a state of %s: %w", a, err)
	}
	state := durable.State{Version: w.Version, Snapshot: w.Snapshot, Guest: w.Guest, Held: w.Held, Due: w.Due}
	if err := b.plugins.CheckState(ctx, a, &state); err != nil {
		return fmt.Errorf("import a state of %s: %w", a, err)
	}
	put := func() error { return k.Put(ctx, a, state) }
	if err := b.restate(ctx, a, put); err != nil {
		return fmt.Errorf("import a state of %s: %w", a, err)
	}
	b.log.Warn("state imported", "plugin", a.Plugin, "actor", a.String(), "by", by)
	return nil
}

// ResetState implements [admin.States].
func (b stateBackend) ResetState(ctx context.Context, name, by string) error {
	k, a, err := b.actor(name)
	if err != nil {
		return err
	}
	if err := b.restate(ctx, a, func() error { return k.Remove(ctx, a) }); err != nil {
		return fmt.Errorf("reset %s: %w", a, err)
	}
	b.log.Warn("state reset", "plugin", a.Plugin, "actor", a.String(), "by", by)
	return nil
}

// restatePatience is how long an actor may take to come to the end of its event.
const restatePatience = 10 * time.Second

// restate changes what is stored of an actor, and has all go on that could not for what was.
func (b stateBackend) restate(ctx context.Context, a durable.Actor, change func() error) error {
	ctx, cancel := context.WithTimeout(ctx, restatePatience)
	defer cancel()
	if err := b.plugins.Restate(ctx, a, change); err != nil {
		return err
	}
	b.plugins.Readmit(a)
	b.durables.lookAgain()
	return nil
}

// RepairStates implements [admin.States].
func (b stateBackend) RepairStates(ctx context.Context, name, by string) error {
	k := b.durables.begun()
	if k == nil {
		return errNoStates
	}
	if name == "" {
		cause := k.Err()
		if err := k.Repair(ctx); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		b.log.Warn("states repaired", "cause", cause, "by", by)
		return nil
	}
	_, a, err := b.actor(name)
	if err != nil {
		return err
	}
	if err := b.restate(ctx, a, func() error { return k.Accept(ctx, a) }); err != nil {
		return fmt.Errorf("repair %s: %w", a, err)
	}
	b.log.Warn("state repaired", "plugin", a.Plugin, "actor", a.String(), "by", by)
	return nil
}

// Backup implements [admin.States].
func (b stateBackend) Backup(ctx context.Context, w io.Writer) error {
	k, err := b.keeper()
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var plugins []string
	for name := range k.Status().Plugins {
		plugins = append(plugins, name)
	}
	slices.Sort(plugins)
	err = backup.Write(ctx, w, func(to io.Writer) error { return k.Backup(ctx, to) }, b.versions, plugins)
	if err != nil && ctx.Err() != nil { // what the bus says of a question that was given up is of no use
		return fmt.Errorf("back up: whoever asked for it has gone: %w", context.Cause(ctx))
	}
	return err
}

func (b stateBackend) actor(name string) (*store.Keeper, durable.Actor, error) {
	a, err := durable.ParseActor(name)
	if err != nil {
		return nil, a, err
	}
	k, err := b.keeper()
	return k, a, err
}
