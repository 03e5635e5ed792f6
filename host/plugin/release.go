package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync/atomic"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// release is one version of a plugin with the settings that it runs under.
type release struct {
	plugin       *Plugin
	version      channels.Version
	module       *sandbox.Plugin
	wasm         []byte
	hash         [sha256.Size]byte
	settings     Settings
	topics       []string
	perTopic     []string // those of the declared patterns that have one handler for a topic
	depends      []string // plugins that must run first
	children     []*childSpec
	wantsStop    bool // to hear that the plugin has ended
	wantsConnect bool // to be asked about clients
	// keepsConnections says that it may not disconnect clients: its manifest does not
	// ask for it.
	keepsConnections bool
	exports          bool // hands on its state, and takes over that of others
	latency          Histogram
	crashes          crashWindow
	next             atomic.Pointer[release] // the one that has replaced it
}

// newRelease reads what the module has declared. The plugin is needed for what
// starts later.
func newRelease(pl *Plugin, module *sandbox.Plugin, wasm []byte, hash [sha256.Size]byte, settings Settings, topics []string) (*release, error) {
	r := &release{
		plugin: pl, module: module, wasm: wasm, hash: hash, settings: settings, topics: topics,
		depends: slices.Clone(settings.Depends),
	}
	for _, e := range module.Declared() {
		switch {
		case e.Kind == abi.EffectDepends && !slices.Contains(r.depends, e.Name):
			r.depends = append(r.depends, e.Name)
		case e.Kind == abi.EffectWants && e.Name == abi.EventStop.String():
			r.wantsStop = true
		case e.Kind == abi.EffectWants && e.Name == abi.EventConnect.String():
			r.wantsConnect = true
		case e.Kind == abi.EffectWants && e.Name == abi.EventExport.String():
			r.exports = true
		case e.Kind == abi.EffectHandles && e.Detail == abi.ScopeTopic:
			r.perTopic = append(r.perTopic, e.Name)
		}
	}
	var err error
	if r.children, err = parseChildren(module.Declared()); err != nil {
		return nil, err
	}
	r.version = channels.Version{
		ID:      module.Version(),
		Restart: settings.Restart,
		Mailbox: settings.Mailbox,
		Rate:    settings.Rate,
		Scope:   r.scope,
		Stays:   settings.Stays,
		Exports: r.exports,
		New: func(p *supervisor.Process, topic string) (channels.Guest, error) {
			b, err := r.newBody(pl, p, topic, "")
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
	return r, nil
}

// scope says whether a topic has one handler for all, by the settings or else by the
// guest's declaration.
func (r *release) scope(topic string) channels.Scope {
	switch r.settings.Scope {
	case abi.ScopeTopic:
		return channels.PerTopic
	case abi.ScopeJoin:
		return channels.PerJoin
	}
	if matches(r.perTopic, topic) {
		return channels.PerTopic
	}
	return channels.PerJoin
}

func (r *release) same(hash [sha256.Size]byte, s Settings) bool {
	return r.hash == hash && r.settings.equal(s)
}

func (r *release) hashText() string { return hex.EncodeToString(r.hash[:]) }

// takesOver says whether the processes of the tree of an older release can go on in
// this one: their states can be handed on, and they would be the same processes.
func (r *release) takesOver(old *release) bool {
	return r.exports && old.exports &&
		r.settings.Strategy == old.settings.Strategy && r.settings.Intensity == old.settings.Intensity &&
		slices.EqualFunc(r.children, old.children, (*childSpec).equal)
}

// retire makes next the release that processes go on with. This one is freed with
// the last guest that leaves it.
func (r *release) retire(next *release) {
	r.next.Store(next)
	r.module.Close()
}

// equal compares all but how a deploy is to go on.
func (s Settings) equal(t Settings) bool {
	return slices.Equal(t.Topics, s.Topics) && slices.Equal(t.Depends, s.Depends) &&
		slices.Equal(t.Grants, s.Grants) && slices.Equal(t.Allows, s.Allows) && bytes.Equal(t.Config, s.Config) &&
		t.Restart == s.Restart && t.Strategy == s.Strategy && t.Intensity == s.Intensity && t.Limits == s.Limits &&
		t.Mailbox == s.Mailbox && t.Rate == s.Rate && t.Scope == s.Scope && t.Stays == s.Stays &&
		t.Processes == s.Processes && t.References == s.References && t.Pending == s.Pending
}

// stopped tells an instance of its own that the plugin has ended.
func (r *release) stopped() {
	if !r.wantsStop {
		return
	}
	i, err := r.module.Start("", nil)
	if err != nil {
		return
	}
	defer i.Close()
	e := r.module.StartEvent()
	e.Kind = abi.EventStop
	if _, err := i.Handle(&e); err != nil {
		r.module.Log().Error("plugin crashed in stop", "cause", err)
	}
}
