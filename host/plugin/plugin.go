package plugin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Plugin is one application: a tree of processes that stays while its
// versions come and go. It implements [channels.Plugin].
type Plugin struct {
	name     string
	endpoint *channels.Endpoint
	root     *supervisor.Process
	channels *supervisor.Dynamic
	current  atomic.Pointer[release]
	deploys  atomic.Uint64
}

// newPlugin starts the plugin's tree:
//
//	NAME          strategy and intensity from its settings
//	└─ channels   its channel handlers, in groups by topic
func (s *Set) newPlugin(r *release) *Plugin {
	p := &Plugin{name: r.module.Name(), endpoint: s.endpoint}
	p.current.Store(r)
	p.deploys.Store(1)
	p.channels = supervisor.NewDynamic(supervisor.DynamicConfig{
		Strategy:  r.settings.Strategy,
		Intensity: r.settings.Intensity,
		// A guest ends with its deadline; nothing has to be killed.
		Shutdown: 2*r.settings.Limits.Deadline + 5*time.Second,
	})
	p.root = s.runtime.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(supervisor.Config{
		Strategy:  r.settings.Strategy,
		Intensity: r.settings.Intensity,
		Children: []supervisor.ChildSpec{{
			ID:       "channels",
			Start:    p.channels.Spec,
			Restart:  supervisor.Permanent,
			Shutdown: 2*r.settings.Limits.Deadline + 10*time.Second,
		}},
		Report: func(report supervisor.Report) {
			s.log.Error("process ended", "plugin", p.name, "process", report.Child, "cause", report.Reason, "then", report.Decision.String())
		},
	})})
	return p
}

// Name implements [channels.Plugin].
func (p *Plugin) Name() string { return p.name }

// Supervisor implements [channels.Plugin].
func (p *Plugin) Supervisor() *supervisor.Dynamic { return p.channels }

// Current implements [channels.Plugin].
func (p *Plugin) Current() *channels.Version { return &p.current.Load().version }

// replace makes r the current version and moves the channels over. Channels
// that start from now on begin with r; Each reaches all others.
func (p *Plugin) replace(r *release) error {
	if err := p.endpoint.Router.Set(p, r.topics); err != nil {
		return err
	}
	old := p.current.Swap(r)
	old.next.Store(r)
	p.deploys.Add(1)
	p.channels.Configure(r.settings.Strategy, r.settings.Intensity)
	p.channels.Each(func(c supervisor.Child) { c.(*channels.Channel).Renew() })
	old.module.Close() // freed with the last channel that leaves it
	return nil
}

// stop ends the tree, and with it the channels, and waits for that.
func (p *Plugin) stop() {
	p.endpoint.Router.Remove(p)
	p.root.Stop(supervisor.Shutdown)
	<-p.root.Done()
	p.channels.Close()
	p.current.Load().module.Close()
}

// release is one version of a plugin with the settings that it runs under.
type release struct {
	version  channels.Version
	module   *sandbox.Plugin
	wasm     []byte
	hash     [sha256.Size]byte
	settings Settings
	topics   []string
	latency  Histogram
	next     atomic.Pointer[release] // the one that has replaced it
}

func newRelease(module *sandbox.Plugin, wasm []byte, hash [sha256.Size]byte, settings Settings, topics []string) *release {
	r := &release{
		module: module, wasm: wasm, hash: hash, settings: settings, topics: topics,
	}
	r.version = channels.Version{
		ID:      module.Version(),
		Restart: settings.Restart,
		Mailbox: settings.Mailbox,
		New:     r.newGuest,
	}
	return r
}

func (r *release) same(hash [sha256.Size]byte, s Settings) bool {
	t := r.settings
	return r.hash == hash && slices.Equal(t.Topics, s.Topics) && bytes.Equal(t.Config, s.Config) &&
		t.Restart == s.Restart && t.Strategy == s.Strategy && t.Intensity == s.Intensity &&
		t.Limits == s.Limits && t.Mailbox == s.Mailbox
}

// guest is an instance whose time is measured.
type guest struct {
	*sandbox.Instance
	latency *Histogram
}

// newGuest starts an instance.
//
// A channel may have asked for the current version just before another one
// replaced it and closed this one. It then gets a guest of the other at once; as
// it is among the channels that are told to move there, it soon knows.
func (r *release) newGuest(topic string) (channels.Guest, error) {
	i, err := r.module.Start(topic, nil)
	if next := r.next.Load(); next != nil && errors.Is(err, sandbox.ErrClosed) {
		return next.newGuest(topic)
	}
	if err != nil {
		return nil, err
	}
	return guest{i, &r.latency}, nil
}

// Handle implements [channels.Guest].
func (g guest) Handle(e *abi.Event) ([]abi.Effect, error) {
	start := time.Now()
	effects, err := g.Instance.Handle(e)
	g.latency.observe(time.Since(start))
	if errors.Is(err, sandbox.ErrTooLarge) {
		err = channels.ErrTooLarge
	}
	return effects, err
}
