package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rtd/host/admin"
	"rtd/host/app"
	"rtd/host/ask"
	"rtd/host/deploy"
	"rtd/host/rollout"
	"rtd/host/versions"
)

// adminBackend is the server as those see it who administer it.
type adminBackend struct {
	plugins  *rollout.Set
	deployer *deploy.Deployer
	*busNeeds
	stateBackend
	asideBackend
	historyBackend
	*nodes
	readiness
}

// The states of a plugin.
const (
	stateRunning = "running"
	stateFailed  = "failed"
	stateWaiting = "waiting"
	stateRefused = "refused"
)

func (b adminBackend) Plugins() []admin.Plugin {
	var list []admin.Plugin
	for _, stats := range b.plugins.Stats() {
		p := admin.Plugin{
			Name: stats.Name, State: stateRunning, Version: stats.Version, Hash: stats.Hash, Canary: stats.Canary,
			Topics: append([]string{}, stats.Topics...), Instances: stats.Sandbox.Live,
		}
		if stats.Failed {
			p.State = stateFailed
		}
		for _, other := range stats.Others {
			p.Instances += other.Instances
		}
		kept, _ := b.deployer.Versions(p.Name) // if there are none, it is not known
		if i := slices.IndexFunc(kept, func(v versions.Version) bool { return v.Hash == p.Hash }); i >= 0 {
			p.Deployed, p.By = kept[i].When, kept[i].By
		}
		list = append(list, p)
	}
	for _, n := range b.plugins.Crashes() {
		if i := slices.IndexFunc(list, func(p admin.Plugin) bool { return p.Name == n.Plugin }); i >= 0 {
			list[i].Crashes += n.Crashes
			list[i].Restarts += n.Restarts
		}
	}
	return b.withRefused(list)
}

// withRefused adds what could not be deployed to a list of plugins.
func (b adminBackend) withRefused(list []admin.Plugin) []admin.Plugin {
	for _, r := range b.deployer.Refusals() {
		name := r.Name
		i := slices.IndexFunc(list, func(p admin.Plugin) bool { return p.Name == name })
		switch {
		case i >= 0:
			list[i].Cause = "its file is not deployed: " + r.Cause.Error()
		case r.Waits != nil:
			list = append(list, admin.Plugin{Name: name, State: stateWaiting, Topics: []string{}, Cause: r.Cause.Error()})
		default:
			list = append(list, admin.Plugin{Name: name, State: stateRefused, Topics: []string{}, Cause: r.Cause.Error()})
		}
	}
	slices.SortFunc(list, func(p, q admin.Plugin) int { return cmp.Compare(p.Name, q.Name) })
	return list
}

func (b adminBackend) Versions(name string) ([]admin.Version, error) {
	kept, err := b.deployer.Versions(name)
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 && b.plugins.Version(name) == "" {
		return nil, noPlugin(name)
	}
	var list []admin.Version
	for _, v := range kept {
		list = append(list, admin.Version{Version: v.ID(), Hash: v.Hash, Size: v.Size, When: v.When, By: v.By, Withdrawn: v.Withdrawn})
	}
	return list, nil
}

func (b adminBackend) Deploy(ctx context.Context, name string, wasm []byte, by string) (admin.Deployment, error) {
	out, err := b.deployer.Deploy(ctx, name, wasm, by)
	if errors.Is(err, rollout.ErrUnchanged) {
		err = admin.ErrUnchanged
	}
	return deployment(ctx, out), err
}

func (b adminBackend) DryRun(ctx context.Context, name string, wasm []byte) (admin.Deployment, error) {
	out, err := b.deployer.DryRun(ctx, name, wasm)
	return deployment(ctx, out), err
}

func (b adminBackend) Rollback(ctx context.Context, name, to, by string) (admin.Deployment, error) {
	out, err := b.deployer.Rollback(ctx, name, to, by)
	return deployment(ctx, out), err
}

// movesPatience is how long the answer to a deploy waits for processes to move, which
// may wait for something themselves.
const movesPatience = 10 * time.Second

// deployment tells of an outcome as those hear it who administer the server.
func deployment(ctx context.Context, out rollout.Outcome) admin.Deployment {
	d := admin.Deployment{Deployed: admin.Deployed{Version: out.Version, Canary: out.Canary}}
	if out.Moving != nil {
		ctx, cancel := context.WithTimeout(ctx, movesPatience)
		defer cancel()
		m := out.Moving.Wait(ctx)
		d.Moves = &admin.Moves{WithState: m.WithState, Anew: m.Anew, Stayed: m.Stayed, Refused: m.Refused, Left: m.Left, Lost: m.Lost, Stored: m.Stored}
		for _, loss := range m.Losses {
			d.Moves.Losses = append(d.Moves.Losses, admin.Loss(loss))
		}
	}
	if out.Fate == nil { // it was taken back in that moment, or not deployed at all
		d.Decided = func(context.Context) (admin.Verdict, error) { return admin.Verdict{State: admin.Replaced}, nil }
		return d
	}
	d.Watch = out.Fate.Watch()
	d.Decided = func(ctx context.Context) (admin.Verdict, error) {
		v, err := out.Fate.Wait(ctx)
		return admin.Verdict{State: string(v.State), Cause: v.Cause, Now: v.Now}, err
	}
	return d
}

func noPlugin(name string) error {
	return fmt.Errorf("%w: %q; rtd plugins lists them", admin.ErrNoPlugin, name)
}

// listed is how many processes are listed under a supervisor of those that come and
// go.
const listed = 1000

func (b adminBackend) Processes(ctx context.Context, name string) (trees []admin.Process, err error) {
	names := []string{name}
	if name == "" {
		names = nil
		for _, stats := range b.plugins.Stats() {
			names = append(names, stats.Name)
		}
		names = append(names, ask.HostName)
	}
	for _, n := range names {
		tree, ok := b.plugins.Processes(ctx, n, listed)
		switch {
		case ok:
			trees = append(trees, adminProcess(tree))
		case name != "":
			return nil, noPlugin(name)
		}
	}
	return trees, nil
}

func adminProcess(p app.Tree) admin.Process {
	q := admin.Process{PID: p.PID(), Kind: string(p.Kind), Name: p.Name, State: "restarting", Restarts: p.Restarts, More: p.More}
	if l := p.Life; l != nil {
		q.State, q.Mailbox, q.Memory, q.Reductions = l.State.String(), l.Mailbox, l.Memory, l.Reductions
	}
	for _, child := range p.Children {
		q.Children = append(q.Children, adminProcess(child))
	}
	return q
}
