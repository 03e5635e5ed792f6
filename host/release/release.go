package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// Release is one version of a plugin with the settings that it runs under. Its fields do
// not change, except its counters. Its methods may be called from any goroutine.
type Release struct {
	// Version describes the release to channel handlers. The application sets its New,
	// before the first guest.
	Version      channels.Version
	Module       *sandbox.Module
	WASM         []byte
	Hash         [sha256.Size]byte // of WASM
	Use          durable.Use       // what states of its guests need; its Snapshot is "" if that is not kept
	Settings     Settings
	Topics       []string // patterns that it serves
	Depends      []string // plugins that must run first
	Children     []*Child // of its tree, parents first
	WantsStop    bool     // to hear that the plugin has ended
	WantsConnect bool     // to be asked about clients
	Exports      bool     // it hands on its state, and takes over that of others

	Latency Histogram // of events
	Crashes Window    // of its processes
	Fate    *Fate     // of the version; tells those who wait

	perTopic    []string // those of the declared patterns that have one handler for a topic
	durable     map[durable.Kind][]string
	histories   []historyOf
	hasManifest bool
	disconnects bool        // it may end connections
	denied      atomic.Bool // a guest may not, which has been logged
	next        atomic.Pointer[Release]
	retired     atomic.Bool
}

// New reads the declarations of a module, and checks them against its manifest and the
// settings. The release closes the module in the end; after an error the caller has to.
func New(plugin string, module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings Settings) (*Release, error) {
	r, err := read(module, wasm, hash, settings)
	if err != nil {
		return nil, err
	}
	if len(r.Topics)+len(r.Children) == 0 {
		return nil, fmt.Errorf("it declares neither topics nor processes; set topics in [plugin.%s] of config.toml", plugin)
	}
	if err := cmp.Or(r.checkCapabilities(plugin), r.checkDurable(plugin), r.checkHistory(plugin), fits(plugin, r.Children, settings)); err != nil {
		return nil, err
	}
	return r, nil
}

// NewOld is New for a version that ran once and is loaded for its states, which go over to the current one. It may ask
// for more than it is granted by now, and does not get it.
func NewOld(plugin string, module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings Settings) (*Release, error) {
	r, err := read(module, wasm, hash, settings)
	if err != nil {
		return nil, err
	}
	if err := r.checkCapabilities(plugin); err != nil && !errors.As(err, new(*UngrantedError)) {
		return nil, err
	}
	r.disconnects = r.disconnects && slices.Contains(settings.Allows, allowDisconnect)
	return r, nil
}

// read makes a release of the declarations of a module.
func read(module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings Settings) (*Release, error) {
	r := &Release{
		Module: module, WASM: wasm, Hash: hash, Settings: settings, Topics: settings.Topics,
		Depends: slices.Clone(settings.Depends), Fate: newFate(),
	}
	r.Use.Version = r.HashText()
	if name, kept := module.Snapshot(); kept {
		r.Use.Snapshot = name
	}
	if len(r.Topics) == 0 {
		r.Topics = module.Topics()
	}
	durably := settings.Keep
	durably.Durable = true
	r.keepHistory(settings.HistoryDurable, durably)
	r.keepHistory(settings.History, settings.Keep)
	for _, e := range module.Declared() {
		switch {
		case e.Kind == abi.EffectDepends && !slices.Contains(r.Depends, e.Name):
			r.Depends = append(r.Depends, e.Name)
		case e.Kind == abi.EffectWants && e.Name == abi.EventStop.String():
			r.WantsStop = true
		case e.Kind == abi.EffectWants && e.Name == abi.EventConnect.String():
			r.WantsConnect = true
		case e.Kind == abi.EffectWants && e.Name == abi.EventExport.String():
			r.Exports = true
		case e.Kind == abi.EffectHandles && e.Detail == abi.ScopeTopic:
			r.perTopic = append(r.perTopic, e.Name)
		case e.Kind == abi.EffectDurable:
			r.remember(e.Name)
		case e.Kind == abi.EffectHistory:
			if err := r.declareHistory(&e); err != nil {
				return nil, err
			}
		}
	}
	for _, pattern := range settings.Durable {
		r.remember(pattern)
	}
	var err error
	if r.Children, err = parseChildren(module.Declared()); err != nil {
		return nil, err
	}
	r.Version = channels.Version{
		ID:      module.Version(),
		Restart: settings.Restart,
		Mailbox: settings.Mailbox,
		Rate:    settings.Rate,
		Scope:   r.Scope,
		Stays:   settings.Stays,
		Exports: r.Exports,
		Durable: func(topic string) bool { return r.Durable(durable.Topic, topic) },
		Keep:    settings.Rollout.Stay,
		Idle:    settings.DurableIdle,
		Linger:  settings.Linger,
	}
	if len(r.histories) > 0 {
		r.Version.History = r.history
		r.Version.Archives = slices.ContainsFunc(r.histories, func(h historyOf) bool { return h.keep.Durable })
	}
	return r, nil
}

// VersionOf returns the name of a module's version: the first 12 digits of its hash.
func VersionOf(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:6]) }

// Scope says whether a topic has one handler for all, by the settings or else by the
// guest's declaration.
func (r *Release) Scope(topic string) channels.Scope {
	switch r.Settings.Scope {
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

// Grants says whether the settings grant a topic that is not the plugin's own.
func (r *Release) Grants(topic string) bool { return matches(r.Settings.Grants, topic) }

func matches(patterns []string, topic string) bool {
	for _, pattern := range patterns {
		prefix, open := strings.CutSuffix(pattern, "*")
		if topic == pattern || open && strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}

// Same says whether this is the release of a module under some settings.
func (r *Release) Same(hash [sha256.Size]byte, s Settings) bool {
	return r.Hash == hash && r.Settings.Equal(s)
}

// HashText is the hash in hexadecimal digits.
func (r *Release) HashText() string { return hex.EncodeToString(r.Hash[:]) }

// takesOver says whether the processes in the tree of an older release can go on in this
// one: their states can be handed on, and the trees have the same processes.
func (r *Release) takesOver(old *Release) bool {
	return r.Exports && old.Exports &&
		r.Settings.Strategy == old.Settings.Strategy && r.Settings.Intensity == old.Settings.Intensity &&
		slices.EqualFunc(r.Children, old.Children, (*Child).equal)
}

// SameTree says whether the tree of an older release stays when this one becomes
// current. Channels alone are no tree.
func (r *Release) SameTree(old *Release) bool {
	return len(old.Children)+len(r.Children) == 0 || r.takesOver(old)
}

// Next returns the release that has replaced this one; nil while none has.
func (r *Release) Next() *Release { return r.next.Load() }

// ReplacedBy sets the release of Next, or nil.
func (r *Release) ReplacedBy(next *Release) { r.next.Store(next) }

// Retire sets the release with which processes go on. This one is freed with the last
// guest that leaves it. A second Retire does no harm.
func (r *Release) Retire(next *Release) {
	r.next.Store(next)
	r.retired.Store(true)
	r.Module.Close()
}

// Retired reports whether no guest of it can start any more.
func (r *Release) Retired() bool { return r.retired.Load() }

// Stopped starts an instance to tell it that the plugin has ended, if the module wants to
// know.
func (r *Release) Stopped() {
	if !r.WantsStop {
		return
	}
	i, err := r.Module.Start("", nil)
	if err != nil {
		return
	}
	defer i.Close()
	e := r.Module.StartEvent()
	e.Kind = abi.EventStop
	if _, err := i.Handle(&e); err != nil {
		r.Module.Log().Error("plugin crashed in stop", "cause", err)
	}
}

// Shutdown is how long channels may take to end. That is enough for a guest at its
// deadline, if the machine has time for it. A guest that waits for its turn for longer is
// killed, also in the queue.
func (r *Release) Shutdown() time.Duration { return 2*r.Settings.Limits.Deadline + 5*time.Second }
